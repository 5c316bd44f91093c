//! System calls that are interrupted. A program of its own, since all threads of a process are.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use backends::tcp::Coordinators;
use common::{WorkerPlan, coordinator_config, within};
use russula_proto::{Group, Milestone};
use std::process::Command;
use std::time::Duration;

/// Waits of epoll end with `EINTR` when the process is stopped and continued (signal(7), "Interruption of
/// system calls and library functions by stop signals"); that meets every thread, which a signal does not.
#[test]
fn a_process_that_is_stopped_and_continued_all_the_time_runs_to_done() {
    within("repetitions of a process that is stopped and continued", || {
        let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(Group::Server, 4) }.start();
        let mut coordinators = Coordinators::new().unwrap();
        let id = coordinators.add(coordinator_config(Group::Server, 4), workers.addresses());
        let pid = std::process::id();
        let script = format!("for _ in $(seq 3000); do kill -STOP {pid}; kill -CONT {pid}; done");
        let mut interrupter = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let mut repetition = 0;
        let status = loop {
            repetition += 1;
            coordinators.with(id, |coordinator, now| coordinator.begin(repetition, 0, now));
            coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
            // Nothing comes while the programs run, so this is a wait that only its end or a stop interrupts.
            while coordinators.wait(Some(Duration::from_millis(5))).unwrap().is_some() {}
            coordinators.run_till(id, Milestone::Done).unwrap();
            if let Some(status) = interrupter.try_wait().unwrap() {
                break status;
            }
        };
        assert!(status.success(), "the process was stopped and continued: {status}");
        assert!(workers.starts().into_iter().all(|starts| starts == repetition));
        coordinators.finish().unwrap();
        workers.join();
    });
}
