//! `runner resume` of runs in which something was lost, failed or interrupted, and of local runs.

use crate::bench::{Bench, LEFT_MAX, scenario};
use crate::resume::{
    CLIENT, DRIVERS, SERVER, SERVER_THAT_STOPS_LATE, TWICE, bench, expect_complete, expect_tidy, kill,
    statuses,
};
use crate::workers::Workers;
use rustix::process::Signal;
use std::fs;
use std::io::Write;

#[test]
fn a_repetition_that_had_failed_before_stays_the_worst() {
    let bench = bench(
        SERVER,
        "note; gate client-runs; [ $(turn) != one ] || exit 7; exec $CLIENT",
        &["server-starts"],
    );
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    bench.open_gate("client-runs-one");
    bench.expect_at_gate("client-runs-two");
    kill(orchestrator);
    bench.open_gate("client-runs");
    bench.resume(&[]).end().expect_code(4);
    let summary = bench.summary();
    assert_eq!(summary["status"], "failed");
    assert_eq!(statuses(&summary), ["failed", "ok", "ok", "ok"], "{summary:#}");
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
    expect_tidy(&bench);
}

#[test]
fn a_failure_that_was_being_cleared_up_keeps_its_reason() {
    let client = "note; gate client-runs; [ $(turn) != one ] || { echo no luck >&2; exit 7; }; exec $CLIENT";
    let bench = bench(SERVER_THAT_STOPS_LATE, client, &["client-runs"]);
    let workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("server-stops-one");
    kill(orchestrator);
    bench.open_gate("server-stops");
    bench.resume(&[]).end().expect_code(4).expect_stderr(&["exit status 7"]);
    let summary = bench.summary();
    assert_eq!(statuses(&summary), ["failed", "ok", "ok", "ok"], "{summary:#}");
    let failed = &summary["drivers"][0]["repetitions"][0];
    let client = workers.client.listen.ip();
    assert_eq!(failed["error"], format!("client {client}: the driver ended by itself with exit status 7"));
    assert_eq!(failed["clients"][0]["exit_code"], 7, "{failed:#}");
    assert_eq!(failed["clients"][0]["stderr_tail"], "no luck\n");
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
}

#[test]
fn an_interrupted_run_is_not_gone_on_with() {
    let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &[]);
    let workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    orchestrator.signal(Signal::INT);
    bench.expect_at_gate("server-stops-one");
    kill(orchestrator);
    bench.open_gate("server-stops");
    bench.resume(&[]).end().expect_code(130);
    let summary = bench.summary();
    assert_eq!(summary["status"], "interrupted");
    assert_eq!(statuses(&summary), ["interrupted"], "{summary:#}");
    let error = summary["error"].as_str().unwrap_or_default();
    assert_eq!(error, "ended after 1 of 4 repetitions: interrupted by the user");
    workers.expect_dismissed();
    expect_tidy(&bench);
}

#[test]
fn a_pause_is_asked_for_again() {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let workers = Workers::start(&bench, &["one"], &[]);
    let orchestrator = workers.attach(&["--pause"]);
    orchestrator.expect_stderr("Press Enter to stop the servers");
    kill(orchestrator);
    let mut command = bench.command(&["resume", "latest"]);
    command.stdin(std::process::Stdio::piped());
    let mut resumed = bench.start(command);
    resumed.expect_stderr("Press Enter to stop the servers");
    assert!(!workers.server.process().stderr().contains("Killing"), "the servers go on");
    resumed.stdin().write_all(b"\n").expect("it reads");
    resumed.end().expect_code(0);
    workers.expect_each_started_once(1);
    workers.expect_dismissed();
}

/// It has lost its driver, and the others go on.
#[test]
fn a_worker_that_was_restarted_meanwhile() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    workers.client.expect_log("Running -> RunningAwaitComplete");
    kill(orchestrator);
    workers.client.kill();
    workers.start_client();
    bench.open_gate("client-runs");
    let resumed = bench.resume(&[]).end();
    let client = workers.client.listen.ip();
    resumed.expect_code(3).expect_stderr(&[&format!("client {client}: the worker has lost its driver")]);
    assert_eq!(statuses(&bench.summary()), ["failed", "ok", "ok", "ok"]);
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
}

#[test]
fn a_worker_that_has_gone_meanwhile() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&[&TWICE[..], &["--ready-timeout", "1s"]].concat());
    bench.expect_at_gate("client-runs-one");
    workers.client.expect_log("Running -> RunningAwaitComplete");
    kill(orchestrator);
    workers.client.kill();
    let resumed = bench.resume(&[]).end();
    let deadline = "the deadline 'workers ready' passed after 1 s: waiting for client";
    resumed.expect_code(5).expect_stderr(&[deadline, "Connection refused"]);
    let error = bench.summary()["error"].to_string();
    assert!(error.contains("ended after 1 of 4 repetitions: the deadline 'workers ready'"), "{error}");
    let server = workers.server_alone().end_within(LEFT_MAX);
    server.expect_code(0).expect_stderr(&["ends: the run is over"]);
}

