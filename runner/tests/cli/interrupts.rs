//! Ctrl-C in every phase: the run ends in order, what was collected is kept, nothing is left; twice, it ends at once.

use crate::bench::{Bench, Finished, LEFT_MAX, Running, eventually, read_json, scenario};
use rustix::process::{Signal, kill_process_group};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::time::Duration;

const WORKING_SERVER: &str = "exec $SERVER";
const WORKING_CLIENT: &str = "exec $CLIENT";
const STUBBORN_SERVER: &str = "trap '' TERM; while :; do $SERVER; done";
const STUBBORN_CLIENT: &str = "trap '' TERM; touch $BENCH/client-runs; while :; do sleep 0.1; done";

/// Interrupts a run of the embedded driver and then of `late`, once stderr has `phase` after the embedded one's turn.
fn interrupt_in(bench: &Bench, phase: &str, args: &[&str]) -> Finished {
    let mut all = vec!["--driver", "embedded", "--driver", "late"];
    all.extend(args);
    let running = bench.local(&all);
    expect_phase(&running, phase);
    interrupt(bench, running)
}

/// Interrupts a run of the embedded driver and then of `late`, in the turn of `late`.
fn interrupt(bench: &Bench, running: Running) -> Finished {
    running.signal(Signal::INT);
    let finished = running.end();
    expect_interrupted(bench, &finished);
    let embedded = &bench.summary()["drivers"][0]["repetitions"][0];
    assert_eq!(
        (&embedded["status"], &embedded["clients"][0]["received_bytes"]),
        (&"ok".into(), &50_000.into())
    );
    finished
}

/// Waits until the second driver is in this phase.
fn expect_phase(running: &Running, phase: &str) {
    eventually(&format!("the second driver is {phase}"), || {
        running.stderr().lines().any(|line| line.contains(" late ") && line.contains(phase))
    });
}

fn expect_interrupted(bench: &Bench, finished: &Finished) {
    finished.expect_code(130).expect_stderr(&["Interrupted"]);
    let summary = bench.summary();
    assert_eq!(summary["status"], "interrupted", "{summary:#}");
    assert!(finished.stdout.contains("interrupted"), "{}", finished.stdout);
    assert!(bench.run_directory().join("report/index.html").exists());
    bench.expect_nothing_alive(LEFT_MAX);
}

fn late(summary: &Value) -> &Value {
    &summary["drivers"][1]["repetitions"][0]
}

#[test]
fn while_many_workers_start() {
    let bench = Bench::new();
    let mut many = read_json(&scenario("tiny"));
    let server = many["servers"][0].clone();
    many["servers"] = vec![server; 150].into();
    let file = bench.write("many.json", &many.to_string());
    let running = bench.start(bench.command(&["local".as_ref(), "--scenario".as_ref(), file.as_os_str()]));
    eventually("the first workers start", || bench.alive().len() > 10);
    running.signal(Signal::INT);
    running.end().expect_code(130).expect_stderr(&["interrupted"]);
    bench.expect_nothing_alive(LEFT_MAX);
}

#[test]
fn while_a_server_starts() {
    let bench = Bench::new();
    bench.fake("late", "exec sleep 1000", WORKING_CLIENT);
    interrupt_in(&bench, "starting servers (1)", &[]);
    let summary = bench.summary();
    assert_eq!(late(&summary)["status"], "interrupted");
    assert_eq!(late(&summary)["servers"][0]["signal"], 15);
    assert_eq!(late(&summary)["clients"][0]["exit_code"], Value::Null, "it never ran");
}

#[test]
fn while_a_client_runs() {
    let bench = Bench::new();
    bench.fake("late", WORKING_SERVER, "touch $BENCH/client-runs; exec sleep 1000");
    let running = bench.local(&["--driver", "embedded", "--driver", "late", "--repeat", "3"]);
    // The phase begins a moment before the instant at which the clients start.
    bench.expect_file("client-runs");
    interrupt(&bench, running);
    let summary = bench.summary();
    assert_eq!(late(&summary)["clients"][0]["signal"], 15);
    let repetitions = summary["drivers"][0]["repetitions"].as_array().expect("a list");
    assert_eq!(repetitions.len(), 1, "no repetition begins after the interruption");
}

