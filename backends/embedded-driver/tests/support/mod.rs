//! Starts drivers on loopback ports, and reads what they did.

// Each test program uses a part of this, and fails by panicking.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../../../tests/common/ports.rs"]
mod ports;

use backends::collector::{ResultFile, read};
pub(crate) use ports::free_port;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a server to listen, and for a driver to end.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Pause between two looks at something that gives no event.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Which drivers to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Embedded,
    Stock,
}

impl Driver {
    fn program(self, side: &str) -> PathBuf {
        match (self, side) {
            (Self::Embedded, "server") => env!("CARGO_BIN_EXE_s2n-netbench-driver-server-embedded").into(),
            (Self::Embedded, _) => env!("CARGO_BIN_EXE_s2n-netbench-driver-client-embedded").into(),
            (Self::Stock, side) => {
                let dir = stock_dir().expect("tests look for the stock drivers before they use them");
                dir.join(format!("s2n-netbench-driver-{side}-tcp"))
            }
        }
    }
}

/// Where the stock tcp driver is, if it is there; says so if it is not.
pub fn stock_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("NETBENCH_STOCK_DIR").map(PathBuf::from);
    let dir = dir.filter(|dir| dir.join("s2n-netbench-driver-client-tcp").is_file());
    if dir.is_none() {
        eprintln!("skipped: NETBENCH_STOCK_DIR does not name a folder with s2n-netbench-driver-client-tcp");
    }
    dir
}

/// A fixture.
pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(format!("{name}.json"))
}

/// A running driver.
pub struct Running {
    child: Child,
    side: &'static str,
    dir: TempDir,
    started: Instant,
    /// The port of a server.
    pub port: u16,
}

/// A driver that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub duration: Duration,
    result: Option<ResultFile>,
}

impl Ended {
    /// The result file; only the embedded driver writes one.
    pub fn result(&self) -> &ResultFile {
        self.result.as_ref().expect("the embedded driver writes a result file")
    }

    /// Bytes sent and received, by the totals, which have to agree with the sum over all lines.
    pub fn bytes(&self) -> (u64, u64) {
        let file = self.result();
        let totals = file.totals();
        let sum = |of: fn(&backends::collector::Sample) -> u64| file.samples.iter().map(of).sum::<u64>();
        let sent = sum(|sample| sample.send.values().map(|stat| stat.total).sum());
        let received = sum(|sample| sample.receive.values().map(|stat| stat.total).sum());
        assert_eq!((totals.sent_bytes, totals.received_bytes), (Some(sent), Some(received)));
        (sent, received)
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Starts a server and waits until it listens.
pub fn start_server(driver: Driver, scenario: &Path, envs: &[(&str, &str)]) -> Running {
    let port = free_port();
    let mut server = start(driver, "server", scenario, port, |command| {
        command.env("PORT", port.to_string());
        match driver {
            Driver::Embedded => command.env("LOCAL_IP", "127.0.0.1"),
            Driver::Stock => command.args(["--ip", "127.0.0.1"]),
        };
        command.envs(envs.iter().copied());
    });
    eventually("the server listens", || {
        let ended = server.child.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {:?} {}", ended, server.output("stderr"));
        is_listening(port)
    });
    server
}

/// Starts a client of these servers.
pub fn start_client(driver: Driver, scenario: &Path, ports: &[u16], envs: &[(&str, &str)]) -> Running {
    start(driver, "client", scenario, 0, |command| {
        for (id, port) in ports.iter().enumerate() {
            command.env(format!("SERVER_{id}"), format!("127.0.0.1:{port}"));
        }
        command.envs(envs.iter().copied());
    })
}

fn start(
    driver: Driver,
    side: &'static str,
    scenario: &Path,
    port: u16,
    configure: impl FnOnce(&mut Command),
) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(driver.program(side));
    command
        .env_clear()
        .env("SCENARIO", scenario)
        .env("TRACE", "disabled")
        .env("NETBENCH_RESULT", dir.path().join("result.json"))
        .env("NETBENCH_SAMPLE_INTERVAL_MS", "10")
        .stdin(Stdio::null())
        .stdout(File::create(dir.path().join("stdout")).unwrap())
        .stderr(File::create(dir.path().join("stderr")).unwrap());
    configure(&mut command);
    Running { started: Instant::now(), child: command.spawn().unwrap(), side, dir, port }
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the result file holds now.
    pub fn result_so_far(&self) -> Option<ResultFile> {
        read(&self.dir.path().join("result.json")).ok()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the {} does not end: {}", self.side, self.output("stderr"));
            std::thread::sleep(LOOK_AGAIN);
        };
        Ended {
            status,
            duration: self.started.elapsed(),
            stdout: self.output("stdout"),
            stderr: self.output("stderr"),
            result: self.result_so_far(),
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(killed.unwrap().success());
    }

    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already, which is the normal case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks in the kernel's table, since a connection would be one that the driver counts.
fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_port = fields.next().is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
        is_port && fields.nth(1) == Some(LISTEN)
    })
}

/// Starts one server per entry of the scenario and a client of them all; the client has to succeed. The client, and
/// the servers after they were stopped.
pub fn play(
    server: Driver,
    client: Driver,
    name: &str,
    servers: usize,
    multiplex: bool,
) -> (Ended, Vec<Ended>) {
    let scenario = scenario(name);
    let multiplex = ("MULTIPLEX", if multiplex { "true" } else { "false" });
    let running: Vec<Running> = (0..servers)
        .map(|id| start_server(server, &scenario, &[multiplex, ("SERVER_ID", &id.to_string())]))
        .collect();
    let ports: Vec<u16> = running.iter().map(|server| server.port).collect();
    let client = start_client(client, &scenario, &ports, &[multiplex]).wait();
    let ended: Vec<Ended> = running.into_iter().map(Running::stop).collect();
    let errors: Vec<&str> = ended.iter().map(|server| server.stderr.as_str()).collect();
    assert!(client.status.success(), "{name}: {:?} {} {errors:?}", client.status, client.stderr);
    (client, ended)
}
