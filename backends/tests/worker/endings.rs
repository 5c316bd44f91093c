//! Every way in which a worker ends while its driver runs: the driver ends with it.

use crate::drivers;
use crate::support::{KEY, PATIENCE, Site, WORKER, Worker, config, coordinate, eventually, is_alive};
use backends::key_file;
use backends::tcp::{Coordinators, GroupId};
use russula_proto::{CoordinatorConfig, Group, Milestone};
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

/// A worker whose driver runs, with its coordinator.
struct Running {
    worker: Worker,
    config: CoordinatorConfig,
    coordinators: Coordinators,
    group: GroupId,
    driver: u32,
    guard: u32,
}

impl Running {
    fn server(site: &Site, more: &[&str]) -> Self {
        Self::new(site.server(0, &drivers::server(), more), Group::Server)
    }

    fn client(site: &Site, script: &str, more: &[&str]) -> Self {
        Self::new(site.client(script, more), Group::Client)
    }

    fn new(worker: Worker, group: Group) -> Self {
        let config = config("manual", group, &[&worker]);
        let mut coordinators = Coordinators::new().expect("a poll");
        let group = coordinators.add(config.clone(), vec![worker.address]);
        coordinators.begin(group, 1, 0);
        coordinators.run_till(group, Milestone::WorkersRunning).expect("it runs");
        let (driver, guard) = (worker.driver(), worker.guard());
        Self { worker, config, coordinators, group, driver, guard }
    }

    fn assert_nothing_alive(&self) {
        for (pid, what) in [(self.driver, "driver"), (self.guard, "guard")] {
            assert!(!is_alive(pid), "the {what} outlives the worker");
        }
    }
}

#[test]
fn a_signal_stops_the_driver_and_ends_the_worker() {
    // Under nohup(1) this process ignores HUP, and so does what it starts.
    let ignores_hangups = mask_of(std::process::id(), "SigIgn:") & 1 == 1;
    let signals = [Signal::TERM, Signal::INT, Signal::HUP];
    for signal in signals.into_iter().filter(|signal| *signal != Signal::HUP || !ignores_hangups) {
        let site = Site::new();
        let mut running = Running::server(&site, &[]);
        running.worker.signal(signal);
        running.worker.assert_ends_with(130);
        running.assert_nothing_alive();
        let log = running.worker.log();
        assert!(log.contains("a signal tells this worker to end"), "{log}");
        assert!(log.contains("the driver ended: signal 15"), "{log}");
        // The coordinator heard of it before the worker was gone.
        let Running { coordinators, group, .. } = &mut running;
        while coordinators.get(*group).peer(0).ending.is_none() {
            coordinators.wait(Some(PATIENCE)).expect("a poll").expect("the ending was told");
        }
        let ending = coordinators.get(*group).peer(0).ending.expect("it is there");
        assert_eq!(ending.to_string(), "was stopped, signal 15");
    }
}

/// As under nohup(1).
#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_ignored() {
    let site = Site::new();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" probe --listen 127.0.0.1:0 --key-file \"$1\"", WORKER]);
    command.arg(site.path("run.key"));
    let mut worker = Worker::start(command, site.path("log"));
    worker.signal(Signal::HUP);
    assert_eq!(mask_of(worker.pid(), "SigIgn:") & 1, 1, "HUP is the first bit");
    assert_eq!(mask_of(worker.pid(), "SigCgt:") & 1, 0);
    assert!(!worker.log().contains("a signal tells this worker to end"), "{}", worker.log());
    worker.signal(Signal::TERM);
    worker.assert_ends_with(130);
}

/// A mask of signals of a process: signal N is bit N - 1 (`proc_pid_status(5)`).
fn mask_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
    u64::from_str_radix(line.trim(), 16).expect("a mask")
}

#[test]
fn a_driver_that_ignores_the_signal_is_killed_after_the_grace() {
    let site = Site::new();
    let deaf = site.path("deaf");
    let script = format!("trap '' TERM; touch '{}'; while :; do sleep 1000; done", deaf.display());
    let mut running = Running::client(&site, &script, &["--kill-grace", "100ms"]);
    // A program runs before it has executed its first line, and would end by the signal until then.
    eventually("the driver ignores the signal", || deaf.exists());
    running.worker.signal(Signal::TERM);
    running.worker.assert_ends_with(130);
    running.assert_nothing_alive();
    let log = running.worker.log();
    assert!(log.contains("did not end in time and is killed"), "{log}");
    assert!(log.contains("the driver ended: signal 9"), "{log}");
}

