//! The whole server workflow, from nothing to workers running, and from there to done.

use crate::Effort;
use crate::common::{WorkerPlan, coordinator_config};
use crate::figures::Figures;
use backends::tcp::{Coordinators, GroupId};
use russula_proto::{Group, Milestone};
use std::time::{Duration, Instant};

/// Most that 100 workers may take to each milestone.
const TARGET: Duration = Duration::from_millis(200);

/// Prints the table; returns whether every figure keeps its target.
pub(crate) fn measure(effort: Effort) -> bool {
    println!("the whole server workflow with a no-op program; median (min to max)");
    println!("'first' begins without a connection, 'again' is a repetition over the same connections");
    println!("{:>7}  {:<8}{:<26}{:<26}", "workers", "", "to running ms", "from there to done ms");
    let runs = match effort {
        Effort::Quick => 3,
        Effort::Full => 20,
    };
    let mut on_target = true;
    for workers in [7, 100] {
        let (mut first, mut again) = (vec![], vec![]);
        for _ in 0..runs {
            let (one, other) = run(workers);
            first.push(one);
            again.push(other);
        }
        for (name, runs) in [("first", first), ("again", again)] {
            let (to_running, to_done): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
            let (to_running, to_done) = (Figures::of(to_running), Figures::of(to_done));
            let kept = to_running.median() < TARGET && to_done.median() < TARGET;
            let verdict = if kept { "" } else { "over the target of 200 ms" };
            println!("{workers:>7}  {name:<8}{:<26}{:<26}{verdict}", to_running.in_ms(), to_done.in_ms());
            on_target &= kept;
        }
    }
    on_target
}

/// Time to running and from there to done.
type Run = (Duration, Duration);

/// Two repetitions of new workers.
fn run(count: u16) -> (Run, Run) {
    let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(Group::Server, count) }.start();
    let start = Instant::now();
    let mut coordinators = Coordinators::new().expect("a poll");
    let group = coordinators.add(coordinator_config(Group::Server, count), workers.addresses());
    let first = repetition(&mut coordinators, group, 1, start);
    let again = repetition(&mut coordinators, group, 2, Instant::now());
    coordinators.finish().expect("the poll works");
    workers.join();
    (first, again)
}

fn repetition(coordinators: &mut Coordinators, group: GroupId, number: u32, start: Instant) -> Run {
    coordinators.with(group, |coordinator, now| coordinator.begin(number, 0, now));
    coordinators.run_till(group, Milestone::WorkersRunning).expect("every program runs");
    let to_running = start.elapsed();
    let start = Instant::now();
    coordinators.run_till(group, Milestone::Done).expect("every program ends");
    (to_running, start.elapsed())
}
