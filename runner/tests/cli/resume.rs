//! `runner resume` over workers that were started by hand: the orchestrator is killed in every phase, another one brings
//! the run to its end, and nothing is run twice or lost.

use crate::bench::{Bench, Running, eventually, read_json};
use crate::workers::Workers;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Two drivers, twice each.
pub(crate) const DRIVERS: [&str; 2] = ["one", "two"];
pub(crate) const TWICE: [&str; 2] = ["--repeat", "2"];
/// The repetitions in order, as the drivers' logs are called.
const TURNS: [&str; 4] = ["one", "two", "one-r2", LAST];
const LAST: &str = "two-r2";

/// Drivers that can be held while they start, run, and stop.
pub(crate) const SERVER: &str = "note; gate server-starts; exec $SERVER";
pub(crate) const SERVER_THAT_STOPS_LATE: &str =
    "note; trap 'gate server-stops; kill $! 2>&-; wait; exit 0' TERM; $SERVER & wait";
pub(crate) const CLIENT: &str = "note; gate client-runs; exec $CLIENT";

/// A bench on which the drivers wait at their gates; those in `open` are open.
pub(crate) fn bench(server: &str, client: &str, open: &[&str]) -> Bench {
    let bench = Bench::new();
    for driver in DRIVERS {
        bench.fake(driver, server, client);
    }
    open.iter().for_each(|gate| bench.open_gate(gate));
    bench
}

/// Ends the orchestrator by force.
pub(crate) fn kill(orchestrator: Running) {
    orchestrator.signal(Signal::KILL);
    assert_eq!(orchestrator.end().status.code(), None);
}

impl Bench {
    /// `runner resume` of the last run.
    pub(crate) fn resume(&self, args: &[&str]) -> Running {
        self.start(self.command(&[&["resume", "latest"], args].concat()))
    }

    /// Makes the orchestrator wait for ever where it is about to write `name`, whose content goes to a file beside it
    /// first.
    fn block_writing(&self, orchestrator: &Running, name: &str) -> PathBuf {
        let path = self.run_directory().join(format!(".{name}.{}.new", orchestrator.pid()));
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a named pipe");
        path
    }

    /// Lets the orchestrator, which waits there, write `name` after all.
    fn unblock_writing(&self, pipe: &Path, name: &str) {
        let mut content = String::new();
        fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut content)).expect("read");
        // The pipe has become the file, and is replaced by what should be one.
        let path = self.run_directory().join(name);
        eventually("the pipe is renamed", || !pipe.exists());
        fs::remove_file(&path).expect("it was renamed");
        fs::write(path, content).expect("written");
    }

    /// `state.json` of the last run, once there is one.
    pub(crate) fn state(&self) -> Value {
        let path = self.run_directory().join("state.json");
        if path.exists() { read_json(&path) } else { Value::Null }
    }
}

/// Every repetition is there and went well, each driver was started once in each, and the workers were told that the
/// run is over.
#[track_caller]
pub(crate) fn expect_complete(bench: &Bench, workers: Workers) {
    let summary = bench.summary();
    assert_eq!(summary["status"], "ok", "{summary:#}");
    let drivers = summary["drivers"].as_array().expect("a list of drivers");
    assert_eq!(drivers.len(), DRIVERS.len(), "{summary:#}");
    for (driver, name) in drivers.iter().zip(DRIVERS) {
        assert_eq!(driver["driver"], name);
        let repetitions = driver["repetitions"].as_array().expect("a list of repetitions");
        assert_eq!(repetitions.len(), 2, "{summary:#}");
        for repetition in repetitions {
            assert_eq!((&repetition["status"], &repetition["error"]), (&"ok".into(), &Value::Null));
            assert!(repetition["duration_s"].as_f64() < summary["duration_s"].as_f64(), "{summary:#}");
            assert_eq!(repetition["clients"][0]["exit_code"], 0, "{repetition:#}");
            assert!(repetition["servers"][0]["duration_s"].as_f64() > Some(0.0), "{repetition:#}");
        }
    }
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
    expect_tidy(bench);
    bench.resume(&[]).end().expect_code(2).expect_stderr(&["is over already"]);
}

