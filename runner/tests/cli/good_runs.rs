//! Runs in which nothing goes wrong, with the embedded driver.

use crate::bench::{Bench, read_json, scenario};
use backends::scenario::Scenario;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn run_json_names_only_programs_that_stay() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    bench.local(&["--driver", "embedded", "--driver", "mine"]).end().expect_code(0);
    let record = read_json(&bench.run_directory().join("run.json"));
    assert_eq!(record["drivers"][0], json!({"name": "embedded", "builtin": env!("CARGO_PKG_VERSION")}));
    let mine = &record["drivers"][1];
    for role in ["server", "client"] {
        let path = Path::new(mine[role].as_str().expect("a path"));
        assert!(path.is_absolute() && path.exists(), "{mine:#}");
    }
    assert!(!bench.run_directory().join("bin").exists(), "the embedded driver's names are gone");
}

#[test]
fn the_demonstration() {
    let bench = Bench::new();
    let finished = bench.run(&["local"]);
    finished.expect_code(0);
    let summary = bench.summary();
    let repetition = &summary["drivers"][0]["repetitions"][0];
    assert_eq!(summary["scenario"], "demo");
    assert_eq!(repetition["servers"].as_array().map(Vec::len), Some(4));
    expect_fields(&summary);
    expect_bytes(&backends::scenario::demo(), repetition);
    expect_layout(&bench.run_directory(), &summary);
    // Stdout has the table and nothing else.
    assert!(finished.stdout.starts_with("demo · "), "{}", finished.stdout);
    assert!(finished.stdout.contains("embedded  1    ok"), "{}", finished.stdout);
    assert!(!finished.stdout.contains("running clients"), "{}", finished.stdout);
    finished.expect_stderr(&["running clients (1)", "report:  ", "results: "]);
}

/// Everything that scripts rely on is there and makes sense.
fn expect_fields(summary: &Value) {
    assert_eq!(summary["status"], "ok");
    for text in ["run_id", "scenario", "version", "started"] {
        assert!(summary[text].is_string(), "{text}: {summary:#}");
    }
    let drivers = summary["drivers"].as_array().expect("a list of drivers");
    for repetition in drivers.iter().flat_map(|driver| driver["repetitions"].as_array().expect("a list")) {
        assert_eq!((&repetition["status"], &repetition["error"]), (&json!("ok"), &Value::Null));
        let duration = repetition["duration_s"].as_f64().expect("a duration");
        for group in ["servers", "clients"] {
            for host in repetition[group].as_array().expect("a list of hosts") {
                assert!(host["host"].as_str().expect("an address").starts_with("127.0."), "{host:#}");
                assert!(host["duration_s"].as_f64().is_some_and(|s| s > 0.0 && s <= duration), "{host:#}");
                assert!(host["cpu_s"].as_f64().is_some_and(|s| s > 0.0 && s <= duration * 2.0), "{host:#}");
                assert!(host["max_rss_bytes"].as_u64().is_some_and(|b| b > 1 << 20), "{host:#}");
                assert_eq!(host["exit_code"], 0, "{host:#}");
            }
        }
    }
}

/// Every client, and every server, moved the bytes that the scenario asks for, where it says how many.
#[track_caller]
fn expect_bytes(scenario: &Scenario, repetition: &Value) {
    let clients = (0..scenario.clients().len()).map(|index| scenario.expected_bytes(index));
    let servers = (0..scenario.servers().len()).map(|index| scenario.server_expected_bytes(index));
    let mut compared = 0;
    for (group, expected) in [("clients", clients.collect::<Vec<_>>()), ("servers", servers.collect())] {
        let hosts = repetition[group].as_array().expect("a list of hosts");
        assert_eq!(hosts.len(), expected.len(), "{group}");
        for (host, expected) in hosts.iter().zip(expected) {
            let Some(expected) = expected else { continue };
            assert_eq!(host["received_bytes"], expected.received_bytes, "{group}: {host:#}");
            assert_eq!(host["sent_bytes"], expected.sent_bytes, "{group}: {host:#}");
            compared += 1;
        }
    }
    assert!(compared > 0, "{} says nothing about bytes", scenario.name());
}

