//! Control connections that the kernel destroys (`ss -K`) in every phase of local runs: they are made again, the drivers
//! go on, and the summary says that the quiet window was not quiet.
//!
//! It takes root, iproute2, and a kernel with `CONFIG_INET_DIAG_DESTROY`. Where they are missing, a test says that it
//! was skipped.

use crate::bench::{Bench, Running, eventually, read_json, scenario};
use crate::resume::{SERVER_THAT_STOPS_LATE, expect_tidy};
use crate::stock::{STOCK_PATIENCE, stock_dir};
use backends::scenario::Scenario;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Destroys every established connection to one of these addresses.
fn cut(addresses: &[SocketAddr]) {
    let filter: Vec<String> = addresses.iter().map(|address| format!("src {address}")).collect();
    let mut command = Command::new("ss");
    command.args(["-K", "-H", "-t", "-n", "state", "established", &format!("( {} )", filter.join(" or "))]);
    // Whether it worked shows in the connections.
    let _ = command.output();
}

/// Whether connections can be cut here. If not, says so, as loudly as a test can that does not fail.
fn can_cut(test: &str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut stream = TcpStream::connect(address).expect("connected");
    let (_accepted, _) = listener.accept().expect("accepted");
    cut(&[address]);
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("it is a socket");
    let is_cut = match stream.read(&mut [0]) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    if !is_cut {
        // Not by a macro, whose output nobody sees if the test passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {test}: `ss -K` does not destroy a connection here; it takes root, iproute2 and a kernel with \
             CONFIG_INET_DIAG_DESTROY"
        );
    }
    is_cut
}

/// Where the workers of the last run listen for the orchestrator, once that is known.
pub(crate) fn control_addresses(bench: &Bench) -> Vec<SocketAddr> {
    let path = bench.run_directory().join("run.json");
    let hosts = if path.exists() { read_json(&path)["hosts"].clone() } else { Value::Null };
    let groups = ["servers", "clients"].map(|group| hosts[group].as_array().cloned().unwrap_or_default());
    let address = |host: Value| host["control"].as_str().and_then(|address| address.parse().ok());
    groups.into_iter().flatten().map(|host| address(host).expect("an address")).collect()
}

/// How often the log of each worker of the last run has this text; the least of them.
fn least_in_logs(bench: &Bench, text: &str) -> usize {
    let hosts = read_json(&bench.run_directory().join("run.json"))["hosts"].clone();
    let count = |group: &str| {
        let hosts = hosts[format!("{group}s")].as_array().expect("a list of hosts");
        let log =
            |host: &Value| bench.read(&format!("logs/{group}-{}.log", host["host"].as_str().expect("it")));
        hosts.iter().map(|host| log(host).matches(text).count()).min().expect("there is a host")
    };
    count("server").min(count("client"))
}

/// Cuts all connections so many times; each time all of them are made again.
fn cut_and_wait(bench: &Bench, times: usize) {
    let addresses = control_addresses(bench);
    for _ in 0..times {
        let before = least_in_logs(bench, "coordinator attached");
        cut(&addresses);
        eventually("the connections are made again", || {
            least_in_logs(bench, "coordinator attached") > before
        });
    }
}

/// Cuts all connections again and again, until the run ends.
fn cut_until_the_end(bench: &Bench, running: Running, interval: Duration, limit: Duration) -> u32 {
    let (mut running, mut addresses, mut cuts) = (running, vec![], 0);
    while running.is_running() {
        if addresses.is_empty() {
            addresses = control_addresses(bench);
        } else {
            cut(&addresses);
            cuts += 1;
        }
        std::thread::sleep(interval);
    }
    running.end_within(limit).expect_code(0);
    cuts
}

/// The quiet window was not quiet, which is why the repetition is suspect, and nothing else is wrong with it.
#[track_caller]
fn expect_disturbed(repetition: &Value) {
    assert_eq!((&repetition["status"], &repetition["error"]), (&"ok".into(), &Value::Null), "{repetition:#}");
    let quiet = &repetition["quiet_window"];
    assert!(quiet["orchestrator_bytes"].as_u64() > Some(0), "{repetition:#}");
    assert!(quiet["worker_bytes"].as_u64() > Some(0), "{repetition:#}");
    assert_ne!(quiet["kernel"], "differs", "{repetition:#}");
    let suspect = repetition["suspect"].as_array().expect("a list of reasons");
    let is_told =
        suspect.iter().filter_map(Value::as_str).any(|reason| reason.contains("while the clients measured"));
    assert!(is_told, "{repetition:#}");
}

