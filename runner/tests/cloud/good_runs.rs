//! Runs in which nothing goes wrong.

use crate::bench::Bench;
use serde_json::Value;
use std::time::Instant;

/// Setup, a run in two zones with placement and two drivers, report, teardown; nothing is left at any point.
#[test]
fn a_run_in_two_zones_with_two_drivers_leaves_nothing() {
    let bench = Bench::new();
    let stock = std::env::var("NETBENCH_STOCK_DIR").ok();
    let mut args = vec!["--driver", "embedded"];
    if let Some(stock) = &stock {
        args.extend(["--driver", "tcp", "--driver-dir", stock]);
    } else {
        eprintln!("NETBENCH_STOCK_DIR is not set: only the embedded driver is tried");
    }
    args.extend(["--server-az", "us-east-1a,us-east-1b,us-east-1a", "--client-az", "us-east-1b"]);
    args.extend(["--server-placement", "cluster", "--client-placement", "spread", "--repeat", "2"]);
    // Stock drivers bind every address, so their ports are not those of the other tests.
    args.extend(["--driver-port", "9440"]);
    let start = Instant::now();
    bench.start_run("two_clients_three_servers", &args).expect(0);
    let looks_max = start.elapsed().as_secs() * 10;

    let summary = bench.summary();
    assert_eq!(summary["status"], "ok");
    let drivers = summary["drivers"].as_array().expect("drivers");
    assert_eq!(drivers.len(), if stock.is_some() { 2 } else { 1 });
    for repetition in drivers.iter().flat_map(|driver| driver["repetitions"].as_array().expect("a list")) {
        assert_eq!(repetition["status"], "ok", "{repetition:#}");
        for (group, count) in [("servers", 3), ("clients", 2)] {
            let hosts = repetition[group].as_array().expect("hosts");
            assert_eq!(hosts.len(), count);
            assert!(hosts.iter().all(|host| host["result"].is_string()), "{repetition:#}");
        }
        // The workers were silent while all clients ran, if ever all of them did at the same time.
        let control_bytes = &repetition["quiet_window"]["control_bytes"];
        assert!(control_bytes.is_null() || *control_bytes == 0, "{repetition:#}");
    }
    let embedded = &drivers[0]["repetitions"][0];
    assert!(embedded["clients"][0]["received_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{embedded:#}");
    let directory = bench.run_directory();
    for file in ["report/index.html", "facts/server-0/before.tsv", "facts/client-1/after.tsv", "cloud.jsonl"]
    {
        assert!(directory.join(file).exists(), "{file}");
    }
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    assert_eq!(bench.cloud.violations(), [Value::Null; 0]);
    // Two zones of servers and one of clients.
    assert_eq!(bench.cloud.calls("ec2:RunInstances"), 2 * 3, "a dry run and a launch for each kind");
    let looks = bench.cloud.calls("ec2:DescribeInstances");
    assert!(looks < looks_max, "{looks}, where one a poll interval are {looks_max}");

    let list = bench.expect(0, &["ec2", "list"]);
    assert!(list.stdout.is_empty(), "{}", String::from_utf8_lossy(&list.stdout));
    bench.expect(0, &["ec2", "teardown", "--yes"]);
    let left = bench.cloud.get("left");
    for kind in ["stacks", "buckets", "vpcs", "roles", "instance_profiles", "security_groups"] {
        let things: Vec<&Value> = left[kind].as_array().into_iter().flatten().collect();
        assert!(things.iter().all(|thing| thing["tags"]["netbench-stack"].is_null()), "{kind}: {things:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let bench = Bench::new();
    let before = bench.cloud.get("left");
    let running = bench.start_run(
        "two_clients_three_servers",
        &["--dry-run", "--ttl", "90m", "--server-placement", "cluster", "--server-az", "us-east-1a"],
    );
    let output = running.child.wait_with_output().expect("a child");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    for text in [
        "create instance           3 servers (c6i.large)",
        "create instance           2 clients",
        "create placement group    cluster, in us-east-1a",
        "create volume             5 of 50 GiB",
        "10 vCPUs at the same time; the quota",
        "the hosts may be launched",
        "port 9000 from 127.0.0.1/32",
        "1h 30m",
    ] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    assert_eq!(bench.cloud.get("left"), before);
    assert!(!bench.path("runs").exists());
}
