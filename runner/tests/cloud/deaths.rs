//! Whoever dies, nothing stays.

use crate::bench::{Bench, PATIENCE, Running, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn signal(running: &Running, signal: Signal) {
    let pid = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it is there");
}

#[test]
fn a_run_whose_orchestrator_was_killed_is_destroyed_from_elsewhere() {
    let bench = Bench::new();
    let mut running = bench.start_run("demo", &[]);
    running.wait_for("running clients");
    running.child.kill().expect("it is there");
    running.child.wait().expect("a child");
    assert!(!bench.cloud.left_of_runs().is_empty(), "the hosts live on");
    let run = bench.run_id();
    std::fs::remove_dir_all(bench.path("runs")).expect("removed");
    let list = bench.expect(0, &["ec2", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains(&run));
    bench.expect(0, &["ec2", "destroy", &run]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// Nobody comes back: the hosts end at their time limit, which they keep themselves, and `gc` finds the rest.
#[test]
fn hosts_end_at_their_time_limit_and_gc_removes_the_rest() {
    // Ten minutes are twenty seconds.
    let bench = Bench::with(&["--minute-ms", "2000"]);
    let mut running = bench.start_run("tiny", &["--ttl", "10m"]);
    running.wait_for("step upload_scenario_file");
    running.child.kill().expect("it is there");
    running.child.wait().expect("a child");
    let is_host = |thing: &&String| thing.starts_with("processes") || thing.starts_with("instances");
    let start = Instant::now();
    while bench.cloud.left_of_runs().iter().any(|thing| is_host(&thing)) {
        assert!(start.elapsed() < PATIENCE, "{:#?}", bench.cloud.left_of_runs());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!bench.cloud.left_of_runs().is_empty(), "a security group costs nothing and stays");
    let kept = bench.expect(0, &["ec2", "gc"]);
    assert!(told(&kept).contains("its time limit has not passed"), "{}", told(&kept));
    assert!(!bench.cloud.left_of_runs().is_empty());
    bench.expect(0, &["ec2", "gc", "--older-than", "1s"]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// The launches are carried out after `destroy` has seen that there are no hosts, and before it removes what they use.
#[test]
fn hosts_that_come_after_they_were_looked_for_are_ended() {
    let bench = Bench::new();
    let slow = |operation: &str, nth: u32, delay_ms: u32| json!({"operation": operation, "nth": nth, "kind": "slow", "delay_ms": delay_ms});
    let launches = [slow("ec2:RunInstances", 3, 4_000), slow("ec2:RunInstances", 4, 4_000)];
    let removal = slow("ec2:DeleteSecurityGroup", 1, 6_000);
    bench.cloud.post("faults", &json!([launches[0], launches[1], removal]));
    let mut running = bench.start_run("tiny", &[]);
    running.wait_for("launching 1 client");
    let begun = Instant::now();
    while (0..2).any(|launch| bench.cloud.get("faults")[launch]["struck"] == 0) {
        assert!(begun.elapsed() < PATIENCE, "nothing is launched: {}", running.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
    running.child.kill().expect("it is there");
    running.child.wait().expect("a child");
    let carried_out = || bench.cloud.get("faults")[0]["carried_out"] != 0;
    let (run, was_early) = (bench.run_id(), !carried_out());
    bench.expect(0, &["ec2", "destroy", &run]);
    assert!(was_early && carried_out(), "the launches were to come while it destroys");
    assert_eq!(bench.cloud.calls("ec2:TerminateInstances"), 1, "they came, and late");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn a_run_whose_orchestrator_was_killed_is_resumed_over_the_same_hosts() {
    let bench = Bench::new();
    let mut running = bench.start_run("demo", &["--repeat", "2"]);
    running.wait_for("running clients");
    running.child.kill().expect("it is there");
    running.child.wait().expect("a child");
    bench.expect(0, &["resume", "latest"]);
    let summary = bench.summary();
    let repetitions = summary["drivers"][0]["repetitions"].as_array().expect("a list");
    assert_eq!(repetitions.len(), 2, "{summary:#}");
    assert!(repetitions.iter().all(|repetition| repetition["status"] == "ok"), "{summary:#}");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn an_interrupt_gives_everything_back() {
    for moment in ["launching", "step place_worker", "running clients"] {
        let bench = Bench::new();
        let mut running = bench.start_run("demo", &[]);
        running.wait_for(moment);
        signal(&running, Signal::INT);
        running.expect(130);
        assert_eq!(bench.cloud.left_of_runs(), [""; 0], "interrupted at {moment:?}");
    }
}

/// Collecting and giving back is how a run ends in order, which is what the first signal asks for.
#[test]
fn one_interrupt_at_the_end_keeps_the_results_and_two_do_not_wait_for_them() {
    for (signals, code) in [(1, 0), (2, 130)] {
        let bench = Bench::new();
        let slow = json!([{"operation": "ssm:SendCommand", "nth": 5, "kind": "slow", "delay_ms": 2000}]);
        bench.cloud.post("faults", &slow);
        let mut running = bench.start_run("tiny", &[]);
        running.wait_for("collecting results");
        for number in 1..=signals {
            signal(&running, Signal::INT);
            if number == 1 {
                running.wait_for("still collecting what was measured");
            }
        }
        running.expect(code);
        assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
        let status = &bench.summary()["drivers"][0]["repetitions"][0]["status"];
        assert_eq!(status, if signals == 1 { "ok" } else { "failed" });
    }
}

/// Its power goes, and the service goes on to call it running: only its silence tells.
#[test]
fn a_host_that_is_dead_and_said_to_run_fails_the_run_in_time() {
    for (moment, code, told) in [
        ("step place_worker", 5, "passed after 10 s for 1 of 2 hosts: client-0 ("),
        ("running clients", 5, "the deadline 'programs done' passed after 10 s (--timeout)"),
        (
            "collecting results",
            3,
            "step upload_netbench_raw_data' passed after 10 s for 1 of 2 hosts: client-0 (",
        ),
    ] {
        let bench = Bench::quick();
        // The last step of the preparation, and the collection, are not over before the host is dead.
        let slow_key = json!({"operation": "ssm:GetParameter", "every": 1, "origin": "host", "kind": "slow", "delay_ms": 4000});
        let slow_end = json!({"operation": "ssm:SendCommand", "nth": 5, "kind": "slow", "delay_ms": 4000});
        match moment {
            "step place_worker" => bench.cloud.post("faults", &json!([slow_key])),
            "collecting results" => bench.cloud.post("faults", &json!([slow_end])),
            _ => Value::Null,
        };
        let scenario = if moment == "running clients" { "demo" } else { "tiny" };
        let mut running = bench.start_run(scenario, &["--timeout", "10s", "--step-timeout", "10s"]);
        running.wait_for(moment);
        let hosts = bench.cloud.get("hosts");
        let is_client = |host: &&Value| host["tags"]["netbench-group"] == "client";
        let client = hosts.as_array().expect("a list").iter().find(is_client).expect("there is a client");
        let id = client["id"].as_str().expect("a host");
        bench.cloud.post(&format!("hosts/{id}/die?state=running"), &Value::Null);
        let stderr = running.expect(code);
        assert!(stderr.contains(told), "{moment}: {stderr}");
        assert_eq!(bench.cloud.left_of_runs(), [""; 0], "{moment}");
    }
}

#[test]
fn a_host_that_dies_fails_the_run_by_name() {
    let bench = Bench::new();
    let mut running = bench.start_run("demo", &[]);
    running.wait_for("running clients");
    let hosts = bench.cloud.get("hosts");
    let is_client = |host: &&Value| host["tags"]["netbench-group"] == "client";
    let client = hosts.as_array().expect("a list").iter().find(is_client).expect("there is a client");
    let id = client["id"].as_str().expect("a host").to_owned();
    bench.cloud.post(&format!("hosts/{id}/die?state=terminated"), &Value::Null);
    let stderr = running.expect(3);
    assert!(stderr.contains(&id), "{stderr}");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}
