//! Start at T: how close together the programs of many client workers start, each worker a process of its own.
//!
//! All of them are on one machine and so on one clock, which is what the core's figures can be compared with.

use crate::Effort;
use crate::child::{Child, end_with_stdin, monotonic_nanos};
use crate::common::{NoOp, WorkerPlan, coordinator_config};
use crate::sleepers::Sleepers;
use backends::tcp::{Coordinators, GroupId, Programs, ProgramsWake, WorkerDriver};
use mio::{Registry, Token};
use russula_proto::{
    CoordinatorConfig, Exit, Group, Milestone, Outcome, RunId, StartFailure, StartSkew, Text,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The argument that makes the benchmark a client worker.
pub(crate) const ARGUMENT: &str = "--client";

const WORKERS: u16 = 50;

/// Most time between the first start and the last one, in 99 of 100 repetitions, on a machine that is idle.
const TARGET: Duration = Duration::from_millis(1);

/// How long a program runs.
const PROGRAM_RUNS: Duration = Duration::from_millis(20);

/// Prints the figures; returns whether every one keeps its target.
pub(crate) fn measure(effort: Effort) -> bool {
    let repetitions = match effort {
        Effort::Quick => 5,
        Effort::Full => 200,
    };
    println!("start at T: {repetitions} starts of {WORKERS} client workers, each a process of its own");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    let measured = start_together(repetitions);
    let of = |value: fn(&Start) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        [rank(50), rank(99), rank(100)]
    };
    println!("{:<48}{:>8}{:>8}{:>8}", "µs", "p50", "p99", "max");
    let (floor, spread) = (of(|start| start.floor_us), of(|start| start.spread_us));
    let print = |what: &str, [p50, p99, max]: [f64; 3]| println!("{what:<48}{p50:>8.0}{p99:>8.0}{max:>8.0}");
    print("floor: first to last of as many that only sleep", floor);
    print("first to last start, by the machine's clock", spread);
    print("first to last start, as the core tells it", of(|start| start.skew.spread_us as f64));
    print("the core's bound of that", of(|start| 2.0 * start.skew.bound_us as f64));
    print("difference of the two", of(Start::difference_us));
    print(
        "last start after T, as the core tells it",
        of(|start| start.skew.lateness_us.unwrap_or_default() as f64),
    );
    let ratios = [0, 1].map(|nth| spread[nth] / floor[nth]);
    println!("times the floor: {:.2} (p50), {:.2} (p99)", ratios[0], ratios[1]);
    let is_close = spread[1] < TARGET.as_secs_f64() * 1e6;
    let is_true = measured.iter().all(Start::is_within_bound);
    if !is_close {
        println!("over the target of 1 ms at p99");
    }
    if !is_true {
        println!("the core's figures differ by more than their bound");
    }
    is_close && is_true
}

/// One start of all workers.
struct Start {
    /// What sleepers needed just before.
    floor_us: f64,
    /// By the clock that all of them share.
    spread_us: f64,
    skew: StartSkew,
}

impl Start {
    fn difference_us(&self) -> f64 {
        (self.spread_us - self.skew.spread_us as f64).abs()
    }

    /// The first and the last start may each be off by the bound, and a program runs a moment after it was started.
    fn is_within_bound(&self) -> bool {
        self.difference_us() <= 2.0 * self.skew.bound_us as f64 + STARTING_US
    }
}

/// From the start of a program to the moment that its worker takes for it: a few instructions, unless the worker is
/// interrupted just there.
const STARTING_US: f64 = 100.0;

fn start_together(repetitions: u32) -> Vec<Start> {
    let mut workers: Vec<Child> =
        (0..WORKERS).map(|index| Child::start(&[ARGUMENT, &index.to_string()])).collect();
    let listens = |worker: &mut Child| worker.line().parse::<SocketAddr>().expect("an address");
    let addresses = workers.iter_mut().map(listens).collect();
    let mut coordinators = Coordinators::new().expect("a poll");
    let config = CoordinatorConfig { run: run(), ..coordinator_config(Group::Client, WORKERS) };
    let group = coordinators.add(config, addresses);
    let mut sleepers = Sleepers::start(WORKERS);
    let starts = (1..=repetitions)
        .map(|number| start(&mut coordinators, group, number, sleepers.spread().as_secs_f64() * 1e6))
        .collect();
    coordinators.finish().expect("the poll works");
    starts
}

fn start(coordinators: &mut Coordinators, group: GroupId, number: u32, floor_us: f64) -> Start {
    coordinators.begin(group, number, 0);
    for milestone in Milestone::ALL {
        coordinators.run_till(group, milestone).expect("every program runs and ends");
    }
    let coordinator = coordinators.get(group);
    let at = |peer: russula_proto::PeerView<'_>| -> u64 {
        let outcome = peer.ending.and_then(|ending| ending.outcome()).expect("it ended");
        outcome.stderr_tail.as_str().parse().expect("the worker's program says when it was started")
    };
    let starts: Vec<u64> = coordinator.peers().map(at).collect();
    let (first, last) = (starts.iter().min(), starts.iter().max());
    let spread_nanos = last.zip(first).map(|(last, first)| last - first).expect("there are workers");
    let skew = coordinator.start_skew().expect("they were to start together");
    assert_eq!(skew.started, usize::from(WORKERS));
    Start { floor_us, spread_us: spread_nanos as f64 / 1e3, skew }
}

fn run() -> RunId {
    "skew".parse().expect("a run id")
}

/// The `main` of a client worker.
pub(crate) fn main(index: u16) {
    let plan = WorkerPlan { run: run(), ..WorkerPlan::new(Group::Client, WORKERS) };
    let program = Stopwatch::default();
    let mut driver = WorkerDriver::bind(plan.address, plan.worker(index), program).expect("a free port");
    println!("{}", driver.address().expect("it is bound"));
    end_with_stdin();
    driver.run(&mut ()).expect("the poll works");
}

/// A program that says when it was started.
#[derive(Debug, Default)]
struct Stopwatch {
    /// By the clock of the machine, in nanoseconds; as long as the worker has not heard of it.
    started: Option<u64>,
    at: Option<u64>,
    ends: Option<Instant>,
}

impl Programs for Stopwatch {
    fn start(&mut self, _: u16, _: u32, _: &Registry, _: Token) -> Result<(), StartFailure> {
        self.started = Some(monotonic_nanos());
        self.at = self.started;
        self.ends = Some(Instant::now() + PROGRAM_RUNS);
        Ok(())
    }

    fn terminate(&mut self) {
        self.ends = Some(Instant::now());
    }

    fn kill(&mut self) {
        self.terminate();
    }

    fn wake(&mut self, _: &Registry) -> Option<ProgramsWake> {
        if self.started.take().is_some() {
            return Some(ProgramsWake::Started);
        }
        self.ends.filter(|at| *at <= Instant::now())?;
        self.ends = None;
        let stderr_tail = Text::tail_of(&self.at.take()?.to_string());
        Some(ProgramsWake::Ended(Outcome { stderr_tail, ..NoOp::outcome(Exit::Code(0), 0) }))
    }

    fn next_wake(&self) -> Option<Instant> {
        self.ends
    }
}
