//! Connect, handshake and welcome of many workers on one coordinator thread, against the floor: the arithmetic of both
//! sides.

use crate::Effort;
use crate::arithmetic;
use crate::child::own_cpu_time;
use crate::common::coordinator_config;
use crate::farm::{self, Farm};
use crate::figures::{Block, Figures, Ratio};
use backends::tcp::{Coordinators, Notice};
use russula_proto::coordinator::Event;
use russula_proto::{CoordinatorConfig, CoordinatorLimits, Group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::time::{Duration, Instant};

/// Most processor time that all of it may take, in floors.
const TARGET_RATIO: f64 = 1.5;

/// Descriptors besides a connection for each worker.
const DESCRIPTORS_SPARE: u64 = 64;

/// Prints the table; returns whether every figure keeps its target.
pub(crate) fn measure(effort: Effort, descriptors: u64) -> bool {
    println!("connect, handshake and welcome of N workers, in µs for each; median (min to max)");
    println!(
        "one thread is the coordinator; one thread of another process is all workers, each with a state of"
    );
    println!("its own; the floor is the arithmetic of both sides of N handshakes, on one thread");
    println!(
        "'processor' is the time of both processes on a processor, and what the ratio is of; 'one' is the time"
    );
    println!("that passes when both share one processor with nobody else, 'two' when each has its own");
    println!("{:>7}  {:<22}{:<22}{:<22}{:<22}ratio", "workers", "floor", "processor", "one", "two");
    let mut on_target = true;
    for (workers, runs) in [(1000, 10), (10_000, 3)] {
        if u64::from(workers) + DESCRIPTORS_SPARE > descriptors {
            println!("{workers:>7}  left out: the limit of file descriptors is {descriptors}");
            continue;
        }
        let runs = match effort {
            Effort::Quick if workers > 1000 => continue,
            Effort::Quick => 1,
            Effort::Full => runs,
        };
        let (one, two): (Vec<Run>, Vec<Run>) = (0..runs).map(|_| measure_once(workers)).unzip();
        let blocks: Vec<Block> =
            one.iter().map(|run| Block { floor: vec![run.floor], ours: vec![run.processor()] }).collect();
        let ratio = Ratio::of(&blocks);
        let kept = ratio.overall <= TARGET_RATIO;
        let verdict = if kept { "" } else { "  over the target of 1.5" };
        let each = |runs: &[Run], time: fn(&Run) -> Duration| {
            Figures::of(runs.iter().map(|run| time(run) / u32::from(workers))).in_us()
        };
        let (floor, processor) = (each(&one, |run| run.floor), each(&one, Run::processor));
        let (one, two) = (each(&one, |run| run.took), each(&two, |run| run.took));
        println!("{workers:>7}  {floor:<22}{processor:<22}{one:<22}{two:<22}{ratio}{verdict}");
        on_target &= kept;
    }
    on_target
}

/// One group of workers that was connected.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// On the processor.
    floor: Duration,
    /// From the first attempt to connect until the last welcome was heard.
    took: Duration,
    /// On the processor.
    coordinator: Duration,
    /// On the processor.
    workers: Duration,
}

impl Run {
    fn processor(&self) -> Duration {
        self.coordinator + self.workers
    }
}

/// With both processes on one processor, and without that.
fn measure_once(workers: u16) -> (Run, Run) {
    let all = sched_getaffinity(None).expect("it can be read");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)).expect("this runs on one"));
    sched_setaffinity(None, &one).expect("one of those that are allowed");
    let shared = connect(workers);
    sched_setaffinity(None, &all).expect("those that were allowed before");
    (shared, connect(workers))
}

/// What the coordinator of a farm is told.
pub(crate) fn config(workers: u16) -> CoordinatorConfig {
    let config = coordinator_config(Group::Server, workers);
    let limit = Duration::from_secs(60);
    let limits = CoordinatorLimits { attempt: limit, ready: limit, stop: limit, ..config.limits };
    CoordinatorConfig { run: farm::run(), limits, ..config }
}

fn connect(workers: u16) -> Run {
    // The farm inherits the processors that this thread may use.
    let farm = Farm::start(workers);
    let before = arithmetic::measure(workers);
    let mut coordinators = Coordinators::new().expect("a poll");
    let (own, theirs) = (own_cpu_time(), farm.child.cpu_time());
    let start = Instant::now();
    let group = coordinators.add(config(workers), farm.addresses.clone());
    let mut welcomed = 0;
    while welcomed < workers {
        match coordinators.wait(None).expect("the poll works") {
            Some(Notice::Event(_, Event::Connected(_))) => welcomed += 1,
            Some(Notice::Event(_, event)) => panic!("{event:?}"),
            Some(Notice::Ready(_)) | None => {}
        }
    }
    let took = start.elapsed();
    let (coordinator, workers_took) = (own_cpu_time() - own, farm.child.cpu_time() - theirs);
    assert!(coordinators.get(group).peers().all(|peer| peer.is_connected));
    drop(coordinators);
    drop(farm);
    let floor = (before + arithmetic::measure(workers)) / 2;
    Run { floor, took, coordinator, workers: workers_took }
}