/// `runs/<run-id>/` has what it should, and nothing else.
fn expect_layout(directory: &Path, summary: &Value) {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("the run directory is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let files = ["events.jsonl", "lock", "run.json", "state.json", "summary.json"];
    let mut expected = [&files[..], &["logs", "report", "results", "scenario"]].concat();
    expected.sort();
    assert_eq!(names, expected);
    let run = read_json(&directory.join("run.json"));
    assert_eq!((&run["run_id"], &run["state"]), (&summary["run_id"], &json!("done")));
    assert!(directory.join("report/index.html").exists());
    let name = summary["scenario"].as_str().expect("a name");
    for driver in summary["drivers"].as_array().expect("a list of drivers") {
        let results = directory.join("results").join(name).join(driver["driver"].as_str().expect("a name"));
        let repetitions = driver["repetitions"].as_array().expect("a list");
        let hosts: usize = repetitions
            .iter()
            .map(|repetition| {
                ["servers", "clients"].map(|group| repetition[group].as_array().map_or(0, Vec::len))
            })
            .map(|[servers, clients]| servers + clients)
            .sum();
        let files: Vec<_> =
            fs::read_dir(&results).expect("results").flatten().map(|file| file.path()).collect();
        assert_eq!(files.len(), hosts, "{files:?}");
        for file in files {
            let text = fs::read_to_string(&file).expect("read");
            let lines: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
            let file_name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            let group = file_name.split('-').next().expect("a file name has a first part");
            let name = driver["driver"].as_str().expect("a name");
            assert_eq!(
                lines[0]["driver"],
                format!("s2n-netbench-driver-{group}-{name}"),
                "{}",
                file.display()
            );
            assert!(lines.len() >= 2, "{}", file.display());
        }
    }
}

#[test]
fn scenarios_of_every_kind_move_the_bytes_that_they_ask_for() {
    let names = [
        "two_clients_three_servers",
        "request_response_5_servers",
        "parallel_requests",
        "unblocked_requests",
        "connect_20",
        "bulk",
    ];
    for name in names {
        let bench = Bench::new();
        let file = scenario(name);
        bench.run(&["local".as_ref(), "--scenario".as_ref(), file.as_os_str()]).expect_code(0);
        let summary = bench.summary();
        expect_bytes(&Scenario::load(&file).expect("a scenario"), &summary["drivers"][0]["repetitions"][0]);
        expect_fields(&summary);
        expect_layout(&bench.run_directory(), &summary);
    }
}

#[test]
fn scenarios_that_take_their_time() {
    for name in ["ping", "ping_3_streams"] {
        let bench = Bench::new();
        bench.run(&["local".as_ref(), "--scenario".as_ref(), scenario(name).as_os_str()]).expect_code(0);
        let client = &bench.summary()["drivers"][0]["repetitions"][0]["clients"][0];
        assert!(client["received_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{name}: {client:#}");
    }
}

#[test]
fn saying_more() {
    let bench = Bench::new();
    let quiet = bench.local(&[]).end();
    assert!(!quiet.stderr.contains("INFO"), "{}", quiet.stderr);
    let more = bench.local(&["-v"]).end();
    more.expect_code(0).expect_stderr(&["the run directory is", "servers: reached", "embedded ok after"]);
    assert!(!more.stderr.contains("DEBUG"), "{}", more.stderr);
    bench.local(&["-vv"]).end().expect_code(0).expect_stderr(&["servers: worker 0 Running"]);
}

#[test]
fn json_is_the_summary_and_nothing_else() {
    let bench = Bench::new();
    let finished = bench.local(&["--json"]).end();
    finished.expect_code(0);
    let printed: Value = serde_json::from_str(&finished.stdout).expect("JSON alone");
    assert_eq!(printed, bench.summary());
}

#[test]
fn drivers_take_turns() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    bench.local(&["--driver", "mine", "--driver", "embedded", "--repeat", "2"]).end().expect_code(0);
    let events = bench.read("events.jsonl");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let turns: Vec<_> = events
        .filter(|event| event["event"] == "repetition")
        .map(|event| format!("{} {} {}", event["number"], event["driver"], event["round"]))
        .collect();
    assert_eq!(turns, ["1 \"mine\" 1", "2 \"embedded\" 1", "3 \"mine\" 2", "4 \"embedded\" 2"]);
    let summary = bench.summary();
    assert_eq!(summary["drivers"][0]["driver"], "mine", "in the order of the command line");
    expect_layout(&bench.run_directory(), &summary);
    let second = "results/tiny/embedded/client-127.0.101.1-r2.json";
    assert_eq!(summary["drivers"][1]["repetitions"][1]["clients"][0]["result"], second);
    assert!(bench.run_directory().join(second).exists());
}

#[test]
fn sampling_can_be_turned_off_and_be_dense() {
    let samples = |interval: &str| {
        let bench = Bench::new();
        bench.fake("mine", "exec $SERVER", "sleep 2; exec $CLIENT");
        bench.local(&["--driver", "mine", "--sample-interval", interval]).end().expect_code(0);
        bench.read("results/tiny/mine/client-127.0.101.1.json").lines().count() - 1
    };
    assert_eq!(samples("0"), 1, "the kernel's totals");
    assert!(samples("10ms") > 10);
}

#[test]
fn a_report_is_made_again_also_where_the_run_was_moved_to() {
    let bench = Bench::new();
    bench.local(&[]).end().expect_code(0);
    let moved = bench.path("moved");
    fs::rename(fs::canonicalize(bench.run_directory()).expect("a path"), &moved).expect("renamed");
    fs::remove_dir_all(moved.join("report")).expect("removed");
    let finished = bench.run(&["report", "moved"]);
    finished.expect_code(0);
    let page =
        fs::read_to_string(bench.path(finished.stdout.trim())).expect("the path of the report is printed");
    assert!(page.contains("127.0.101.1") && page.contains("tiny"));
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let bench = Bench::new();
    let running: Vec<_> = (0..4).map(|_| bench.local(&["--repeat", "2"])).collect();
    for running in running {
        running.end().expect_code(0);
    }
    // Four directories and the link to one of them.
    assert_eq!(fs::read_dir(bench.out()).expect("there").count(), 5);
}

#[test]
fn without_a_home() {
    let bench = Bench::new();
    let mut command = bench.command(&["local", "--scenario", scenario("tiny").to_str().expect("UTF-8")]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("RUNNER_CACHE_DIR");
    bench.start(command).end().expect_code(0);
}

#[test]
fn with_a_low_limit_on_open_files() {
    let bench = Bench::new();
    let script = format!("ulimit -S -n 12; exec {} \"$@\"", env!("CARGO_BIN_EXE_runner"));
    let file = scenario("request_response_5_servers");
    let args = [
        "-c".as_ref(),
        script.as_ref(),
        "sh".as_ref(),
        "local".as_ref(),
        "--scenario".as_ref(),
        file.as_os_str(),
    ];
    bench.start(bench.mark(Command::new("sh"), &args)).end().expect_code(0);
}

#[test]
fn the_list_of_drivers() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    bench.fake("half", "exec $SERVER", "exec $CLIENT");
    fs::remove_file(bench.drivers().join("s2n-netbench-driver-client-half")).expect("removed");
    let finished = bench.run(&["driver", "list", "--driver-dir", "drivers"]);
    finished.expect_code(0);
    let line = |name: &str| finished.stdout.lines().find(|line| line.starts_with(name)).expect("listed");
    assert!(line("embedded").contains("part of this program"));
    assert!(line("mine").contains(bench.drivers().to_str().expect("UTF-8")));
    assert!(line("half").contains("s2n-netbench-driver-client-half is missing"));
    let column = |line: &str| line.find("  ").map(|at| at + line[at..].len() - line[at..].trim_start().len());
    assert_eq!(column(line("mine")), column(line("embedded")), "{}", finished.stdout);
}

#[test]
fn nobody_reads_what_it_prints() {
    let bench = Bench::new();
    let mut command = bench.command(&["local", "--scenario", scenario("tiny").to_str().expect("UTF-8")]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer.try_clone().expect("cloned")).stderr(writer).stdin(Stdio::null());
    let status = command.status().expect("spawned");
    assert_eq!(status.code(), Some(0), "{status:?}");
    assert_eq!(bench.summary()["status"], "ok");
}

#[test]
fn what_orchestration_adds() {
    let bench = Bench::new();
    bench.fake("half-a-second", "exec $SERVER", "sleep 0.5; exec $CLIENT");
    bench.local(&["--driver", "half-a-second", "--driver", "embedded", "--repeat", "5"]).end().expect_code(0);
    for driver in bench.summary()["drivers"].as_array().expect("a list") {
        let added = driver["repetitions"].as_array().expect("a list").iter().map(|repetition| {
            let seconds = |value: &Value| value.as_f64().expect("a duration");
            seconds(&repetition["duration_s"]) - seconds(&repetition["clients"][0]["duration_s"])
        });
        let mut added: Vec<f64> = added.collect();
        added.sort_by(f64::total_cmp);
        println!("orchestration adds to {}: {added:.3?} s (target: at most 0.3 s)", driver["driver"]);
        // Other tests run meanwhile, so only a wait that should not be there shows.
        assert!(added[0] < 2.0, "{added:?}");
    }
}
