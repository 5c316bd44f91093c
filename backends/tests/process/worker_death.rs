//! What happens to a driver when its worker cannot end it any more.

use crate::roles::{Role, own_path, role_args};
use crate::support::{Bench, eventually, group_of, is_alive, members};
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A worker process with its driver.
struct Worker {
    child: Child,
    group: u32,
}

impl Worker {
    fn start(bench: &Bench, script: &str, then: &'static str) -> Self {
        let role = Role::Worker { script: script.into(), dir: bench.path(""), then };
        let child = Command::new(own_path())
            .args(role_args())
            .envs(role.env())
            .stdout(Stdio::null())
            .spawn()
            .expect("spawned");
        eventually("the worker has started its driver", || bench.path("started").exists());
        let driver: u32 = bench.read("started").parse().expect("a process id");
        Self { child, group: group_of(driver) }
    }

    /// Kills the worker with SIGKILL and waits until nothing of the group of the driver is alive.
    fn kill(mut self, least_members: usize) {
        let alive: Vec<u32> = members(self.group).into_iter().filter(|pid| is_alive(*pid)).collect();
        assert!(alive.len() >= least_members, "{alive:?}");
        let killed = Instant::now();
        self.child.kill().expect("killed");
        eventually("the whole group has ended", || {
            members(self.group).into_iter().chain(alive.iter().copied()).all(|pid| !is_alive(pid))
        });
        println!("nothing is left after {:?} (target: about a second)", killed.elapsed());
        self.child.wait().expect("reaped");
    }
}

#[test]
fn a_killed_worker_takes_its_driver_and_its_grandchildren_along() {
    let bench = Bench::new();
    let worker = Worker::start(&bench, "sleep 1000 & (sleep 1000; :) & echo up; wait", "rest");
    eventually("the driver has children", || bench.read("stdout").contains("up"));
    eventually("and a grandchild", || members(worker.group).len() >= 5);
    // Guard, driver, its two children and one grandchild.
    worker.kill(5);
}

#[test]
fn a_driver_that_ignored_term_dies_with_its_worker() {
    let bench = Bench::new();
    let script = "trap '' HUP INT; trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done";
    let worker = Worker::start(&bench, script, "rest");
    eventually("the driver ignores TERM", || bench.read("stdout").contains("ready"));
    // The guard gets the signal too, and must live on to see the end of the worker.
    let group = Pid::from_raw(worker.group.cast_signed()).expect("a group");
    kill_process_group(group, Signal::TERM).expect("sent");
    eventually("TERM has arrived", || bench.read("stdout").contains("no"));
    assert!(is_alive(worker.group));
    worker.kill(2);
}

#[test]
fn a_worker_that_terminated_its_driver_and_died_leaves_nothing() {
    let bench = Bench::new();
    let worker = Worker::start(&bench, "sleep 1000", "terminate");
    // The worker does not reap it: it stays a zombie.
    eventually("the driver has ended", || {
        members(worker.group).iter().all(|pid| *pid == worker.group || !is_alive(*pid))
    });
    assert!(is_alive(worker.group), "the guard outlives the driver");
    worker.kill(1);
}

#[test]
fn a_guard_does_not_kill_a_group_that_it_does_not_lead() {
    let guard = crate::roles::guard_program("UNUSED=1");
    // Without a group of its own this is a member of the group of the tests.
    let output = Command::new(guard.path).args(guard.args).stdin(Stdio::null()).output().expect("ran");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("as the leader of a process group of its own"), "{stderr}");
    assert!(!output.status.success());
}
