//! The programs of netbench itself, from the directory that `NETBENCH_STOCK_DIR` names.

use crate::bench::{Bench, Finished, scenario, write_program};
use backends::scenario::Scenario;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DRIVERS: [&str; 4] = ["tcp", "s2n-quic", "s2n-tls", "native-tls"];

/// Longest wait for a run of stock drivers, which use every processor they can get.
pub(crate) const STOCK_PATIENCE: Duration = Duration::from_secs(240);

/// The directory, or `None` and a line that says so.
pub(crate) fn stock_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("NETBENCH_STOCK_DIR");
    if dir.is_none() {
        println!("skipped: NETBENCH_STOCK_DIR is not set");
    }
    Some(dir?.into())
}

fn run(bench: &Bench, driver_dir: &Path, file: &Path, args: &[&str]) -> Finished {
    let mut all: Vec<&OsStr> = vec!["local".as_ref(), "--scenario".as_ref(), file.as_ref()];
    all.extend(["--driver-dir".as_ref(), driver_dir.as_os_str()]);
    all.extend(args.iter().map(OsStr::new));
    bench.start(bench.command(&all)).end_within(STOCK_PATIENCE)
}

/// A driver that execs the stock one with every operation on its stdout.
fn traced(bench: &Bench, stock: &Path, driver: &str) -> String {
    let name = format!("{driver}-traced");
    for role in ["server", "client"] {
        let program = |name: &str| format!("s2n-netbench-driver-{role}-{name}");
        let stock = stock.join(program(driver));
        let text = format!("#!/bin/sh\nTRACE=stdio exec '{}'\n", stock.display());
        write_program(&bench.drivers().join(program(&name)), &text);
    }
    name
}

/// The sum of the bytes in the lines `<time> [<connection>] recv[<stream>]=<bytes>`.
///
/// The threads of a stock driver write them without a lock, so that a line may begin before the end of another one. Its
/// time, `<hours>:<minutes>:<seconds>`, then follows the bytes with nothing between them; a run takes less than an hour.
fn received_bytes(trace: &str) -> u64 {
    let of = |text: &str| {
        let text = text.split_once("]=")?.1;
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let bytes = &text[..digits];
        let is_joined = text[digits..].starts_with(':');
        (if is_joined { bytes.strip_suffix('0')? } else { bytes }).parse::<u64>().ok()
    };
    trace.split("] recv[").skip(1).filter_map(of).sum()
}

#[test]
fn bytes_are_read_from_lines_that_run_into_each_other() {
    let trace = "0:00:00.01 [0] recv[1]=57600:00:00.01 [1] recv[1]=40\n0:00:00.02 [0] send[1]=7\n0:00:00.02 [0] recv[2]=1";
    assert_eq!(received_bytes(trace), 5760 + 40 + 1);
}

/// The lines that received nothing and are no other operation either: what went wrong with a trace shows here.
fn strange_lines(trace: &str) -> Vec<&str> {
    let is_known =
        |line: &&str| line.split_once("] ").is_some_and(|(_, what)| what.is_ascii() && !what.is_empty());
    trace.lines().filter(|line| !is_known(line)).collect()
}

/// How often a run is tried: now and then the trace of the stock native-tls client lacks a line.
const TRIES: usize = 4;

/// Runs the scenario in `file` with `driver`, and compares what each client received with what the scenario asks for.
fn expect_received_bytes(stock: &Path, file: &Path, driver: &str) {
    let mut wrong = String::new();
    for _ in 0..TRIES {
        match wrong_bytes(stock, file, driver) {
            None => return,
            Some(what) => wrong = what,
        }
    }
    panic!("{wrong}");
}

/// What is wrong with the bytes that a run's clients received.
fn wrong_bytes(stock: &Path, file: &Path, driver: &str) -> Option<String> {
    let loaded = Scenario::load(file).expect("a scenario");
    let bench = Bench::new();
    let traced = traced(&bench, stock, driver);
    run(&bench, &bench.drivers(), file, &["--driver", &traced]).expect_code(0);
    (0..loaded.clients().len()).find_map(|index| {
        let log = bench.read(&format!("logs/client-127.0.101.{}.{traced}.stdout.log", index + 1));
        let expected = loaded.expected_bytes(index).expect("the scenario says how many").received_bytes;
        let received = received_bytes(&log);
        let place = format!("{} with {driver}: client {index}", loaded.name());
        let strange = strange_lines(&log);
        (received != expected)
            .then(|| format!("{place}: {received} instead of {expected}; not understood: {strange:?}"))
    })
}

#[test]
fn every_client_receives_the_bytes_that_the_scenario_asks_for() {
    let Some(stock) = stock_dir() else { return };
    let all = ["request_response_5_servers", "parallel_requests", "unblocked_requests", "connect_20", "bulk"];
    for driver in DRIVERS {
        for name in all {
            expect_received_bytes(&stock, &scenario(name), driver);
        }
    }
    // They have no certificates.
    for name in ["two_clients_three_servers", "tiny"] {
        expect_received_bytes(&stock, &scenario(name), "tcp");
    }
}

