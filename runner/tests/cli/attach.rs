//! Workers that were started by hand, and a run over them.

use crate::bench::Bench;
use crate::workers::{Place, Workers};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_run_over_workers_started_by_hand() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, &["mine"], &[]);
    let finished = workers.attach(&["--repeat", "2"]).end();
    finished.expect_code(0);
    let summary = bench.summary();
    assert_eq!(summary["drivers"][0]["repetitions"].as_array().map(Vec::len), Some(2));
    workers.expect_dismissed();
    let address = summary["drivers"][0]["repetitions"][0]["clients"][0]["host"].as_str().expect("an address");
    assert!(bench.path(format!("client-out/results/tiny/mine/client-{address}-r2.json")).exists());
}

#[test]
fn a_pause_before_the_servers_are_stopped() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, &["mine"], &[]);
    let mut running = workers.attach(&["--pause"]);
    running.expect_stderr("Press Enter to stop the servers");
    assert!(!running.stderr().contains("stopping servers"));
    running.stdin().write_all(b"\n").expect("written");
    running.end().expect_code(0);
    workers.end();
}

#[test]
fn a_pause_that_nobody_can_end() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    for stdin in [|| Stdio::null(), || Stdio::from(closed_pipe())] {
        let workers = Workers::start(&bench, &["mine"], &[]);
        let mut command = workers.attach_command(&["--pause", "--repeat", "2"]);
        command.stdin(stdin());
        bench.start(command).end().expect_code(0);
        workers.end();
    }
}

fn closed_pipe() -> std::io::PipeReader {
    std::io::pipe().expect("a pipe").0
}

#[test]
fn a_port_that_is_taken() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let place = Place::new();
    let (address, port) = (place.address, place.port);
    let _listener = TcpListener::bind((address, port)).expect("it is free");
    let workers = Workers::start_at(&bench, &["mine"], &place, &[]);
    let finished = workers.attach(&[]).end();
    let holder = format!("process {}", std::process::id());
    finished.expect_code(3).expect_stderr(&[&format!("server {address}: port {port} is in use"), &holder]);
    assert_eq!(bench.summary()["status"], "failed");
    workers.end();
}

#[test]
fn a_worker_that_is_not_there() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let mut workers = Workers::start(&bench, &["mine"], &["--orphan-timeout", "500ms"]);
    let nobody = Place::new();
    workers.control[1] = (nobody.address, nobody.port).into();
    let running = workers.attach(&[]);
    // The deadline 'workers ready' is 30 s; meanwhile the run can be interrupted.
    running.expect_stderr("preparing");
    workers.server.expect_log("coordinator attached");
    running.signal(Signal::INT);
    let finished = running.end_within(Duration::from_secs(20));
    finished.expect_code(130);
    workers.client.process().signal(Signal::TERM);
    workers.end();
}

#[test]
fn a_worker_ends_its_driver_when_the_coordinator_does_not_come_back() {
    let bench = Bench::new();
    bench.fake("waiting", "exec $SERVER", "touch $BENCH/client-runs; exec sleep 1000");
    let workers = Workers::start(&bench, &["waiting"], &["--orphan-timeout", "300ms"]);
    let running = workers.attach(&[]);
    bench.expect_file("client-runs");
    running.signal(Signal::KILL);
    running.end();
    for worker in workers.end() {
        worker.expect_code(3).expect_stderr(&["ends: "]);
    }
}

#[test]
fn a_worker_of_another_run_is_refused() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, &["mine"], &["--run", "other"]);
    let finished = workers.attach(&["--ready-timeout", "3s"]).end();
    let reason = "key, run, group, index and version must be the same on both sides";
    finished.expect_code(5).expect_stderr(&["the deadline 'workers ready' passed after 3 s", reason]);
    for worker in [&workers.server, &workers.client] {
        worker.expect_log(reason);
        worker.process().signal(Signal::TERM);
    }
    for worker in workers.end() {
        worker.expect_code(130);
    }
}
