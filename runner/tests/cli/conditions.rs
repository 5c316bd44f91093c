//! Under which conditions a run measured: the quiet window, the clocks, and the start skew, in the summary.

use crate::bench::{Bench, Finished, read_json, scenario};
use serde_json::Value;

/// A run of two clients, which begin once both are known to run, so that there is a window.
fn two_clients(args: &[&str]) -> (Bench, Finished, Value) {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "gate client-runs; exec $CLIENT");
    let mut many = read_json(&scenario("tiny"));
    let client = many["clients"][0].clone();
    many["clients"] = vec![client; 2].into();
    bench.write("two.json", &many.to_string());
    let base = ["local", "--scenario", "two.json", "--driver-dir", "drivers", "--driver", "mine"];
    let running = bench.start(bench.command(&[&base[..], args].concat()));
    bench.expect_clients_known_to_run(1);
    bench.open_gate("client-runs");
    let finished = running.end();
    let repetition = bench.summary()["drivers"][0]["repetitions"][0].clone();
    (bench, finished, repetition)
}

fn reasons(repetition: &Value) -> Vec<&str> {
    let reasons = repetition["suspect"].as_array().map(Vec::as_slice).unwrap_or_default();
    reasons.iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_run_is_quiet_and_its_clocks_are_known() {
    // However busy the machine is.
    let (_bench, finished, repetition) = two_clients(&["--max-start-skew", "1m"]);
    finished.expect_code(0);
    assert_eq!(repetition["suspect"], Value::Null, "{repetition:#}");
    let quiet = &repetition["quiet_window"];
    assert!(quiet["duration_s"].as_f64() > Some(0.0), "{repetition:#}");
    assert_eq!((&quiet["orchestrator_bytes"], &quiet["worker_bytes"]), (&0.into(), &0.into()), "{quiet:#}");
    assert_eq!(quiet["kernel"], "agrees");
    let start = &repetition["start"];
    assert_eq!(start["clients"], 2, "{start:#}");
    let (skew, bound) = (start["skew_us"].as_u64(), start["bound_us"].as_u64());
    assert!(skew.is_some() && bound > Some(0), "{start:#}");
    let lateness = |of: &Value| of.as_i64().expect("microseconds");
    let clients = repetition["clients"].as_array().expect("a list of clients");
    let each: Vec<i64> = clients.iter().map(|client| lateness(&client["start_lateness_us"])).collect();
    let (first, last) = (each.iter().min().expect("two"), each.iter().max().expect("two"));
    assert_eq!(lateness(&start["lateness_us"]), *last, "{repetition:#}");
    assert_eq!(skew, u64::try_from(last - first).ok(), "{repetition:#}");
    for host in clients {
        assert!(host["clock"]["offset_us"].is_i64(), "{host:#}");
        assert!(host["clock"]["bound_us"].as_u64().is_some_and(|it| it > 0 && Some(it) <= bound), "{host:#}");
        let earliest = -host["clock"]["bound_us"].as_i64().expect("microseconds");
        assert!(
            lateness(&host["start_lateness_us"]) >= earliest,
            "nobody starts before the instant: {host:#}"
        );
    }
    let server = &repetition["servers"][0];
    assert_eq!((&server["clock"], &server["start_lateness_us"]), (&Value::Null, &Value::Null), "{server:#}");
    assert!(finished.stdout.contains("agrees"), "the table shows it: {}", finished.stdout);
}

/// No clock of a worker is known so well.
const NOBODY_CAN: [&str; 2] = ["--max-start-skew", "1us"];

/// What is told of the repetition's start skew: that it is too large, or that nobody can know.
#[track_caller]
fn expect_reason(reason: &str) {
    let is_told = ["the clients started within", "the clients' clocks are known only to"];
    assert!(is_told.iter().any(|words| reason.starts_with(words)), "{reason}");
    assert!(reason.contains("--max-start-skew (1.00 µs)"), "{reason}");
}

#[test]
fn a_start_skew_over_the_limit_is_suspect() {
    let (_bench, finished, repetition) = two_clients(&NOBODY_CAN);
    finished.expect_code(0);
    assert_eq!((&repetition["status"], &repetition["error"]), (&"ok".into(), &Value::Null));
    let reasons = reasons(&repetition);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    expect_reason(reasons[0]);
    finished.expect_stderr(&[&format!("suspect: {}", reasons[0])]);
}

#[test]
fn a_start_skew_over_the_limit_fails_on_request() {
    let args = [&NOBODY_CAN[..], &["--on-start-skew", "fail", "--repeat", "2"]].concat();
    let (bench, finished, repetition) = two_clients(&args);
    finished.expect_code(3);
    assert_eq!(repetition["status"], "failed");
    let error = repetition["error"].as_str().expect("an error");
    expect_reason(error);
    finished.expect_stderr(&[&format!("error: mine: {error}")]);
    let summary = bench.summary();
    assert_eq!(summary["status"], "failed");
    let repetitions = summary["drivers"][0]["repetitions"].as_array().expect("a list of repetitions");
    assert_eq!(repetitions.len(), 2, "the run goes on");
    for host in repetitions.iter().flat_map(|repetition| repetition["clients"].as_array().expect("a list")) {
        assert_eq!(host["exit_code"], 0, "what was measured is kept: {host:#}");
    }
}

#[test]
fn a_start_skew_that_makes_no_sense() {
    let bench = Bench::new();
    for skew in ["0", "1ns", "2h", "soon"] {
        let finished = bench.run(&["local", "--max-start-skew", skew]);
        finished.expect_code(2).expect_stderr(&["--max-start-skew"]);
    }
    bench.run(&["local", "--on-start-skew", "worry"]).expect_code(2).expect_stderr(&["suspect, fail"]);
}
