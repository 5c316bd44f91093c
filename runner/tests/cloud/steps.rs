//! Hosts that do not do what they are told, and a bucket that does not take what they have.

use crate::bench::{Bench, Running};
use crate::cloud::refusal;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The hosts of a group, as the cloud knows them.
fn hosts(bench: &Bench, group: &str) -> Vec<String> {
    let hosts = bench.cloud.get("hosts");
    let hosts =
        hosts.as_array().expect("a list").iter().filter(|host| host["tags"]["netbench-group"] == group);
    hosts.map(|host| host["id"].as_str().expect("a host").to_owned()).collect()
}

/// The run ends with `code` and a message that has all of `texts`, and leaves nothing.
fn expect_failure(bench: &Bench, running: Running, code: i32, texts: &[&str]) {
    let stderr = running.expect(code);
    for text in texts {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// `false --version` fails; `true` ends before it listens.
#[test]
fn a_step_that_fails_is_named_with_host_and_cause() {
    let bench = Bench::new();
    for (worker, step, cause) in [
        ("/usr/bin/false", "place_worker", "bin/runner does not run here: it ends with exit code 1"),
        ("/usr/bin/true", "run_worker", "the worker ended with exit code 0 before it listened"),
    ] {
        let running = bench.start_run("tiny", &["--worker", worker]);
        // The first one that fails ends it; the other may have failed by then.
        let step = format!("step {step} failed on ");
        expect_failure(&bench, running, 3, &[&step, " of 2 hosts\n", "-0 (i-", cause]);
    }
}

#[test]
fn a_step_that_hangs_ends_with_its_deadline_and_the_hosts() {
    let bench = Bench::quick();
    // The program is fetched by an address of the bucket: no byte of it comes for a minute.
    let hangs = json!([{"operation": "s3:GetObject", "nth": 3, "origin": "host", "kind": "slow", "delay_ms": 60_000}]);
    bench.cloud.post("faults", &hangs);
    let running = bench.start_run("tiny", &["--step-timeout", "15s"]);
    expect_failure(&bench, running, 5, &["the deadline 'step ", " passed after 15 s for 1 of 2 hosts: "]);
}

#[test]
fn a_host_that_loses_its_agent_is_named() {
    let bench = Bench::quick();
    // The steps are carried out once it has lost its agent.
    let slow =
        |nth: u32| json!({"operation": "ssm:SendCommand", "nth": nth, "kind": "slow", "delay_ms": 5000});
    bench.cloud.post("faults", &json!([slow(1)]));
    let mut running = bench.start_run("tiny", &["--step-timeout", "15s"]);
    running.wait_for("step upload_scenario_file");
    let server = hosts(&bench, "server").remove(0);
    bench.cloud.post(&format!("hosts/{server}/agent/lost"), &Value::Null);
    let host = format!(" passed after 15 s for 1 of 2 hosts: server-0 ({server})");
    expect_failure(&bench, running, 5, &["the deadline 'step ", &host]);
}

#[test]
fn a_host_that_dies_before_its_worker_runs_is_named() {
    let bench = Bench::new();
    let mut running = bench.start_run("tiny", &[]);
    running.wait_for("step upload_scenario_file");
    let client = hosts(&bench, "client").remove(0);
    bench.cloud.post(&format!("hosts/{client}/die?state=terminated"), &Value::Null);
    expect_failure(&bench, running, 3, &["client 0 was lost while the hosts were prepared", &client]);
}

/// One host waits for its manifest, and the other one has its worker placed by then.
#[test]
fn no_host_waits_for_another_one_while_it_is_prepared() {
    let bench = Bench::quick();
    let slow = json!([{"operation": "s3:GetObject", "nth": 1, "origin": "host", "kind": "slow", "delay_ms": 10_000}]);
    bench.cloud.post("faults", &slow);
    bench.start_run("tiny", &[]).expect(0);
    let run = bench.run_id();
    let marked = |marker: &str| -> Vec<SystemTime> {
        let hosts = std::fs::read_dir(bench.path("hosts")).expect("hosts");
        let markers = hosts.map(|host| host.expect("readable").path().join(&run).join(marker));
        let mut times: Vec<_> =
            markers.map(|path| std::fs::metadata(path).and_then(|it| it.modified()).expect("done")).collect();
        times.sort();
        times
    };
    let (fetched, placed) = (marked("fin_upload_scenario_file"), marked("fin_place_worker"));
    assert!(placed[0] < fetched[1], "{placed:?} {fetched:?}");
}

/// They are sent in the order in which they can be done.
#[test]
fn an_agent_that_does_one_step_at_a_time_prepares_its_host() {
    let bench = Bench::with(&["--agent-slots", "1"]);
    bench.start_run("tiny", &[]).expect(0);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// What was measured is reported, and the failure says what is missing.
#[test]
fn a_host_that_dies_before_its_results_are_collected_is_named() {
    let bench = Bench::new();
    let slow = json!([{"operation": "ssm:SendCommand", "nth": 5, "kind": "slow", "delay_ms": 3000}]);
    bench.cloud.post("faults", &slow);
    let mut running = bench.start_run("tiny", &["--step-timeout", "10s"]);
    running.wait_for("collecting results");
    let client = hosts(&bench, "client").remove(0);
    bench.cloud.post(&format!("hosts/{client}/die?state=terminated"), &Value::Null);
    expect_failure(&bench, running, 3, &["client 0 was lost while the results were collected", &client]);
    assert!(bench.run_directory().join("report/index.html").exists());
}

#[test]
fn a_bucket_that_refuses_results_is_named_and_the_figures_are_kept() {
    let bench = Bench::new();
    let refuses = json!([{"operation": "s3:PutObject", "every": 1, "origin": "host", "kind": "error",
                          "status": 403, "code": "AccessDenied", "message": "not into this bucket"}]);
    bench.cloud.post("faults", &refuses);
    let running = bench.start_run("tiny", &[]);
    expect_failure(&bench, running, 3, &["step upload_netbench_raw_data failed on ", "not into this bucket"]);
    // What came over the control channel is there; bytes are in the files that are lost.
    let summary = bench.summary();
    let repetition = &summary["drivers"][0]["repetitions"][0];
    assert_eq!(repetition["status"], "failed");
    assert!(repetition["error"].as_str().is_some_and(|error| error.contains("its result file is missing")));
    assert_eq!(repetition["clients"][0]["exit_code"], 0, "{repetition:#}");
    assert!(bench.run_directory().join("report/index.html").exists());
}

/// The only copy is not removed with the run, and the user is told where it is.
#[test]
fn results_that_cannot_be_fetched_stay_until_the_run_is_destroyed() {
    let bench = Bench::new();
    let refusals = [1, 2, 3].map(|nth| refusal("s3:GetObject", nth, "not out of this bucket"));
    bench.cloud.post("faults", &json!(refusals));
    let stderr = bench.start_run("tiny", &[]).expect(3);
    assert!(stderr.contains("not out of this bucket"), "{stderr}");
    let told = format!("`runner ec2 destroy {} --region us-east-1` removes it", bench.run_id());
    assert!(stderr.contains("what the hosts uploaded stays in s3://") && stderr.contains(&told), "{stderr}");
    let left = bench.cloud.left_of_runs();
    assert!(left.iter().any(|thing| thing.contains("/hosts/client-0/results/")), "{left:?}");
    assert!(left.iter().all(|thing| thing.starts_with("objects") && thing.contains("/hosts/")), "{left:?}");
    bench.expect(0, &["ec2", "destroy", &bench.run_id()]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}