#[test]
fn without_its_coordinator_a_worker_stops_its_driver_after_the_orphan_timeout_and_keeps_its_ending() {
    let site = Site::new();
    let mut running = Running::client(&site, "echo help >&2; exec sleep 1000", &["--orphan-timeout", "1s"]);
    let stderr = site.path("client/logs/client-127.0.0.1.fake.stderr.log");
    eventually("the driver says help", || {
        std::fs::read_to_string(&stderr).is_ok_and(|text| text == "help\n")
    });
    let left = Instant::now();
    running.coordinators = Coordinators::new().expect("a poll");
    running.worker.wait_for_log("RunningAwaitComplete -> Killing");
    assert!(left.elapsed() >= Duration::from_secs(1), "it has a second to come back");
    running.worker.assert_ends_with(3);
    running.assert_nothing_alive();
    let log = running.worker.log();
    assert!(log.contains("the coordinator is gone and did not come back within the orphan timeout"), "{log}");
    let kept = kept_ending(&site);
    assert_eq!(kept["repetition"], 1);
    assert_eq!(kept["what"], "the driver was stopped, signal 15");
    assert_eq!(kept["ending"]["Stopped"]["exit"]["Signal"], 15);
    assert_eq!(kept["ending"]["Stopped"]["stderr_tail"], "help\n");
    assert!(log.contains("repetition 1: the driver was stopped, signal 15; see "), "{log}");
}

#[test]
fn a_driver_that_ended_before_the_orphan_timeout_is_kept_as_it_ended() {
    let site = Site::new();
    let go = site.path("go");
    let script = format!("until [ -e '{}' ]; do sleep 0.01; done; exit 7", go.display());
    let mut running = Running::client(&site, &script, &["--orphan-timeout", "5s"]);
    running.coordinators = Coordinators::new().expect("a poll");
    running.worker.wait_for_log("coordinator gone");
    std::fs::write(go, "").expect("written");
    running.worker.wait_for_log("the driver ended: exit status 7");
    running.worker.assert_ends_with(3);
    running.assert_nothing_alive();
    let kept = kept_ending(&site);
    assert_eq!(kept["what"], "the driver ended by itself with exit status 7");
    assert_eq!(kept["ending"]["Exited"]["exit"]["Code"], 7);
}

/// What the client's worker has written about the ending that nobody heard.
fn kept_ending(site: &Site) -> serde_json::Value {
    let path = site.path("client/logs/client-127.0.0.1.orphan.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("it was kept")).expect("JSON")
}

#[test]
fn a_coordinator_that_comes_back_in_time_finds_its_run() {
    let site = Site::new();
    let mut running = Running::client(&site, "exec sleep 1000", &[]);
    let coordinator = running.coordinators.get(running.group);
    let memories: Vec<_> = coordinator.memories().collect();
    drop(running.coordinators);
    running.worker.wait_for_log("coordinator gone");
    let mut coordinators = Coordinators::new().expect("a poll");
    let config = CoordinatorConfig { incarnation: 1, ..running.config.clone() };
    let group = coordinators.add(config, vec![running.worker.address]);
    coordinators.with(group, |coordinator, now| {
        coordinator.take_over(1, 0, Some(Milestone::WorkersRunning), &memories, now);
    });
    coordinators.run_till(group, Milestone::WorkersRunning).expect("it still runs");
    assert_eq!(running.worker.driver(), running.driver, "it is the same driver");
    running.coordinators = coordinators;
}

#[test]
fn a_worker_that_is_killed_takes_its_driver_with_it() {
    for (before, after) in
        [("", "exec sleep 1000"), ("trap '' TERM HUP INT;", "sleep 1000 & wait; sleep 1000")]
    {
        let site = Site::new();
        let ready = site.path("ready");
        let script = format!("{before} touch '{}'; {after}", ready.display());
        let mut running = Running::client(&site, &script, &[]);
        eventually("the driver is as stubborn as it is meant to be", || ready.exists());
        let killed = Instant::now();
        running.worker.signal(Signal::KILL);
        running.worker.end();
        eventually("the end of driver and guard", || !is_alive(running.driver) && !is_alive(running.guard));
        println!("driver and guard ended within {:?} (target: about a second)", killed.elapsed());
    }
}

#[test]
fn a_worker_that_was_asked_to_ends_with_its_stdin() {
    let site = Site::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    // The key is in the pipe before the worker is there, and what follows it is the end.
    key_file::write_to(&mut writer, &KEY).expect("room for a line");
    let mut command = Command::new(WORKER);
    command.args(["probe", "--listen", "127.0.0.1:0", "--exit-with-stdin", "--key-file", "-"]);
    let mut worker = Worker::start_with_stdin(command, reader.into(), site.path("log"));
    let (mut coordinators, probes) = coordinate(Group::Probe, &[&worker]);
    coordinators.run_till(probes, Milestone::Done).expect("it has the key");
    drop(writer);
    worker.assert_ends_with(130);
    assert!(worker.log().contains("whoever started this worker is gone"), "{}", worker.log());
}
