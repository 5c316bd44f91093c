//! SIGKILL for each process of a run in the middle of it: soon nothing is alive, and who survives says what happened.

use crate::bench::{Bench, Finished, LEFT_MAX, Running, read_json};
use crate::processes::Kind;
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use std::time::Duration;

/// A driver whose client says that it runs and then waits. Both scripts stay, so that they can be found.
fn waiting_driver(bench: &Bench) {
    bench.fake("waiting", "$SERVER & wait", "touch $BENCH/client-runs; sleep 1000 & wait");
}

/// A run of that driver, and of the embedded one after it, whose clients run.
fn run_under_way(bench: &Bench) -> Running {
    waiting_driver(bench);
    let running = bench.local(&["--driver", "waiting", "--driver", "embedded"]);
    bench.expect_file("client-runs");
    running.expect_stderr("running clients (1)");
    running
}

/// Kills the one process of this kind; the run has to fail with this code and these words.
fn kill_in_the_middle(kind: Kind, code: i32, words: &[&str]) -> (Bench, Finished) {
    let bench = Bench::new();
    let running = run_under_way(&bench);
    kill_process(bench.one(kind), Signal::KILL).expect("killed");
    let finished = running.end();
    finished.expect_code(code).expect_stderr(words);
    let summary = bench.summary();
    assert_eq!(summary["status"], "failed");
    assert_eq!(summary["drivers"][0]["repetitions"][0]["status"], "failed");
    bench.expect_nothing_alive(LEFT_MAX);
    (bench, finished)
}

#[test]
fn the_client_is_killed() {
    let (bench, _) = kill_in_the_middle(Kind::Script("client"), 4, &["client 127.0.101.1", "signal 9"]);
    assert_eq!(
        bench.summary()["drivers"][1]["repetitions"][0]["status"],
        "ok",
        "the next driver has its turn"
    );
}

#[test]
fn the_server_is_killed() {
    let (bench, _) = kill_in_the_middle(Kind::Script("server"), 4, &["server 127.0.1.1", "signal 9"]);
    assert_eq!(
        bench.summary()["drivers"][1]["repetitions"][0]["status"],
        "ok",
        "the next driver has its turn"
    );
}

#[test]
fn the_worker_of_the_client_is_killed() {
    let words = ["client 127.0.101.1 is lost", "signal: 9", "logs/client-127.0.101.1.log"];
    let (bench, finished) = kill_in_the_middle(Kind::Worker("client"), 3, &words);
    let skipped = &bench.summary()["drivers"][1]["repetitions"];
    assert_eq!(skipped, &serde_json::json!([]), "without its hosts a run does not go on");
    assert!(finished.stdout.contains("failed"), "{}", finished.stdout);
}

#[test]
fn the_worker_of_the_server_is_killed() {
    let words = ["server 127.0.1.1 is lost", "signal: 9", "logs/server-127.0.1.1.log"];
    kill_in_the_middle(Kind::Worker("server"), 3, &words);
}

