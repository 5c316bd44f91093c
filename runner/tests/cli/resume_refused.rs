//! `runner resume` where it cannot or must not take a run over, and from wherever it can.

use crate::bench::{Bench, LEFT_MAX, eventually, scenario};
use crate::resume::{CLIENT, DRIVERS, SERVER, TWICE, bench, expect_complete, kill};
use crate::workers::{KEY_FILE, Workers};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// A run whose first client waits, and whose orchestrator is dead.
fn killed_run(bench: &Bench) -> Workers<'_> {
    let workers = Workers::start(bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    kill(orchestrator);
    workers
}

/// The refused attempts have done no harm.
fn bring_to_its_end(bench: &Bench, workers: Workers) {
    bench.open_gate("client-runs");
    bench.resume(&[]).end().expect_code(0);
    expect_complete(bench, workers);
}

#[test]
fn while_the_orchestrator_lives() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    let before = bench.state();
    let refused = bench.resume(&[]).end();
    refused.expect_code(2).expect_stderr(&["is not over: another runner drives it; stop that one first"]);
    assert_eq!(bench.state(), before);
    kill(orchestrator);
    let resumed = bench.resume(&[]);
    workers.client.expect_log_count("coordinator attached", 2);
    bench.resume(&[]).end().expect_code(2).expect_stderr(&["another runner drives it"]);
    bench.open_gate("client-runs");
    resumed.end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn while_the_orchestrator_of_a_local_run_lives() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "gate client-runs; exec $CLIENT");
    let running = bench.local(&["--driver", "mine"]);
    bench.expect_at_gate("client-runs-mine");
    bench.resume(&[]).end().expect_code(2).expect_stderr(&["another runner drives it"]);
    bench.open_gate("client-runs");
    running.end().expect_code(0);
    bench.resume(&[]).end().expect_code(2).expect_stderr(&["is over already; `runner report` shows it"]);
}

#[test]
fn with_another_key() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = killed_run(&bench);
    bench.run(&["key", "another.key"]).expect_code(0);
    let refused = bench.resume(&["--key-file", "another.key"]).end();
    refused.expect_code(2).expect_stderr(&["--key-file another.key: it holds another key than the one"]);
    bring_to_its_end(&bench, workers);
}

#[test]
fn without_the_key() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = killed_run(&bench);
    let (key, moved) = (bench.path(KEY_FILE), bench.path("moved.key"));
    fs::rename(&key, &moved).expect("renamed");
    let refused = bench.resume(&[]).end();
    refused.expect_code(2).expect_stderr(&[&format!("{}", key.display()), "No such file"]);
    fs::set_permissions(&moved, Permissions::from_mode(0o644)).expect("it is ours");
    let refused = bench.resume(&["--key-file", "moved.key"]).end();
    refused.expect_code(2).expect_stderr(&["chmod 600 moved.key"]);
    fs::set_permissions(&moved, Permissions::from_mode(0o600)).expect("it is ours");
    bench.open_gate("client-runs");
    bench.resume(&["--key-file", "moved.key"]).end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn what_is_no_run() {
    let bench = Bench::new();
    let expect = |run: &str, words: &[&str]| {
        bench.run(&["resume", run]).expect_code(2).expect_stderr(words);
    };
    expect("latest", &["runs/latest is no run that can be resumed", "No such file"]);
    fs::create_dir(bench.path("empty")).expect("created");
    expect("empty", &["empty is no run that can be resumed: run.json: No such file"]);
    fs::create_dir(bench.path("cut")).expect("created");
    bench.write("cut/run.json", "{\"run_id\": ");
    expect("cut", &["cut is no run that can be resumed: run.json: EOF while parsing"]);
    bench.write("cut/run.json", "{}");
    expect("cut", &["cut is no run that can be resumed: run.json: "]);
}

#[test]
fn of_which_a_file_is_gone_or_damaged() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = killed_run(&bench);
    let run = bench.run_directory();
    for name in ["state.json", "summary.json", "scenario/tiny.json"] {
        let (path, kept) = (run.join(name), bench.path("kept"));
        fs::rename(&path, &kept).expect("renamed");
        bench.resume(&[]).end().expect_code(2).expect_stderr(&[name]);
        fs::write(&path, "{").expect("written");
        bench.resume(&[]).end().expect_code(2).expect_stderr(&[name]);
        fs::rename(&kept, &path).expect("renamed");
    }
    bring_to_its_end(&bench, workers);
}

#[test]
fn killed_before_anything_was_begun() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "gate client-runs; exec $CLIENT");
    let running = bench.local(&["--driver", "mine"]);
    eventually("there is a run", || bench.run_directory().exists());
    running.signal(Signal::KILL);
    running.end();
    bench.expect_nothing_alive(LEFT_MAX);
    bench.open_gate("client-runs");
    let resumed = bench.resume(&[]).end();
    // It may have come farther than the test has seen: to its only repetition, which is lost then, or just before it.
    let has = |text| resumed.stderr.contains(text);
    let code = if has("is no run that can be resumed") {
        2
    } else if has("the orchestrator died") {
        3
    } else {
        0
    };
    resumed.expect_code(code);
}

#[test]
fn from_another_place_with_paths_that_were_relative() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    fs::copy(scenario("tiny"), bench.path("tiny.json")).expect("copied");
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = bench.start(workers.attach_command_of("tiny.json", &TWICE));
    bench.expect_at_gate("client-runs-one");
    kill(orchestrator);
    fs::remove_file(bench.path("tiny.json")).expect("removed");
    let runs = bench.out();
    let mut command =
        bench.command(&["resume".as_ref(), "latest".as_ref(), "--out".as_ref(), runs.as_os_str()]);
    command.current_dir("/");
    let resumed = bench.start(command);
    workers.client.expect_log_count("coordinator attached", 2);
    kill(resumed);
    let run = fs::canonicalize(bench.run_directory()).expect("the run is there");
    let mut command = bench.command(&["resume".as_ref(), run.as_os_str()]);
    command.current_dir(bench.drivers());
    bench.open_gate("client-runs");
    bench.start(command).end().expect_code(0);
    expect_complete(&bench, workers);
}