#[test]
fn twice_in_the_same_repetition() {
    let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &[]);
    let workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    kill(orchestrator);
    let resumed = bench.resume(&[]);
    workers.client.expect_log_count("coordinator attached", 2);
    resumed.expect_stderr("1/4 one round 1 running clients (1)");
    bench.open_gate("client-runs");
    bench.expect_at_gate("server-stops-one");
    kill(resumed);
    bench.open_gate("server-stops");
    bench.resume(&[]).end().expect_code(0);
    expect_complete(&bench, workers);
    assert_eq!(bench.state()["incarnation"], 2);
}

const LOST: &str = "the orchestrator died, and with it the workers on its machine and what they ran";

#[test]
fn a_local_run() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    fs::copy(scenario("tiny"), bench.path("tiny.json")).expect("copied");
    let args =
        ["local", "--scenario", "tiny.json", "--driver-dir", "drivers", "--driver", "one", "--driver", "two"];
    let running = bench.start(bench.command(&[&args[..], &TWICE].concat()));
    bench.open_gate("client-runs-one");
    bench.expect_at_gate("client-runs-two");
    running.expect_stderr("2/4 two round 1 running clients");
    kill(running);
    bench.open_gate("client-runs");
    fs::remove_file(bench.path("tiny.json")).expect("removed");
    let mut command = bench.command(&["resume".as_ref(), bench.run_directory().as_os_str()]);
    command.current_dir("/");
    let resumed = bench.start(command).end();
    resumed.expect_code(3).expect_stderr(&[&format!("error: two: {LOST}")]);
    let summary = bench.summary();
    assert_eq!(summary["status"], "failed");
    assert_eq!(statuses(&summary), ["ok", "failed", "ok", "ok"], "{summary:#}");
    assert_eq!(summary["drivers"][1]["repetitions"][0]["error"], LOST);
    let expected = ["one", "one-r2", "two", "two-r2"].into_iter().flat_map(|turn| {
        ["server-127.0.1.1", "client-127.0.101.1"].map(|host| (format!("{host}.{turn}"), 1))
    });
    assert_eq!(bench.starts(), expected.collect(), "nothing runs twice");
    expect_tidy(&bench);
    bench.expect_nothing_alive(LEFT_MAX);
    for name in ["server-127.0.1.1", "client-127.0.101.1"] {
        let log = bench.read(&format!("logs/{name}.log"));
        let lives = log.matches(" listens on ").count();
        assert_eq!(lives, 2, "what the worker of the orchestrator that died has said is kept: {log}");
    }
    bench.resume(&[]).end().expect_code(2);
}

/// Everything was measured, and nobody has written that the run is over.
#[test]
fn a_local_run_whose_last_repetition_is_over() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let running = bench.local(&["--driver", "one", "--driver", "two"]);
    bench.open_gate("client-runs-one");
    bench.expect_at_gate("client-runs-two");
    let summary = bench.block_writing(&running, "summary.json");
    bench.open_gate("client-runs-two");
    running.expect_stderr("2/2 two ok after");
    bench.block_writing(&running, "state.json");
    bench.unblock_writing(&summary, "summary.json");
    kill(running);
    bench.resume(&[]).end().expect_code(0);
    assert_eq!(statuses(&bench.summary()), ["ok", "ok"]);
    assert!(bench.starts().into_values().eq([1; 4]));
    expect_tidy(&bench);
}

/// The embedded driver is this program under other names, which are there as long as the run goes on.
#[test]
fn a_local_run_of_the_embedded_driver() {
    let bench = Bench::new();
    let running = bench.start(bench.command(&["local"]));
    running.expect_stderr("running clients (1)");
    kill(running);
    assert!(bench.run_directory().join("bin").exists());
    bench.resume(&["--json"]).end().expect_code(3);
    assert!(!bench.run_directory().join("bin").exists());
    assert_eq!(bench.summary()["drivers"][0]["repetitions"][0]["error"], LOST);
    expect_tidy(&bench);
}

/// How the repetition ended was decided before the orchestrator died.
#[test]
fn a_local_run_that_was_interrupted() {
    let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &[]);
    let running = bench.local(&["--driver", "one", "--driver", "two", "--kill-grace", "60s"]);
    bench.expect_at_gate("client-runs-one");
    running.signal(Signal::INT);
    bench.expect_at_gate("server-stops-one");
    kill(running);
    bench.open_gate("server-stops");
    bench.resume(&[]).end().expect_code(130);
    let summary = bench.summary();
    assert_eq!(statuses(&summary), ["interrupted"], "{summary:#}");
    assert_eq!(summary["error"], "ended after 1 of 2 repetitions: interrupted by the user");
    expect_tidy(&bench);
}

/// What the orchestrator that died has left behind on this machine ends before anything is measured again.
#[test]
fn a_local_run_whose_server_does_not_end_at_once() {
    let server = "note; trap '' TERM
        for other in $BENCH/server.*; do ! kill -0 ${other##*.} 2>&- || touch $BENCH/overlap; done
        touch $BENCH/server.$$; $SERVER; while [ $(turn) = one ]; do sleep 0.02; done";
    let bench = bench(server, CLIENT, &[]);
    let args = ["--driver", "one", "--driver", "two", "--kill-grace", "1s"];
    let running = bench.local(&args);
    bench.expect_at_gate("client-runs-one");
    kill(running);
    bench.open_gate("client-runs");
    bench.resume(&[]).end().expect_code(3);
    assert_eq!(statuses(&bench.summary()), ["failed", "ok"]);
    assert!(!bench.path("overlap").exists(), "a server of the run before was alive");
}
