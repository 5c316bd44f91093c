//! What a worker costs its coordinator: memory, and time for each event, whatever the number of workers is.

use crate::Effort;
use crate::child::{Child, own_cpu_time};
use crate::farm::Farm;
use crate::figures::Figures;
use crate::handshakes::config;
use backends::tcp::{Coordinators, GroupId};
use russula_proto::Milestone;
use std::time::{Duration, Instant};

/// The argument that makes the benchmark a coordinator in a process of its own, whose memory is nobody else's.
pub(crate) const ARGUMENT: &str = "--coordinator-of";

/// Most memory that the coordinator may have for a worker, in bytes.
const TARGET_BYTES: u64 = 8 * 1024;

/// Most time that a round may take per worker, in those of the smallest group. What the processor's caches do not hold
/// any more takes longer; work that grows with the number of workers would take a hundred times as long.
const TARGET_GROWTH: f64 = 2.0;

const DESCRIPTORS_SPARE: u64 = 64;

/// Prints the table; returns whether every figure keeps its target.
pub(crate) fn measure(effort: Effort, descriptors: u64) -> bool {
    println!("what a worker costs its coordinator, which is a process of its own with one thread;");
    println!("a round is one goal out to every worker and one report back from each; median (min to max)");
    println!(
        "{:>7}  {:<18}{:<28}{:<28}",
        "workers", "memory each, KiB", "round, processor µs each", "round, µs each"
    );
    let mut on_target = true;
    let mut first = None;
    for workers in [100, 1000, 10_000_u16] {
        if effort == Effort::Quick && workers > 1000 {
            continue;
        }
        if u64::from(workers) + DESCRIPTORS_SPARE > descriptors {
            println!("{workers:>7}  left out: the limit of file descriptors is {descriptors}");
            continue;
        }
        let [memory, processor, wall] = measure_apart(effort, workers);
        let growth = processor[1] / *first.get_or_insert(processor[1]);
        let is_small = workers < 10_000 || memory[1] <= TARGET_BYTES as f64 / 1024.0;
        let is_steady = growth <= TARGET_GROWTH;
        let show = |figures: [f64; 3]| format!("{:.2} ({:.2} to {:.2})", figures[1], figures[0], figures[2]);
        let verdict = match (is_small, is_steady) {
            (true, true) => "",
            (false, _) => "over the target of 8 KiB",
            (true, false) => "over the target of 2 times that of 100 workers",
        };
        let (processor, wall) = (show(processor), show(wall));
        println!("{workers:>7}  {:<18.2}{processor:<28}{wall:<28}{verdict}", memory[1]);
        on_target &= is_small && is_steady;
    }
    on_target
}

/// Minimum, median and maximum of memory in KiB, and of the time of a round on the processor and in all in microseconds;
/// each for one worker.
fn measure_apart(effort: Effort, workers: u16) -> [[f64; 3]; 3] {
    let rounds = match effort {
        Effort::Quick => 3,
        Effort::Full => 100_000 / u32::from(workers),
    };
    let mut child = Child::start(&[ARGUMENT, &workers.to_string(), &rounds.to_string()]);
    [(); 3].map(|()| {
        let line = child.line();
        let mut numbers = line.split_whitespace().map(|number| number.parse().expect("a number"));
        [(); 3].map(|()| numbers.next().expect("three numbers"))
    })
}

/// The `main` of a coordinator whose memory is measured.
pub(crate) fn main(workers: u16, rounds: u32) {
    let farm = Farm::start(workers);
    let mut coordinators = Coordinators::new().expect("a poll");
    let before = resident_bytes();
    let group = coordinators.add(config(workers), farm.addresses.clone());
    coordinators.begin(group, 1, 0);
    coordinators.run_till(group, Milestone::Done).expect("a repetition");
    let memory = (resident_bytes() - before) as f64 / 1024.0 / f64::from(workers);
    println!("{memory} {memory} {memory}");
    let measured: Vec<_> = (2..2 + rounds).map(|number| round(&mut coordinators, group, number)).collect();
    let (processor, wall): (Vec<Duration>, Vec<Duration>) = measured.into_iter().unzip();
    for durations in [processor, wall] {
        let each = Figures::of(durations).in_units(Duration::from_micros(1));
        let [min, median, max] = each.map(|micros| micros / f64::from(workers));
        println!("{min} {median} {max}");
    }
    drop(coordinators);
}

/// Takes every worker to ready; the time on the processor and in all. Then, not measured, gives the repetition up.
fn round(coordinators: &mut Coordinators, group: GroupId, number: u32) -> (Duration, Duration) {
    let (processor, start) = (own_cpu_time(), Instant::now());
    coordinators.begin(group, number, 0);
    coordinators.run_till(group, Milestone::Ready).expect("workers become ready");
    let measured = (own_cpu_time() - processor, start.elapsed());
    coordinators.with(group, |coordinator, now| coordinator.abort(now));
    coordinators.run_till(group, Milestone::Done).expect("nothing runs");
    measured
}

/// What this process has in memory (`/proc/self/statm`, in `proc_pid_statm(5)`).
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the process is there");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * rustix::param::page_size() as u64
}
