//! Drivers that crash, hang, flood, or do not listen to anybody: the repetition ends, the next driver has its turn.

use crate::bench::{Bench, Finished};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;

const WORKING_SERVER: &str = "exec $SERVER";
const WORKING_CLIENT: &str = "exec $CLIENT";

/// The only repetition of a driver in the summary.
fn repetition<'a>(summary: &'a Value, driver: &str) -> &'a Value {
    let drivers = summary["drivers"].as_array().expect("a list of drivers");
    let found = drivers.iter().find(|entry| entry["driver"] == driver).expect("the driver is there");
    &found["repetitions"][0]
}

/// The only repetition of `driver` failed, with these words in its error; that of `embedded`, after it, is fine.
#[track_caller]
fn expect_failure(bench: &Bench, finished: &Finished, driver: &str, words: &[&str]) {
    let summary = bench.summary();
    assert_eq!(summary["status"], "failed", "{finished:#?}");
    let failed = repetition(&summary, driver);
    assert_eq!(failed["status"], "failed", "{failed:#}");
    let error = failed["error"].as_str().expect("an error");
    for word in words {
        assert!(error.contains(word), "expected {word:?} in {error:?}");
    }
    finished.expect_stderr(&[&format!("error: {driver}: {error}")]);
    if driver_names(&summary).contains(&"embedded") {
        let fine = repetition(&summary, "embedded");
        assert_eq!((&fine["status"], &fine["error"]), (&"ok".into(), &Value::Null), "{fine:#}");
        assert_eq!(fine["clients"][0]["received_bytes"], 50_000, "{fine:#}");
    }
    assert!(bench.run_directory().join("report/index.html").exists());
}

fn driver_names(summary: &Value) -> Vec<&str> {
    let drivers = summary["drivers"].as_array().expect("a list of drivers");
    drivers.iter().filter_map(|driver| driver["driver"].as_str()).collect()
}