/// The run directory is that of a run that was never killed.
pub(crate) fn expect_tidy(bench: &Bench) {
    assert_eq!(read_json(&bench.run_directory().join("run.json"))["state"], "done");
    assert_eq!(bench.state()["under_way"], Value::Null);
    let names = fs::read_dir(bench.run_directory()).expect("the run directory is there");
    let hidden: Vec<_> = names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(hidden, [""; 0]);
}

/// The status of each repetition, in the order in which they ran.
pub(crate) fn statuses(summary: &Value) -> Vec<&str> {
    let of =
        |driver: usize, round: usize| summary["drivers"][driver]["repetitions"][round]["status"].as_str();
    [of(0, 0), of(1, 0), of(0, 1), of(1, 1)].into_iter().flatten().collect()
}

#[test]
fn killed_before_the_workers_are_there() {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let mut workers = Workers::planned(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    orchestrator.expect_stderr("trying again");
    kill(orchestrator);
    workers.start_server();
    workers.start_client();
    bench.resume(&[]).end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn killed_while_preparing() {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let mut workers = Workers::planned(&bench, &DRIVERS, &[]);
    workers.start_server();
    let orchestrator = workers.attach(&TWICE);
    workers.server.expect_log("WaitCoordInit -> Ready");
    kill(orchestrator);
    workers.start_client();
    bench.resume(&[]).end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn killed_while_servers_start() {
    for passes_meanwhile in [false, true] {
        let bench = bench(SERVER, CLIENT, &["client-runs"]);
        let workers = Workers::start(&bench, &DRIVERS, &[]);
        let orchestrator = workers.attach(&TWICE);
        bench.expect_at_gate("server-starts-one");
        kill(orchestrator);
        let resumed = if passes_meanwhile {
            bench.open_gate("server-starts");
            workers.server.expect_log("Run -> RunningAwaitKill");
            bench.resume(&[])
        } else {
            let resumed = bench.resume(&[]);
            workers.server.expect_log_count("coordinator attached", 2);
            bench.open_gate("server-starts");
            resumed
        };
        resumed.end().expect_code(0);
        expect_complete(&bench, workers);
    }
}

#[test]
fn killed_in_the_quiet_window() {
    for ends_meanwhile in [false, true] {
        let bench = bench(SERVER, CLIENT, &["server-starts"]);
        let workers = Workers::start(&bench, &DRIVERS, &[]);
        let orchestrator = workers.attach(&TWICE);
        bench.expect_at_gate("client-runs-one");
        workers.client.expect_log("Running -> RunningAwaitComplete");
        kill(orchestrator);
        let resumed = if ends_meanwhile {
            bench.open_gate("client-runs");
            workers.client.expect_log("RunningAwaitComplete -> Stopped");
            bench.resume(&[])
        } else {
            let resumed = bench.resume(&[]);
            workers.client.expect_log_count("coordinator attached", 2);
            bench.open_gate("client-runs");
            resumed
        };
        resumed.end().expect_code(0);
        expect_complete(&bench, workers);
    }
}

#[test]
fn killed_while_servers_stop() {
    for stops_meanwhile in [false, true] {
        let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &["client-runs"]);
        let workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
        let orchestrator = workers.attach(&TWICE);
        bench.expect_at_gate("server-stops-one");
        kill(orchestrator);
        let resumed = if stops_meanwhile {
            bench.open_gate("server-stops");
            workers.server.expect_log("Killing -> Stopped");
            bench.resume(&[])
        } else {
            let resumed = bench.resume(&[]);
            workers.server.expect_log_count("coordinator attached", 2);
            bench.open_gate("server-stops");
            resumed
        };
        resumed.end().expect_code(0);
        expect_complete(&bench, workers);
    }
}

/// The repetition is over, and the next one is not begun or hardly so.
#[test]
fn killed_between_repetitions() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let mut orchestrator = workers.attach(&TWICE);
    for (done, turn) in (1..4).zip(TURNS) {
        bench.open_gate(&format!("client-runs-{turn}"));
        eventually("a repetition is done", || bench.state()["done"] == done);
        kill(orchestrator);
        orchestrator = bench.resume(&[]);
    }
    bench.open_gate("client-runs");
    orchestrator.end().expect_code(0);
    expect_complete(&bench, workers);
}

/// What came of the first repetition is collected and not on disk.
#[test]
fn killed_while_collecting() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    bench.block_writing(&orchestrator, "summary.json");
    bench.open_gate("client-runs");
    orchestrator.expect_stderr("one round 1 ok after");
    kill(orchestrator);
    assert_eq!(bench.summary()["drivers"][0]["repetitions"], serde_json::json!([]));
    bench.resume(&[]).end().expect_code(0);
    expect_complete(&bench, workers);
}

