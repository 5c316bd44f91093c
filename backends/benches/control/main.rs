//! What the control connections cost: `cargo bench -p backends --bench control`.
//!
//! 1. `rounds`: a barrier round, one goal out to every worker and one report back from each, against the floor: the
//!    plain messages over bare epoll sockets in the same process layout. Measured in turns, A B A B.
//! 2. `workflow`: the whole server workflow, to running and to done, with a program that is a no-op.
//! 3. `handshakes`: connect, handshake and welcome of 1000 and 10,000 workers, against the arithmetic alone.
//! 4. `scale`: memory of the coordinator for each worker, and time for each event, up to 10,000 workers.
//! 5. `skew`: how close together the programs of 50 client workers start, against processes that only sleep until the
//!    same instant. Measured in turns.
//!
//! `-- --quick` takes a few seconds and is what `cargo test --all-targets` runs; `-- --check` ends with
//! status 1 when a figure is over its target; `-- --part handshakes` measures only that; `-- --workers 1000` measures
//! only the rounds over so many.

#[cfg(target_os = "linux")]
mod arithmetic;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
#[path = "../../tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod farm;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod handshakes;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod skew;
#[cfg(target_os = "linux")]
mod sleepers;
#[cfg(target_os = "linux")]
mod workflow;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let descriptors = raise_descriptor_limit();
    if be_somebody_else() {
        return 0.into();
    }
    // Cargo passes `--bench` for `cargo bench` and leaves it out for `cargo test`.
    let effort = if has("--quick") || !has("--bench") { Effort::Quick } else { Effort::Full };
    let on_target = match number_after("--workers") {
        Some(workers) => rounds::measure(effort, descriptors, &[workers]),
        None => measure(effort, descriptors, value_after("--part").as_deref()),
    };
    if on_target || !has("--check") { 0.into() } else { 1.into() }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the floor of this benchmark is epoll, which only Linux has");
}

/// Measures one part, or all; returns whether every figure keeps its target.
///
/// # Panics
/// If there is no such part.
#[cfg(target_os = "linux")]
fn measure(effort: Effort, descriptors: u64, only: Option<&str>) -> bool {
    type Part<'a> = (&'a str, &'a dyn Fn() -> bool);
    let parts: [Part<'_>; 5] = [
        ("rounds", &|| rounds::measure(effort, descriptors, &[1, 10, 100, 1000])),
        ("workflow", &|| workflow::measure(effort)),
        ("handshakes", &|| handshakes::measure(effort, descriptors)),
        ("scale", &|| scale::measure(effort, descriptors)),
        ("skew", &|| skew::measure(effort)),
    ];
    assert!(only.is_none_or(|only| parts.iter().any(|(name, _)| *name == only)), "no such part: {only:?}");
    let mut on_target = true;
    for (name, part) in parts.iter().filter(|(name, _)| only.is_none_or(|only| *name == only)) {
        println!("== {name}");
        on_target &= part();
        println!();
    }
    on_target
}

/// Plays the part of another process, if this is one; whether it was.
#[cfg(target_os = "linux")]
fn be_somebody_else() -> bool {
    if let Some(workers) = number_after(farm::ARGUMENT) {
        farm::main(workers);
    } else if let Some(workers) = number_after(scale::ARGUMENT) {
        let rounds = std::env::args().next_back().and_then(|rounds| rounds.parse().ok());
        scale::main(workers, rounds.expect("the number of rounds"));
    } else if let Some(index) = number_after(skew::ARGUMENT) {
        skew::main(index);
    } else if std::env::args().any(|arg| arg == sleepers::ARGUMENT) {
        sleepers::main();
    } else {
        return false;
    }
    true
}

/// How long to measure.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// A few seconds, to see that it works.
    Quick,
    /// Until the figures are steady.
    Full,
}

#[cfg(target_os = "linux")]
fn value_after(flag: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != flag).nth(1)
}

/// # Panics
/// If what follows the flag is no number.
#[cfg(target_os = "linux")]
fn number_after(flag: &str) -> Option<u16> {
    value_after(flag).map(|number| number.parse().expect("the flag is followed by 0 to 65535"))
}

/// Raises the soft limit of file descriptors to the hard one; returns it.
#[cfg(target_os = "linux")]
fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may be raised to the hard one");
    limit.maximum.unwrap_or(u64::MAX)
}
