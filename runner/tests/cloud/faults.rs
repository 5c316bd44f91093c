//! A service that says no, once, at one call.

use crate::bench::{Bench, told};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The parameters of all launches but the two dry runs.
fn launches(bench: &Bench) -> Vec<Value> {
    bench.requests("ec2:RunInstances").split_off(2)
}

fn subnet_of(launch: &Value) -> String {
    launch["NetworkInterface.1.SubnetId"].to_string()
}

#[test]
fn without_room_in_one_zone_the_next_one_is_taken() {
    let bench = Bench::new();
    // The first two are dry runs.
    bench.cloud.post(
        "faults",
        &json!([{"operation": "ec2:RunInstances", "nth": 3, "kind": "error", "status": 500,
                 "code": "InsufficientInstanceCapacity", "message": "no room here"}]),
    );
    bench.start_run("tiny", &[]).expect(0);
    let subnets: BTreeSet<String> = launches(&bench).iter().map(subnet_of).collect();
    assert_eq!((launches(&bench).len(), subnets.len()), (3, 2));
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// Spare capacity is tried first; where there is none, a host costs what it costs.
#[test]
fn without_spare_capacity_a_plain_host_is_taken() {
    let bench = Bench::new();
    let no_room = json!({"operation": "ec2:RunInstances", "nth": 3, "kind": "error", "status": 500,
                         "code": "InsufficientInstanceCapacity", "message": "nothing to spare"});
    bench.cloud.post("faults", &json!([no_room]));
    bench.start_run("tiny", &["--spot", "--server-az", "us-east-1a", "--client-az", "us-east-1a"]).expect(0);
    let launches = launches(&bench);
    let spot = launches.iter().filter(|it| it.to_string().contains("MarketType"));
    assert_eq!((spot.count(), launches.len()), (2, 3), "{launches:?}");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// One call of each kind that a run makes.
#[test]
fn a_fault_at_a_call_is_named_and_leaves_nothing() {
    for (operation, nth) in [
        ("ec2:CreateSecurityGroup", 1),
        ("ssm:PutParameter", 1),
        ("ec2:RunInstances", 3),
        ("ssm:SendCommand", 3),
        ("s3:PutObject", 1),
    ] {
        let bench = Bench::new();
        bench.cloud.refuse(operation, nth, "not today");
        let stderr = bench.start_run("tiny", &[]).expect(3);
        let name = operation.split(':').nth(1).expect("service and operation");
        assert!(stderr.contains(name) && stderr.contains("not today"), "{operation}: {stderr}");
        assert_eq!(bench.cloud.left_of_runs(), [""; 0], "{operation}");
    }
}

/// A lost answer is no reason to fail, and makes nothing twice.
#[test]
fn a_lost_answer_makes_nothing_twice() {
    let bench = Bench::new();
    let lost = |operation: &str, nth: u32| json!({"operation": operation, "nth": nth, "kind": "lost_reply"});
    let faults = json!([
        lost("ec2:CreateSecurityGroup", 1),
        lost("ssm:PutParameter", 1),
        lost("ec2:RunInstances", 3),
        lost("ssm:SendCommand", 2),
    ]);
    bench.cloud.post("faults", &faults);
    bench.start_run("tiny", &[]).expect(0);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    let hosts = bench.cloud.get("hosts");
    assert_eq!(hosts.as_array().map(Vec::len), Some(2), "{hosts:#}");
    // Each step was done once on each host, whatever was sent.
    assert_eq!(bench.cloud.calls("ssm:SendCommand"), 5, "the lost one was found by its comment");
}

/// What could not be looked for is not said to be gone.
#[test]
fn destroy_says_when_it_could_not_look_into_the_bucket() {
    let bench = Bench::new();
    bench.cloud.refuse("cloudformation:DescribeStacks", 1, "not today");
    let output = bench.expect(3, &["ec2", "destroy", "20260101-000000-abcd"]);
    let told = told(&output);
    assert!(told.contains("files of the run may be in the bucket"), "{told}");
    assert!(told.contains("DescribeStacks of ") && told.contains("not today"), "{told}");
}
