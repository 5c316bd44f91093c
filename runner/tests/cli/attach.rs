//! Workers that were started by hand, and a run over them.

use crate::bench::{Bench, Finished, LEFT_MAX, Running, eventually, scenario};
use rustix::process::Signal;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// A server's and a client's worker.
struct Workers {
    server: Running,
    client: Running,
    addresses: [String; 2],
}

impl Workers {
    /// Both have the driver `name` of the test, and `place` for the server.
    fn start(bench: &Bench, name: &str, place: &Place, args: &[&str]) -> Self {
        let worker = |group: &str, own: [String; 2]| {
            let program = bench.drivers().join(format!("s2n-netbench-driver-{group}-{name}"));
            let driver = format!("{name}={}", program.display());
            let tiny = scenario("tiny").display().to_string();
            let listen = format!("{}:0", place.address);
            let all = ["worker", group, "--listen", &listen, "--scenario", &tiny, "--driver", &driver];
            let mut command = bench.command(&all);
            command.args(["--out", &format!("{group}-out")]).args(own).args(args);
            bench.start(command)
        };
        let server = worker("server", ["--port".into(), place.port.to_string()]);
        let client = worker("client", ["--server".into(), format!("{}:{}", place.address, place.port)]);
        let addresses = [&server, &client].map(listening);
        Self { server, client, addresses }
    }

    fn attach(&self, bench: &Bench, name: &str, args: &[&str]) -> Running {
        bench.start(self.attach_command(bench, name, args))
    }

    fn attach_command(&self, bench: &Bench, name: &str, args: &[&str]) -> Command {
        let tiny = scenario("tiny").display().to_string();
        let [server, client] = &self.addresses;
        let all = ["attach", "--scenario", &tiny, "--driver", name, "--server", server, "--client", client];
        let mut command = bench.command(&all);
        command.args(args).stdin(Stdio::piped());
        command
    }

    fn end(self) -> [Finished; 2] {
        [self.server, self.client].map(|worker| worker.end_within(LEFT_MAX))
    }
}

/// Where a worker says that it listens.
fn listening(worker: &Running) -> String {
    let mut address = None;
    eventually("the worker listens", || {
        let stdout = worker.stdout();
        let line = stdout.lines().next().and_then(|line| line.strip_prefix("listening on "));
        address = line.and_then(|address| address.parse::<SocketAddr>().ok());
        address.is_some()
    });
    address.expect("it is there").to_string()
}

/// A loopback address that no other test uses, and a port of it, so that nobody else can take it.
struct Place {
    address: IpAddr,
    port: u16,
}

impl Place {
    fn new() -> Self {
        Self::taken().0
    }

    /// A place whose port is taken until the listener is dropped.
    fn taken() -> (Self, TcpListener) {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [high, low] = u16::try_from(std::process::id() % 0x1_0000).expect("a remainder").to_be_bytes();
        let test = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(127, 64 + high % 128, low, test).into();
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        (Self { address, port: listener.local_addr().expect("bound").port() }, listener)
    }
}

#[test]
fn a_run_over_workers_started_by_hand() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, "mine", &Place::new(), &[]);
    let finished = workers.attach(&bench, "mine", &["--repeat", "2"]).end();
    finished.expect_code(0);
    let summary = bench.summary();
    assert_eq!(summary["drivers"][0]["repetitions"].as_array().map(Vec::len), Some(2));
    for worker in workers.end() {
        worker.expect_code(0);
    }
    let address = summary["drivers"][0]["repetitions"][0]["clients"][0]["host"].as_str().expect("an address");
    assert!(bench.path(format!("client-out/results/tiny/mine/client-{address}-r2.json")).exists());
}

#[test]
fn a_pause_before_the_servers_are_stopped() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, "mine", &Place::new(), &[]);
    let mut running = workers.attach(&bench, "mine", &["--pause"]);
    running.expect_stderr("Press Enter to stop the servers");
    assert!(!running.stderr().contains("stopping servers"));
    running.stdin().write_all(b"\n").expect("written");
    running.end().expect_code(0);
    workers.end();
}

#[test]
fn a_pause_that_nobody_can_end() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    for stdin in [|| Stdio::null(), || Stdio::from(closed_pipe())] {
        let workers = Workers::start(&bench, "mine", &Place::new(), &[]);
        let mut command = workers.attach_command(&bench, "mine", &["--pause", "--repeat", "2"]);
        command.stdin(stdin());
        bench.start(command).end().expect_code(0);
        workers.end();
    }
}

fn closed_pipe() -> std::io::PipeReader {
    std::io::pipe().expect("a pipe").0
}

#[test]
fn a_port_that_is_taken() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let (place, _listener) = Place::taken();
    let (address, port) = (place.address, place.port);
    let workers = Workers::start(&bench, "mine", &place, &[]);
    let finished = workers.attach(&bench, "mine", &[]).end();
    let holder = format!("process {}", std::process::id());
    finished.expect_code(3).expect_stderr(&[&format!("server {address}: port {port} is in use"), &holder]);
    assert_eq!(bench.summary()["status"], "failed");
    workers.end();
}

#[test]
fn a_worker_that_is_not_there() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let mut workers = Workers::start(&bench, "mine", &Place::new(), &["--orphan-timeout", "500ms"]);
    let nobody = Place::new();
    workers.addresses[1] = format!("{}:{}", nobody.address, nobody.port);
    let running = workers.attach(&bench, "mine", &[]);
    // The deadline 'workers ready' is 30 s; meanwhile the run can be interrupted.
    running.expect_stderr("preparing");
    running.signal(Signal::INT);
    let finished = running.end_within(Duration::from_secs(20));
    finished.expect_code(130);
    workers.client.signal(Signal::TERM);
    workers.end();
}

#[test]
fn a_worker_ends_its_driver_when_the_coordinator_does_not_come_back() {
    let bench = Bench::new();
    bench.fake("waiting", "exec $SERVER", "touch $BENCH/client-runs; exec sleep 1000");
    let workers = Workers::start(&bench, "waiting", &Place::new(), &["--orphan-timeout", "300ms"]);
    let running = workers.attach(&bench, "waiting", &[]);
    bench.expect_file("client-runs");
    running.signal(Signal::KILL);
    running.end();
    for worker in workers.end() {
        worker.expect_code(3).expect_stderr(&["ends: "]);
    }
}

#[test]
fn a_worker_of_another_run_is_refused() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::start(&bench, "mine", &Place::new(), &["--run", "other"]);
    let finished = workers.attach(&bench, "mine", &[]).end();
    finished.expect_code(3).expect_stderr(&["other", "manual"]);
    for worker in [&workers.server, &workers.client] {
        worker.signal(Signal::TERM);
    }
    for worker in workers.end() {
        worker.expect_code(130);
    }
}