#[test]
fn a_client_that_exits_at_once() {
    let bench = Bench::new();
    bench.fake("bad", WORKING_SERVER, "echo 'no route to nowhere' >&2; exit 7");
    let finished = bench.local(&["--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(4).expect_stderr(&["stderr: no route to nowhere"]);
    expect_failure(&bench, &finished, "bad", &["client 127.0.101.1", "exit status 7"]);
    let summary = bench.summary();
    let client = &repetition(&summary, "bad")["clients"][0];
    assert_eq!(client["exit_code"], 7, "{client:#}");
    assert_eq!(client["stderr_tail"], "no route to nowhere\n");
    assert!(
        finished.stdout.contains("exit 7") && finished.stdout.contains("no route"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_server_that_exits_before_it_listens() {
    let bench = Bench::new();
    bench.fake("bad", "echo 'no certificate' >&2; exit 3", "touch $BENCH/client-ran");
    let finished = bench.local(&["--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(4).expect_stderr(&["stderr: no certificate"]);
    expect_failure(&bench, &finished, "bad", &["server 127.0.1.1", "exit status 3", "before it listened"]);
    assert!(!bench.path("client-ran").exists(), "a client never starts before every server runs");
}

#[test]
fn a_server_that_exits_with_success_before_it_listens() {
    let bench = Bench::new();
    bench.fake("bad", "exit 0", WORKING_CLIENT);
    let finished = bench.local(&["--driver", "bad"]).end();
    finished.expect_code(4);
    expect_failure(&bench, &finished, "bad", &["server 127.0.1.1", "before it listened"]);
}

#[test]
fn a_server_that_exits_during_the_run() {
    let bench = Bench::new();
    let server =
        "$SERVER & until [ -e $BENCH/client-runs ]; do sleep 0.02; done; echo 'out of memory' >&2; exit 12";
    bench.fake("bad", server, "touch $BENCH/client-runs; exec sleep 1000");
    let finished = bench.local(&["--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(4).expect_stderr(&["stderr: out of memory"]);
    expect_failure(&bench, &finished, "bad", &["server 127.0.1.1", "exit status 12"]);
    let summary = bench.summary();
    assert_eq!(repetition(&summary, "bad")["clients"][0]["signal"], 15, "the client was stopped");
}

#[test]
fn a_server_that_ends_with_success_during_the_run() {
    let bench = Bench::new();
    let server = "$SERVER & until [ -e $BENCH/client-runs ]; do sleep 0.02; done; exit 0";
    bench.fake("bad", server, "touch $BENCH/client-runs; exec sleep 1000");
    let finished = bench.local(&["--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(4);
    expect_failure(&bench, &finished, "bad", &["server 127.0.1.1", "exit status 0"]);
}

#[test]
fn a_program_that_cannot_be_executed() {
    let bench = Bench::new();
    bench.fake("bad", WORKING_SERVER, WORKING_CLIENT);
    let client = bench.drivers().join("s2n-netbench-driver-client-bad");
    let text = fs::read_to_string(&client).expect("read");
    fs::write(&client, text.replace("#!/bin/sh", "#!/no/such/interpreter")).expect("written");
    let finished = bench.local(&["--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(4);
    expect_failure(&bench, &finished, "bad", &["client 127.0.101.1", "interpreter"]);
}

#[test]
fn a_client_that_hangs_for_ever() {
    let bench = Bench::new();
    bench.fake("bad", WORKING_SERVER, "exec sleep 1000");
    let finished = bench.local(&["--timeout", "5s", "--driver", "bad", "--driver", "embedded"]).end();
    finished.expect_code(5);
    expect_failure(&bench, &finished, "bad", &["client 127.0.101.1", "after 5 s (--timeout)"]);
}

#[test]
fn a_client_that_hangs_and_ignores_term() {
    let bench = Bench::new();
    bench.fake("bad", WORKING_SERVER, "trap '' TERM; sleep 1000 & while :; do sleep 0.1; done");
    let args = ["--timeout", "5s", "--kill-grace", "200ms", "--driver", "bad", "--driver", "embedded"];
    let finished = bench.local(&args).end();
    finished.expect_code(5);
    expect_failure(&bench, &finished, "bad", &["client 127.0.101.1"]);
    let summary = bench.summary();
    assert_eq!(repetition(&summary, "bad")["clients"][0]["signal"], 9, "the client was killed");
}

#[test]
fn a_server_that_ignores_term() {
    let bench = Bench::new();
    bench.fake("stubborn", "trap '' TERM; while :; do $SERVER; done", WORKING_CLIENT);
    let finished =
        bench.local(&["--kill-grace", "200ms", "--driver", "stubborn", "--driver", "embedded"]).end();
    // It did what it was asked to, and a signal is how every server ends.
    finished.expect_code(0);
    let summary = bench.summary();
    assert_eq!(repetition(&summary, "stubborn")["servers"][0]["signal"], 9);
    let log = bench.read("logs/server-127.0.1.1.log");
    assert!(log.contains("did not end in time and is killed"), "{log}");
}

#[test]
fn a_client_that_floods_stdout() {
    let bench = Bench::new();
    bench.fake("loud", WORKING_SERVER, "yes 'all work and no play' & sleep 1; exec $CLIENT");
    let finished = bench.local(&["--driver", "loud"]).end();
    finished.expect_code(0);
    let log = bench.run_directory().join("logs/client-127.0.101.1.loud.stdout.log");
    let blocks = fs::metadata(&log).expect("the log is there").blocks();
    assert!(blocks * 512 <= 65 << 20, "the log takes {} bytes", blocks * 512);
}

#[test]
fn a_driver_whose_children_stay() {
    let bench = Bench::new();
    let stay = "sleep 1000 & (trap '' TERM HUP; sleep 1000; :) &";
    bench.fake("parent", &format!("{stay} {WORKING_SERVER}"), &format!("{stay} {WORKING_CLIENT}"));
    let finished = bench.local(&["--driver", "parent", "--repeat", "2"]).end();
    finished.expect_code(0);
    assert_eq!(bench.summary()["status"], "ok");
}

#[test]
fn a_server_that_never_listens() {
    // The deadline is 30 s, which is too long for a test; that the run can be interrupted meanwhile is tested elsewhere.
    let bench = Bench::new();
    bench.fake("mute", "exec sleep 1000", WORKING_CLIENT);
    let running = bench.local(&["--driver", "mute"]);
    running.expect_stderr("starting servers (1)");
    running.signal(rustix::process::Signal::INT);
    running.end().expect_code(130);
}