#[test]
fn a_lost_host_is_an_error_of_the_run() {
    let (bench, _) = kill_in_the_middle(Kind::Worker("server"), 3, &[]);
    let error = bench.summary()["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("server 127.0.1.1") && error.contains("1 of 2 repetitions"), "{error:?}");
}

#[test]
fn the_runner_is_killed() {
    let bench = Bench::new();
    let running = run_under_way(&bench);
    running.signal(Signal::KILL);
    assert_eq!(running.end().status.code(), None);
    bench.expect_nothing_alive(LEFT_MAX);
    expect_orphans_to_explain(&bench);
    let record = read_json(&bench.run_directory().join("run.json"));
    assert_eq!(record["state"], "running", "nobody was there to say otherwise");
}

#[test]
fn what_was_measured_before_the_runner_is_killed_is_kept() {
    let bench = Bench::new();
    waiting_driver(&bench);
    let running = bench.local(&["--driver", "embedded", "--driver", "waiting"]);
    bench.expect_file("client-runs");
    running.signal(Signal::KILL);
    assert_eq!(running.end().stdout, "", "the table comes at the end");
    bench.expect_nothing_alive(LEFT_MAX);
    let summary = bench.summary();
    assert_eq!(summary["status"], "running");
    let finished = &summary["drivers"][0]["repetitions"][0];
    assert_eq!(finished["status"], "ok");
    assert!(finished["clients"][0]["received_bytes"].as_u64() > Some(0), "{summary:#}");
    assert_eq!(summary["drivers"][1]["repetitions"], serde_json::json!([]));
    assert_eq!(read_json(&bench.run_directory().join("run.json"))["state"], "running");
    bench.run(&["report", "runs/latest"]).expect_code(0);
    assert!(bench.read("report/index.html").contains("badge unfinished"));
}

#[test]
fn the_runner_is_killed_in_the_first_repetition() {
    let bench = Bench::new();
    let running = run_under_way(&bench);
    running.signal(Signal::KILL);
    running.end();
    assert_eq!(bench.summary()["status"], "running");
    bench.run(&["report", "runs/latest"]).expect_code(0);
}

#[test]
fn the_runner_is_killed_while_a_server_starts() {
    let bench = Bench::new();
    bench.fake("mute", "trap '' TERM; touch $BENCH/server-runs; while :; do sleep 0.1; done", "exec $CLIENT");
    let running = bench.local(&["--driver", "mute"]);
    bench.expect_file("server-runs");
    running.signal(Signal::KILL);
    running.end();
    bench.expect_nothing_alive(LEFT_MAX);
    expect_orphans_to_explain(&bench);
}

#[test]
fn the_runner_is_killed_while_a_server_stops() {
    let bench = Bench::new();
    bench.fake("stubborn", "trap '' TERM; while :; do $SERVER; done", "exec $CLIENT");
    let running = bench.local(&["--driver", "stubborn", "--kill-grace", "3s"]);
    running.expect_stderr("stopping servers (1)");
    running.signal(Signal::KILL);
    running.end();
    bench.expect_nothing_alive(Duration::from_secs(3) + LEFT_MAX);
    expect_orphans_to_explain(&bench);
}

fn expect_orphans_to_explain(bench: &Bench) {
    for host in ["server-127.0.1.1", "client-127.0.101.1"] {
        let log = bench.read(&format!("logs/{host}.log"));
        assert!(log.contains("whoever started this worker is gone"), "{host}: {log}");
    }
}

#[test]
fn everything_is_killed_at_once() {
    let bench = Bench::new();
    let running = run_under_way(&bench);
    let workers = [bench.one(Kind::Worker("server")), bench.one(Kind::Worker("client"))];
    running.signal(Signal::KILL);
    for worker in workers {
        // It may have noticed already that the runner is gone, and ended.
        let killed = kill_process(worker, Signal::KILL);
        assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "{killed:?}");
    }
    running.end();
    bench.expect_nothing_alive(LEFT_MAX);
}

/// What a guard is there for, the worker's own end, does not happen here.
#[test]
fn the_guards_are_killed() {
    let bench = Bench::new();
    let client = "touch $BENCH/client-runs; until [ -e $BENCH/go ]; do sleep 0.02; done; exec $CLIENT";
    bench.fake("waiting", "$SERVER & wait", client);
    let running = bench.local(&["--driver", "waiting", "--driver", "embedded"]);
    bench.expect_file("client-runs");
    running.expect_stderr("running clients (1)");
    let guards: Vec<_> =
        bench.alive().into_iter().filter(|(_, line)| line.ends_with(" worker guard ")).collect();
    assert_eq!(guards.len(), 2, "{guards:?}");
    for (guard, _) in guards {
        kill_process(guard, Signal::KILL).expect("killed");
    }
    bench.write("go", "");
    running.end().expect_code(0);
    bench.expect_nothing_alive(LEFT_MAX);
}

#[test]
fn a_worker_that_does_not_answer_any_more() {
    let bench = Bench::new();
    waiting_driver(&bench);
    let limits = ["--timeout", "3s", "--kill-grace", "100ms"];
    let running = bench.local(&[&["--driver", "waiting", "--repeat", "3"], &limits[..]].concat());
    bench.expect_clients_known_to_run(1);
    kill_process(bench.one(Kind::Worker("client")), Signal::STOP).expect("stopped");
    let finished = running.end();
    finished.expect_code(5).expect_stderr(&["client 127.0.101.1"]);
    let summary = bench.summary();
    let repetitions = summary["drivers"][0]["repetitions"].as_array().map(Vec::len);
    assert_eq!(repetitions, Some(1), "no repetition without a worker that was given up: {summary:#}");
    let error = summary["error"].as_str().unwrap_or_default();
    assert!(error.contains("ended after 1 of 3 repetitions: "), "{error}");
    bench.expect_nothing_alive(LEFT_MAX);
}