/// A terminal sends the signal to every process of the foreground group.
#[test]
fn in_a_terminal() {
    let bench = Bench::new();
    bench.fake("late", WORKING_SERVER, "touch $BENCH/client-runs; exec sleep 1000");
    let drivers = bench.drivers();
    let tiny = scenario("tiny");
    let args: [&OsStr; 7] = [
        "local".as_ref(),
        "--driver-dir".as_ref(),
        drivers.as_ref(),
        "--scenario".as_ref(),
        tiny.as_ref(),
        "--driver".as_ref(),
        "late".as_ref(),
    ];
    let mut command = bench.command(&args);
    command.process_group(0);
    let running = bench.start(command);
    bench.expect_file("client-runs");
    kill_process_group(running.pid(), Signal::INT).expect("the group is there");
    let finished = running.end();
    expect_interrupted(&bench, &finished);
    let log = bench.read("logs/client-127.0.101.1.log");
    assert!(log.contains("ends: the run is over"), "the workers end in order: {log}");
}

#[test]
fn while_a_server_stops() {
    let bench = Bench::new();
    bench.fake("late", STUBBORN_SERVER, WORKING_CLIENT);
    interrupt_in(&bench, "stopping servers (1)", &["--kill-grace", "5s"]);
    let summary = bench.summary();
    assert_eq!(late(&summary)["servers"][0]["signal"], 9);
    assert_eq!(late(&summary)["clients"][0]["exit_code"], 0);
}

#[test]
fn while_a_stubborn_client_stops_after_its_timeout() {
    let bench = Bench::new();
    bench.fake("late", WORKING_SERVER, STUBBORN_CLIENT);
    interrupt_in(&bench, "stopping clients (1)", &["--timeout", "5s", "--kill-grace", "5s"]);
}

#[test]
fn twice_while_a_client_runs() {
    let bench = Bench::new();
    bench.fake("late", WORKING_SERVER, STUBBORN_CLIENT);
    let running = bench.local(&["--driver", "embedded", "--driver", "late", "--kill-grace", "30s"]);
    bench.expect_file("client-runs");
    interrupt_twice(&bench, running);
}

#[test]
fn twice_while_a_server_stops() {
    let bench = Bench::new();
    bench.fake("late", STUBBORN_SERVER, WORKING_CLIENT);
    let running = bench.local(&["--driver", "embedded", "--driver", "late", "--kill-grace", "30s"]);
    expect_phase(&running, "stopping servers (1)");
    interrupt_twice(&bench, running);
}

/// What stubborn drivers are given if nobody interrupts twice.
const GRACE: Duration = Duration::from_secs(30);

/// The second one ends the run at once, and the summary is written all the same.
fn interrupt_twice(bench: &Bench, running: Running) {
    running.signal(Signal::INT);
    running.expect_stderr("Interrupted: stopping what runs.");
    running.signal(Signal::INT);
    let finished = running.end_within(GRACE / 2);
    finished.expect_stderr(&["Interrupted again", "Nothing is left running."]);
    expect_interrupted(bench, &finished);
    let summary = bench.summary();
    assert_eq!(summary["drivers"][0]["repetitions"][0]["status"], "ok");
    assert_eq!(late(&summary)["status"], "interrupted");
}

#[test]
fn sigterm_interrupts_as_well() {
    let bench = Bench::new();
    bench.fake("late", WORKING_SERVER, "touch $BENCH/client-runs; exec sleep 1000");
    let running = bench.local(&["--driver", "late"]);
    bench.expect_file("client-runs");
    running.signal(Signal::TERM);
    expect_interrupted(&bench, &running.end());
}