#[test]
fn in_each_phase() {
    if !can_cut("cuts::in_each_phase") {
        return;
    }
    let bench = Bench::new();
    let server = SERVER_THAT_STOPS_LATE.replace("$SERVER", "gate server-starts; $SERVER");
    bench.fake("mine", &server, "note; gate client-runs; exec $CLIENT");
    bench.fake("undisturbed", "note; exec $SERVER", "note; gate client-runs; exec $CLIENT");
    let args = ["--driver", "mine", "--driver", "undisturbed", "--kill-grace", "60s"];
    let running = bench.local(&args);
    for gate in ["server-starts", "client-runs", "server-stops"] {
        bench.expect_at_gate(&format!("{gate}-mine"));
        eventually("everybody is connected", || least_in_logs(&bench, "coordinator attached") > 0);
        if gate == "client-runs" {
            bench.expect_clients_known_to_run(1);
        }
        cut_and_wait(&bench, 2);
        bench.open_gate(&format!("{gate}-mine"));
    }
    // It stays until the orchestrator has seen it run, however late that is.
    bench.expect_clients_known_to_run(2);
    bench.open_gate("client-runs-undisturbed");
    running.end().expect_code(0).expect_stderr(&["suspect: the control connections carried"]);
    let summary = bench.summary();
    assert_eq!(summary["status"], "ok");
    expect_disturbed(&summary["drivers"][0]["repetitions"][0]);
    let undisturbed = &summary["drivers"][1]["repetitions"][0];
    assert_eq!(undisturbed["quiet_window"]["orchestrator_bytes"], 0, "{undisturbed:#}");
    assert_eq!(undisturbed["quiet_window"]["kernel"], "agrees", "{undisturbed:#}");
    assert_eq!(bench.starts().into_values().collect::<Vec<_>>(), [1; 4]);
    expect_tidy(&bench);
}

/// Several servers and a client that measures for seconds.
#[test]
fn again_and_again_from_the_beginning_to_the_end() {
    if !can_cut("cuts::again_and_again_from_the_beginning_to_the_end") {
        return;
    }
    let bench = Bench::new();
    let running = bench.start(bench.command(&["local"]));
    let cuts = cut_until_the_end(&bench, running, Duration::from_millis(200), Duration::from_secs(60));
    assert!(cuts > 3, "{cuts}");
    let repetition = bench.summary()["drivers"][0]["repetitions"][0].clone();
    expect_disturbed(&repetition);
    let demo = backends::scenario::demo();
    let expected = demo.expected_bytes(0).expect("the scenario says how many");
    assert_eq!(repetition["clients"][0]["received_bytes"], expected.received_bytes, "{repetition:#}");
    println!("{cuts} cuts, {} bytes", repetition["quiet_window"]["orchestrator_bytes"]);
}

#[test]
fn again_and_again_in_every_repetition() {
    if !can_cut("cuts::again_and_again_in_every_repetition") {
        return;
    }
    let bench = Bench::new();
    bench.fake("mine", "note; exec $SERVER", "note; exec $CLIENT");
    let file = scenario("two_clients_three_servers");
    let drivers = bench.drivers();
    let mut all: Vec<&OsStr> = vec!["local".as_ref(), "--scenario".as_ref(), file.as_ref()];
    all.extend(["--driver-dir".as_ref(), drivers.as_os_str()]);
    all.extend(["--driver", "mine", "--driver", "embedded", "--repeat", "2"].map(OsStr::new));
    let running = bench.start(bench.command(&all));
    cut_until_the_end(&bench, running, Duration::from_millis(200), Duration::from_secs(60));
    expect_all_ok(&bench, 2, 2);
    assert_eq!(bench.starts().into_values().collect::<Vec<_>>(), [1; 10], "five hosts, twice");
    let clients = bench.summary()["drivers"][1]["repetitions"][0]["clients"].clone();
    let expected = Scenario::load(&file).expect("a scenario").expected_bytes(0).expect("it says how many");
    assert_eq!(clients[0]["received_bytes"], expected.received_bytes, "{clients:#}");
}

#[track_caller]
fn expect_all_ok(bench: &Bench, drivers: usize, repeat: usize) {
    let summary = bench.summary();
    assert_eq!(summary["status"], "ok");
    let all = summary["drivers"].as_array().expect("a list of drivers");
    assert_eq!(all.len(), drivers);
    for driver in all {
        let repetitions = driver["repetitions"].as_array().expect("a list of repetitions");
        assert_eq!(repetitions.len(), repeat, "{summary:#}");
        assert!(repetitions.iter().all(|repetition| repetition["status"] == "ok"), "{summary:#}");
    }
    expect_tidy(bench);
}

#[test]
fn with_the_drivers_of_netbench() {
    let Some(stock) = stock_dir() else { return };
    if !can_cut("cuts::with_the_drivers_of_netbench") {
        return;
    }
    let bench = Bench::new();
    let file = scenario("request_response_5_servers");
    let mut all: Vec<&OsStr> = vec!["local".as_ref(), "--scenario".as_ref(), file.as_ref()];
    all.extend(["--driver-dir".as_ref(), stock.as_os_str()]);
    for driver in ["tcp", "s2n-quic", "s2n-tls", "native-tls"] {
        all.extend(["--driver", driver].map(OsStr::new));
    }
    let running = bench.start(bench.command(&all));
    cut_until_the_end(&bench, running, Duration::from_millis(250), STOCK_PATIENCE);
    expect_all_ok(&bench, 4, 1);
}