/// The repetition is in the summary, and the state on disk does not say that it is.
#[test]
fn killed_between_the_summary_and_the_state() {
    for (nth, turn) in (1..).zip(TURNS).filter(|(_, turn)| ["one", LAST].contains(turn)) {
        let bench = bench(SERVER, CLIENT, &["server-starts"]);
        let workers = Workers::start(&bench, &DRIVERS, &[]);
        let orchestrator = workers.attach(&TWICE);
        let summary = block_summary_of(&bench, &orchestrator, turn);
        bench.block_writing(&orchestrator, "state.json");
        bench.unblock_writing(&summary, "summary.json");
        kill(orchestrator);
        assert_eq!(bench.state()["done"], nth - 1);
        bench.open_gate("client-runs");
        bench.resume(&[]).end().expect_code(0);
        expect_complete(&bench, workers);
    }
}

/// The last repetition is over. The workers do not answer that they are let go.
#[test]
fn killed_while_the_workers_are_let_go() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    let summary = block_summary_of(&bench, &orchestrator, LAST);
    workers.signal(Signal::STOP);
    bench.unblock_writing(&summary, "summary.json");
    eventually("all is done", || bench.state()["done"] == 4);
    kill(orchestrator);
    workers.signal(Signal::CONT);
    bench.resume(&[]).end().expect_code(0);
    expect_complete(&bench, workers);
}

/// The workers have ended, and nobody has written that the run is over.
#[test]
fn killed_after_the_workers_have_gone() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let orchestrator = workers.attach(&TWICE);
    let summary = block_summary_of(&bench, &orchestrator, LAST);
    workers.signal(Signal::STOP);
    bench.unblock_writing(&summary, "summary.json");
    bench.block_writing(&orchestrator, "summary.json");
    workers.signal(Signal::CONT);
    orchestrator.expect_stderr("taking the hosts back");
    workers.server.expect_log("ends: the run is over");
    workers.client.expect_log("ends: the run is over");
    kill(orchestrator);
    let resumed = bench.resume(&[]).end();
    assert!(resumed.took < Duration::from_secs(10), "nobody waits for who has gone: {resumed:#?}");
    resumed.expect_code(0);
    expect_complete(&bench, workers);
}

/// Wherever it is, again and again.
#[test]
fn killed_at_any_moment() {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let workers = Workers::start(&bench, &DRIVERS, &[]);
    let mut orchestrator = workers.attach(&TWICE);
    eventually("there is a run", || bench.run_directory().join("state.json").exists());
    let is_over = || read_json(&bench.run_directory().join("run.json"))["state"] == "done";
    for delay_ms in [60, 25, 90, 45, 5, 70, 110, 30, 80, 50] {
        std::thread::sleep(Duration::from_millis(delay_ms));
        orchestrator.signal(Signal::KILL);
        orchestrator.end();
        if is_over() {
            return expect_complete(&bench, workers);
        }
        orchestrator = bench.resume(&[]);
    }
    orchestrator.end().expect_code(0);
    expect_complete(&bench, workers);
}

/// The orchestrator is about to write the summary of this turn, whose clients have ended, and waits for ever.
fn block_summary_of(bench: &Bench, orchestrator: &Running, turn: &str) -> PathBuf {
    for before in TURNS.iter().take_while(|before| **before != turn) {
        bench.open_gate(&format!("client-runs-{before}"));
    }
    bench.expect_at_gate(&format!("client-runs-{turn}"));
    let pipe = bench.block_writing(orchestrator, "summary.json");
    bench.open_gate(&format!("client-runs-{turn}"));
    let nth = 1 + TURNS.iter().position(|one| *one == turn).expect("a turn");
    eventually(&format!("the repetition of {turn} is over"), || {
        let stderr = orchestrator.stderr();
        stderr.lines().any(|line| line.contains(&format!("{nth}/4")) && line.contains(" ok after "))
    });
    pipe
}
