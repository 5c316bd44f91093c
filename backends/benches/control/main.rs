//! What the control connections cost: `cargo bench -p backends --bench control`.
//!
//! 1. A barrier round, one goal out to every worker and one report back from each, against the floor: the
//!    same bytes over bare epoll sockets in the same process layout. Measured in turns, A B A B.
//! 2. The whole server workflow, to running and to done, with a program that is a no-op.
//!
//! `-- --quick` takes a few seconds and is what `cargo test --all-targets` runs; `-- --check` ends with
//! status 1 when a figure is over its target; `-- --workers 1000` measures only the rounds over so many.

#[cfg(target_os = "linux")]
#[path = "../../tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod workflow;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    // Cargo passes `--bench` for `cargo bench` and leaves it out for `cargo test`.
    let effort = if has("--quick") || !has("--bench") { Effort::Quick } else { Effort::Full };
    let descriptors = raise_descriptor_limit();
    if let Some(workers) = only_workers() {
        let rounds = rounds::measure(effort, descriptors, &[workers]);
        return if rounds || !has("--check") { 0.into() } else { 1.into() };
    }
    let rounds = rounds::measure(effort, descriptors, &[1, 10, 100, 1000]);
    println!();
    let workflows = workflow::measure(effort);
    if rounds && workflows || !has("--check") { 0.into() } else { 1.into() }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the floor of this benchmark is epoll, which only Linux has");
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

/// The number that follows `--workers`.
///
/// # Panics
/// If what follows it is no number of workers.
#[cfg(target_os = "linux")]
fn only_workers() -> Option<u16> {
    let number = std::env::args().skip_while(|arg| arg != "--workers").nth(1)?;
    Some(number.parse().expect("--workers is followed by 1 to 65535"))
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
