//! How many calls a run makes, for 2, 20 and 200 hosts: as many as there are kinds of hosts and steps, and not as many
//! as there are hosts. Only results are fetched one by one.

use crate::bench::{Bench, scenario_file, worker};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For 200 hosts of two kinds, from nothing to all of them running.
const EC2_CALLS_MAX: u64 = 30;

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Hosts that one answer of SSM tells of.
const HOSTS_A_PAGE: u64 = 50;

/// A program that runs, and is no worker.
const NO_WORKER: &str = "/usr/bin/true";

/// Looked at until it is as it should be, which takes its time.
const POLLS: [&str; 4] = [AGENTS, "ec2:DescribeInstances", "ec2:DescribeVolumes", "ssm:ListCommands"];

/// The poll whose answer has pages.
const AGENTS: &str = "ssm:DescribeInstanceInformation";

/// Called for each file that hosts have uploaded.
const DOWNLOADS: &str = "s3:GetObject";

/// Also called for the status page: once for each change, unless the next one follows at once.
const UPLOADS: &str = "s3:PutObject";

/// What the status page tells: hosts are prepared, run, are collected from, are given back.
const STAGES: u64 = 4;

/// What follows the failure of a step: its hosts are listed, three times at most, the output of three is asked for, and
/// steps that go on are cancelled.
const AFTER_A_FAILURE: [&str; 3] =
    ["ssm:ListCommandInvocations", "ssm:GetCommandInvocation", "ssm:CancelCommand"];

type Calls = BTreeMap<String, u64>;

/// What was counted in one run.
struct Counted {
    hosts: u64,
    ends_early: bool,
    /// When all hosts ran.
    running: Calls,
    /// At the end.
    all: Calls,
    took: Duration,
}

#[test]
fn the_number_of_calls_does_not_grow_with_the_number_of_hosts() {
    let bench = Bench::quick();
    let counted = [2, 20].map(|hosts| count(&bench, hosts, false));
    print(&counted);
    let [few, many] = &counted;
    assert_eq!(
        many.all[DOWNLOADS],
        few.all[DOWNLOADS] * many.hosts / few.hosts,
        "so many files for each host"
    );
    assert_growth(&counted);
}

/// 200 workers would be too much for a small machine: what is placed on the hosts ends at once, and with it the run, whose
/// steps were all made by then and whose hosts are given back.
#[test]
fn calls_for_200_hosts() {
    let bench = Bench::quick();
    let counted = [2, 20, 200].map(|hosts| count(&bench, hosts, true));
    print(&counted);
    assert_growth(&counted);
}

/// No run makes more calls than the first one, which has the fewest hosts; polls are made as long as it takes.
fn assert_growth(counted: &[Counted]) {
    let (few, more) = counted.split_first().expect("some were counted");
    let each =
        more.iter().flat_map(|counted| counted.all.iter().map(move |(name, calls)| (counted, name, calls)));
    for (&Counted { hosts, ends_early, .. }, operation, calls) in each {
        if ends_early && AFTER_A_FAILURE.contains(&operation.as_str()) {
            let pages = hosts.div_ceil(HOSTS_A_PAGE);
            assert!(*calls <= 3 * pages + 4, "{operation} for {hosts} hosts: {calls}");
        } else if !POLLS.contains(&operation.as_str()) && operation != DOWNLOADS {
            let pages = if operation == UPLOADS { STAGES } else { 0 };
            let of_few = few.all.get(operation).copied().unwrap_or_default();
            assert!(*calls <= of_few + pages, "{operation} for {hosts} hosts: {calls}");
        }
    }
    counted.iter().for_each(assert_polls);
}

/// One call a poll, whatever the number of hosts.
fn assert_polls(counted: &Counted) {
    let of_ec2 = of_ec2(&counted.running);
    assert!(of_ec2 <= EC2_CALLS_MAX, "{of_ec2} calls until {} hosts run", counted.hosts);
    let polls_max = u64::try_from(counted.took.as_millis() / POLL_INTERVAL.as_millis()).expect("few") + 10;
    for operation in POLLS {
        let pages = if operation == AGENTS { counted.hosts.div_ceil(HOSTS_A_PAGE) } else { 1 };
        let calls = counted.all[operation];
        assert!(calls <= polls_max * pages, "{operation}: {calls} calls in {:?}", counted.took);
    }
}

/// Counts the calls of a run with as many servers as clients. An early end is that of the workers.
fn count(bench: &Bench, hosts: u64, ends_early: bool) -> Counted {
    let scenario = bench.path(&format!("{hosts}.json"));
    std::fs::write(&scenario, scenario_of(hosts / 2).to_string()).expect("written");
    // Which image runs here is asked for by the test.
    bench.image();
    bench.cloud.post("reset-counters", &json!(null));
    let begun = Instant::now();
    let interval = format!("{}ms", POLL_INTERVAL.as_millis());
    let worker = if ends_early { NO_WORKER } else { worker() };
    let mut running = bench.start_run_of(&scenario, &["--worker", worker, "--poll-interval", &interval]);
    running.wait_for("waiting for the hosts' agents");
    let first = calls(bench);
    eprintln!("{hosts} hosts: {} calls of EC2 until they run", of_ec2(&first));
    let stderr = running.expect(if ends_early { 3 } else { 0 });
    assert!(!ends_early || stderr.contains("step run_worker failed on "), "{stderr}");
    let counted = Counted { hosts, ends_early, running: first, all: calls(bench), took: begun.elapsed() };
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    bench.remove_hosts_files();
    counted
}

fn calls(bench: &Bench) -> Calls {
    let counters = bench.cloud.get("counters");
    let counters = counters.as_object().expect("counters by operation").iter();
    counters.map(|(name, count)| (name.clone(), count.as_u64().expect("a count"))).collect()
}

fn of_ec2(calls: &Calls) -> u64 {
    let of_ec2 = calls.iter().filter(|(operation, _)| operation.starts_with("ec2:"));
    of_ec2.map(|(_, calls)| calls).sum()
}

/// Each client has a server of its own.
fn scenario_of(pairs: u64) -> Value {
    let text = std::fs::read_to_string(scenario_file("tiny")).expect("a scenario");
    let mut scenario: Value = serde_json::from_str(&text).expect("JSON");
    let (client, server) = (scenario["clients"][0].clone(), scenario["servers"][0].clone());
    let client = |pair: u64| {
        let mut client = client.clone();
        client["scenario"][0]["connect"]["server_id"] = json!(pair);
        client
    };
    scenario["clients"] = (0..pairs).map(client).collect();
    scenario["servers"] = (0..pairs).map(|_| server.clone()).collect();
    scenario
}

fn print(counted: &[Counted]) {
    let hosts: String = counted.iter().map(|counted| format!("{:>12}", counted.hosts)).collect();
    eprintln!("{:36}{hosts}   hosts; until they run, and in all", "operation");
    let operations: std::collections::BTreeSet<&String> =
        counted.iter().flat_map(|counted| counted.all.keys()).collect();
    for operation in operations {
        let cell = |counted: &Counted| {
            let of = |calls: &Calls| calls.get(operation).copied().unwrap_or_default();
            format!("{:>6}{:>6}", of(&counted.running), of(&counted.all))
        };
        eprintln!("{operation:36}{}", counted.iter().map(cell).collect::<String>());
    }
    let took: String =
        counted.iter().map(|counted| format!("{:>10.1} s", counted.took.as_secs_f64())).collect();
    eprintln!("{:36}{took}", "time");
}
