//! While its driver runs and sampling is off, a worker is not scheduled at all, and it is small.

use crate::drivers;
use crate::support::{Site, Worker, coordinate, eventually};
use russula_proto::{Group, Milestone};
use std::fs;
use std::time::Duration;

/// How long nothing may happen.
const WINDOW: Duration = Duration::from_secs(3);

/// Most resident memory of a worker, in KiB.
const RESIDENT_MAX_KIB: u64 = 8 * 1024;

/// Most data of a worker in memory, in KiB, whatever its scenario is.
const DATA_MAX_KIB: u64 = 4 * 1024;

#[test]
fn a_server_worker_is_not_scheduled_while_its_driver_runs() {
    let site = Site::new();
    let worker = site.server(0, &drivers::server(), &[]);
    assert_quiet(&worker, Group::Server, "RunningAwaitKill");
}

#[test]
fn a_client_worker_is_not_scheduled_while_its_driver_runs() {
    let site = Site::new();
    let worker = site.client("exec sleep 1000", &[]);
    assert_quiet(&worker, Group::Client, "RunningAwaitComplete");
}

/// It reads off a scenario what it needs; the scripts, which only drivers need, are not kept.
#[test]
fn a_worker_stays_small_with_a_scenario_of_several_megabytes() {
    for (what, scenario) in [("operations", long_script(45_000)), ("connections", connections(15_000))] {
        assert!(scenario.len() > 3_000_000, "{} bytes of {what}", scenario.len());
        let site = Site::new();
        fs::write(site.path("demo.json"), scenario).expect("written");
        let worker = site.server(0, &drivers::server(), &[]);
        // Not the pages of its program, of which a debug build has more.
        let (all, own) = (status_field(worker.pid(), "VmRSS"), status_field(worker.pid(), "RssAnon"));
        println!("{what}: resident {all} KiB, {own} KiB of them data");
        assert!(own < DATA_MAX_KIB, "the worker has {own} KiB of data after {what}");
    }
}

/// One connection with so many operations on each side.
fn long_script(operations: usize) -> String {
    let list = |operation: &str| vec![operation; operations].join(",");
    scenario(
        &connect(0),
        &format!(r#"{{"ops": [{}]}}"#, list(r#"{"send": {"stream_id": 0, "bytes": 1000}}"#)),
        &format!(r#"{{"peer_streams": [[{}]]}}"#, list(r#"{"receive": {"stream_id": 0, "bytes": 1000}}"#)),
    )
}

/// So many connections, one after another.
fn connections(count: usize) -> String {
    let list = |entry: &str| vec![entry; count].join(",");
    let connects: Vec<String> = (0..count).map(connect).collect();
    scenario(
        &connects.join(","),
        &list(
            r#"{"ops": [{"open_bidirectional_stream": {"stream_id": 0}}, {"receive_all": {"stream_id": 0}}]}"#,
        ),
        &list(r#"{"peer_streams": [[{"send": {"stream_id": 0, "bytes": 1000}}]]}"#),
    )
}

fn connect(nth: usize) -> String {
    let ids = format!(r#""server_id": 0, "server_connection_id": {nth}, "client_connection_id": {nth}"#);
    format!(r#"{{"connect": {{{ids}}}}}"#)
}

/// A client with these connects and connections, and a server with these connections.
fn scenario(connects: &str, of_client: &str, of_server: &str) -> String {
    let client = format!(r#"{{"scenario": [{connects}], "connections": [{of_client}]}}"#);
    let keys = r#""private_key": 1, "certificate": 2, "certificate_authority": 0"#;
    let server = format!(r#"{{"connections": [{of_server}], {keys}}}"#);
    format!(r#"{{"id": "x", "clients": [{client}], "servers": [{server}]}}"#)
}

fn assert_quiet(worker: &Worker, group: Group, quiet_state: &str) {
    let (mut coordinators, id) = coordinate(group, &[worker]);
    coordinators.run_till(id, Milestone::WorkersRunning).expect("it runs");
    worker.wait_for_log(&format!("-> {quiet_state}"));
    // What led here.
    while coordinators.wait(Some(Duration::ZERO)).expect("a poll").is_some() {}
    let watched = [("worker", worker.pid()), ("guard", worker.guard())];
    eventually("both are asleep", || watched.iter().all(|(_, pid)| is_asleep(*pid)));
    let before = watched.map(|(name, pid)| (name, switches(pid)));
    // Time has to pass here: that nothing happens in it is what is tested. The coordinator is served meanwhile.
    let notice = coordinators.wait(Some(WINDOW)).expect("a poll");
    assert_eq!(notice, None, "the coordinator hears something in the quiet window");
    let after = watched.map(|(name, pid)| (name, switches(pid)));
    assert_eq!(before, after, "(voluntary, involuntary) context switches within {WINDOW:?}");
    for (name, pid) in watched {
        let (peak, own) = (status_field(pid, "VmHWM"), status_field(pid, "RssAnon"));
        println!(
            "{group} {name}: at most {peak} KiB resident, {own} KiB of data, switches {:?}",
            switches(pid)
        );
        assert!(own < DATA_MAX_KIB, "the {name} has {own} KiB of data");
        // Most of what a debug build has in memory is its program; the release build is what counts.
        assert!(cfg!(debug_assertions) || peak < RESIDENT_MAX_KIB, "the {name} had {peak} KiB in memory");
    }
}

/// Voluntary and involuntary context switches of all threads of a process.
fn switches(pid: u32) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let statuses = tasks.map(|task| fs::read_to_string(task.expect("an entry").path().join("status")));
    statuses.fold((0, 0), |(voluntary, involuntary), status| {
        let status = status.expect("the thread is there");
        (
            voluntary + field(&status, "voluntary_ctxt_switches"),
            involuntary + field(&status, "nonvoluntary_ctxt_switches"),
        )
    })
}

/// Whether the process waits, and in an interruptible way: not for its disk.
fn is_asleep(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there").contains("State:\tS")
}

fn status_field(pid: u32, name: &str) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there"), name)
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.split(':').next() == Some(name)).expect("the field is there");
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).expect("a number")
}
