//! Barrier rounds: Russula against the floor.

use crate::Effort;
use crate::common::{WorkerPlan, Workers, coordinator_config};
use crate::figures::{Block, Figures, Ratio};
use crate::floor::Floor;
use backends::tcp::{Coordinators, GroupId};
use russula_proto::wire::{CoordinatorMessage, Goal, Position, Report, Target, WorkerMessage, encode};
use russula_proto::{Group, Milestone};
use std::time::{Duration, Instant};

/// Most that a round may take, in floors, at [`TARGET_WORKERS`] and more workers.
const TARGET_RATIO: f64 = 1.5;
const TARGET_WORKERS: u16 = 100;

/// The repetition of the first round. All that follow have numbers of the same length on the wire, so
/// that the floor's messages stay as long as Russula's.
const FIRST_REPETITION: u32 = 1 << 7;
const LAST_REPETITION: u32 = (1 << 14) - 1;

/// Per worker: epoll, listener, waker, timer and two ends of a connection; and three for the floor.
const DESCRIPTORS_PER_WORKER: u64 = 6 + 3;
const DESCRIPTORS_SPARE: u64 = 64;

/// Prints the table for groups of these sizes; returns whether every figure keeps its target.
pub(crate) fn measure(effort: Effort, descriptors: u64, groups: &[u16]) -> bool {
    println!("barrier round: one goal out to every worker, one report back from each");
    println!("median (min to max); the ratio is that of the medians (lowest to highest block)");
    println!("{:>7}  {:<30}{:<30}ratio", "workers", "floor µs", "russula µs");
    let mut on_target = true;
    for &workers in groups {
        let needed = DESCRIPTORS_PER_WORKER * u64::from(workers) + DESCRIPTORS_SPARE;
        if needed > descriptors {
            println!(
                "{workers:>7}  left out: it needs {needed} file descriptors, the limit is {descriptors}"
            );
            continue;
        }
        // Fewer rounds of larger groups, so that each size takes seconds.
        let rounds = (10_000 / u32::from(workers)).clamp(30, 1000);
        let (blocks, rounds) = match effort {
            Effort::Quick => (2, rounds / 10),
            Effort::Full => (7, rounds),
        };
        let measured = measure_blocks(workers, blocks, rounds);
        let ratio = Ratio::of(&measured);
        let (floor, ours) = (Figures::of_floor(&measured), Figures::of_ours(&measured));
        let kept = workers < TARGET_WORKERS || ratio.overall <= TARGET_RATIO;
        let verdict = if kept { "" } else { "  over the target of 1.5" };
        println!("{workers:>7}  {:<30}{:<30}{ratio}{verdict}", floor.in_us(), ours.in_us());
        on_target &= kept;
    }
    on_target
}

fn measure_blocks(workers: u16, blocks: u32, rounds: u32) -> Vec<Block> {
    let mut floor = Floor::start(usize::from(workers), goal_frame(), &report_frame());
    let mut russula = Russula::start(workers);
    let mut measured = vec![];
    for _ in 0..blocks {
        let mut block = Block::default();
        for _ in 0..rounds {
            // As Russula does before its round, the floor exchanges something that is not measured.
            floor.round();
            block.floor.push(floor.round());
            block.ours.push(russula.round());
        }
        measured.push(block);
    }
    russula.finish();
    measured
}

struct Russula {
    workers: Workers,
    coordinators: Coordinators,
    group: GroupId,
    repetition: u32,
}

impl Russula {
    fn start(count: u16) -> Self {
        let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(Group::Server, count) }.start();
        let mut coordinators = Coordinators::new().expect("a poll");
        let group = coordinators.add(coordinator_config(Group::Server, count), workers.addresses());
        let mut russula = Self { workers, coordinators, group, repetition: FIRST_REPETITION - 1 };
        russula.round();
        russula
    }

    /// Takes every worker to ready in a new repetition and returns how long that took; then, not
    /// measured, gives the repetition up and waits until that is heard of every worker.
    fn round(&mut self) -> Duration {
        self.repetition += 1;
        assert!(self.repetition <= LAST_REPETITION, "fewer rounds than numbers of this length");
        let start = Instant::now();
        self.coordinators.with(self.group, |coordinator, now| coordinator.begin(self.repetition, 0, now));
        self.coordinators.run_till(self.group, Milestone::Ready).expect("workers become ready");
        let elapsed = start.elapsed();
        self.coordinators.with(self.group, |coordinator, now| coordinator.abort(now));
        self.coordinators.run_till(self.group, Milestone::Done).expect("nothing runs");
        elapsed
    }

    fn finish(mut self) {
        self.coordinators.finish().expect("the poll works");
        self.workers.join();
    }
}

fn goal_frame() -> Vec<u8> {
    let goal = Goal { repetition: FIRST_REPETITION, program: 0, target: Target::Ready, start_at: None };
    plain_frame(&CoordinatorMessage::Goal(goal))
}

fn report_frame() -> Vec<u8> {
    plain_frame(&WorkerMessage::Report(Report {
        repetition: FIRST_REPETITION,
        started_at: None,
        quiet: None,
        position: Position::Ready,
    }))
}

/// A message as it crossed the wire before links were encrypted: the floor does not pay for the seal.
fn plain_frame(message: &impl serde::Serialize) -> Vec<u8> {
    let message = encode(message);
    let len = u32::try_from(message.len()).expect("messages are short");
    [&len.to_be_bytes()[..], &message].concat()
}