/// The stock generator makes one client only; here it is played by three hosts, with certificates for every driver.
#[test]
fn several_clients_and_several_servers_with_every_driver() {
    let Some(stock) = stock_dir() else { return };
    let bench = Bench::new();
    let text = std::fs::read(scenario("request_response_5_servers")).expect("read");
    let mut made: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let client = made["clients"][0].clone();
    made["clients"] = vec![client; 3].into();
    bench.write("three_clients.json", &made.to_string());
    for driver in DRIVERS {
        expect_received_bytes(&stock, &bench.path("three_clients.json"), driver);
    }
}

#[test]
fn scenarios_that_are_made_just_now() {
    let Some(stock) = stock_dir() else { return };
    let bench = Bench::new();
    let args = [
        "--connect.connections=200",
        "--request_response.servers=7",
        "--request_response.connections=3",
        "--request_response.count=4",
        "--request_response.parallel",
        "--request_response.response_size=20KB",
        "--request_response.response_delay=20ms",
    ];
    let mut command = bench.mark(Command::new(stock.join("s2n-netbench-scenarios")), &args);
    command.arg(bench.path("made"));
    bench.start(command).end().expect_code(0);
    for name in ["connect.json", "request_response.json"] {
        let file = bench.path("made").join(name);
        for driver in DRIVERS {
            expect_received_bytes(&stock, &file, driver);
        }
    }
}

#[test]
fn all_drivers_take_turns() {
    let Some(stock) = stock_dir() else { return };
    for name in ["parallel_requests", "unblocked_requests"] {
        let bench = Bench::new();
        let mut args = vec!["--repeat", "2", "--driver", "embedded"];
        args.extend(DRIVERS.iter().flat_map(|driver| ["--driver", driver]));
        run(&bench, &stock, &scenario(name), &args).expect_code(0);
        let summary = bench.summary();
        let drivers = summary["drivers"].as_array().expect("a list of drivers");
        assert_eq!(drivers.len(), 5);
        for driver in drivers {
            assert_eq!(driver["repetitions"].as_array().map(Vec::len), Some(2), "{driver:#}");
        }
        report_tree(&bench, &stock);
    }
}

/// What a stock client says that still sends when its server has ended already.
const SERVER_WAS_FASTER: [&str; 3] = ["Broken pipe", "Connection reset", "StreamReset"];

/// Both sides of a ping end when its time is over; a stock client may find that its server was faster and fail, on a
/// busy machine often.
#[test]
fn pings_end_well_unless_the_server_is_faster() {
    let Some(stock) = stock_dir() else { return };
    for name in ["ping", "ping_3_streams"] {
        let bench = Bench::new();
        let mut args = vec!["--repeat", "4"];
        args.extend(DRIVERS.iter().flat_map(|driver| ["--driver", driver]));
        let finished = run(&bench, &stock, &scenario(name), &args);
        let summary = bench.summary();
        let drivers = summary["drivers"].as_array().expect("a list of drivers");
        let repetitions = drivers.iter().flat_map(|driver| driver["repetitions"].as_array().expect("a list"));
        let (ok, failed): (Vec<_>, Vec<_>) = repetitions.partition(|repetition| repetition["status"] == "ok");
        assert!(!ok.is_empty() && ok.len() + failed.len() == 4 * DRIVERS.len(), "{finished:#?}");
        for repetition in failed {
            let said = repetition["clients"][0]["stderr_tail"].as_str().unwrap_or_default();
            assert!(SERVER_WAS_FASTER.iter().any(|reason| said.contains(reason)), "{repetition:#}");
        }
        report_tree(&bench, &stock);
    }
}

#[test]
fn the_report_tool_of_netbench_after_a_failed_repetition() {
    let Some(stock) = stock_dir() else { return };
    let bench = Bench::new();
    bench.fake("bad", "exec $SERVER", "exit 7");
    bench.fake("killed", "exec $SERVER", "kill -9 $$");
    bench.fake("mute", "exit 1", "exec $CLIENT");
    let args = ["--driver", "bad", "--driver", "embedded", "--driver", "killed", "--driver", "mute"];
    run(&bench, &bench.drivers(), &scenario("tiny"), &args).expect_code(4);
    report_tree(&bench, &stock);
}

/// `s2n-netbench report-tree` takes the results as they are.
#[track_caller]
fn report_tree(bench: &Bench, stock: &Path) {
    let command = bench.mark(
        Command::new(stock.join("s2n-netbench")),
        &[
            "report-tree".as_ref(),
            bench.run_directory().join("results").as_os_str(),
            bench.path("tree").as_os_str(),
        ],
    );
    let finished = bench.start(command).end();
    finished.expect_code(0);
    assert!(fs::read_dir(bench.path("tree")).expect("a report").count() > 0);
}

#[test]
fn the_collector_of_netbench() {
    let Some(stock) = stock_dir() else { return };
    let bench = Bench::new();
    let args =
        ["--driver", "tcp", "--driver", "s2n-quic", "--collector", "stock", "--sample-interval", "50ms"];
    run(&bench, &stock, &scenario("request_response_5_servers"), &args).expect_code(0);
    let file = bench.run_directory().join("results/request_response_5_servers/tcp/client-127.0.101.1.json");
    let text = fs::read_to_string(&file).expect("the result is there");
    assert!(text.lines().next().is_some_and(|line| line.contains("\"start_time\"")), "{text}");
    report_tree(&bench, &stock);
}
