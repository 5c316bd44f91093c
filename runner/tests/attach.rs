//! `runner attach` over workers that were started by hand, one for the server and one for the client of a small
//! scenario. The driver is the embedded one.
#![cfg(target_os = "linux")]

#[path = "../../backends/tests/common/ports.rs"]
mod ports;

use ports::free_port;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");

/// Longest wait for something that takes well under a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

const PROMPT: &str = "Press Enter to stop the servers.";

#[test]
fn a_run_over_workers_that_were_started_by_hand() {
    let site = Site::new();
    let (mut server, mut client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
    let mut attach = site.attach(&server.address, &client.address, &["--repeat", "2"], Stdio::null());
    attach.expect_code(0);
    assert!(!attach.stderr().contains(PROMPT), "{}", attach.stderr());
    let summary = site.summary();
    assert_eq!(summary["status"], "ok", "{summary:#}");
    let repetitions = summary["drivers"][0]["repetitions"].as_array().expect("a list");
    assert_eq!(repetitions.len(), 2);
    for repetition in repetitions {
        assert_eq!(repetition["status"], "ok", "{repetition:#}");
        assert_eq!(repetition["clients"][0]["exit_code"], 0, "{repetition:#}");
        assert_eq!(repetition["servers"][0]["exit_code"], 0, "{repetition:#}");
    }
    for worker in [&mut server, &mut client] {
        assert_eq!(worker.process.end().code(), Some(0), "{}", worker.process.stderr());
    }
}

#[test]
fn pause_waits_for_enter_in_every_repetition() {
    let site = Site::new();
    let (server, client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
    let more = ["--pause", "--repeat", "2"];
    let mut attach = site.attach(&server.address, &client.address, &more, Stdio::piped());
    let mut enter = attach.stdin();
    // Typed ahead: it is no answer to what was not asked yet.
    enter.write_all(b"\n\n").expect("it reads");
    for repetition in 1..=2 {
        attach.wait_for(|stderr| stderr.matches(PROMPT).count() == repetition);
        assert!(attach.is_running());
        let stopped = server.process.stderr().matches("RunningAwaitKill -> Killing").count();
        assert_eq!(stopped, repetition - 1, "{}", server.process.stderr());
        enter.write_all(b"\n").expect("it reads");
    }
    attach.expect_code(0);
}

#[test]
fn pause_ends_with_stdin() {
    // The end comes before the clients are done, after it, and where there is nothing to wait for at all.
    for (stdin, after_prompt) in [(Stdio::piped(), false), (Stdio::piped(), true), (Stdio::null(), false)] {
        let site = Site::new();
        let (server, client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
        let mut attach = site.attach(&server.address, &client.address, &["--pause"], stdin);
        if after_prompt {
            attach.wait_for(|stderr| stderr.contains(PROMPT));
        }
        drop(attach.child.stdin.take());
        attach.expect_code(0);
    }
}

#[test]
fn the_wrong_number_of_workers_is_bad_input() {
    let site = Site::new();
    let workers = ["--server", "127.0.0.1:1", "127.0.0.1:2", "--client", "127.0.0.1:3"];
    let mut attach = site.runner(&workers, Stdio::null());
    attach.expect_code(2);
    let expected = "error: --server was given 2 times, the scenario has 1 server: give one worker for each";
    assert!(attach.stderr().contains(expected), "{}", attach.stderr());
    assert!(!site.path("runs").exists(), "nothing was started");
}

#[test]
fn a_worker_that_is_not_there_is_a_deadline_with_its_name_and_the_reason() {
    let site = Site::new();
    let client = site.client(&[]);
    let absent = site.free_address();
    let mut attach = site.attach(&absent, &client.address, &["--ready-timeout", "500ms"], Stdio::null());
    attach.expect_code(5);
    let stderr = attach.stderr();
    let reason = format!("cannot connect to {absent}: Connection refused");
    assert!(
        stderr.contains(&format!("server {}: {reason} (os error 111); trying again", site.host)),
        "{stderr}"
    );
    let deadline = "the deadline 'workers ready' passed after 0.5 s";
    assert!(stderr.contains(&format!("{deadline}: waiting for server {} ({reason}", site.host)), "{stderr}");
    let error = site.summary()["drivers"][0]["repetitions"][0]["error"].to_string();
    assert!(error.contains(deadline), "{error}");
}

#[test]
fn a_worker_that_is_late_is_waited_for() {
    let site = Site::new();
    let client = site.client(&[]);
    let address = site.free_address();
    let mut attach = site.attach(&address, &client.address, &[], Stdio::null());
    attach.wait_for(|stderr| stderr.contains("trying again"));
    let _server = site.server(&address, &[]);
    attach.expect_code(0);
    assert!(attach.stderr().contains(&format!("server {}: connected", site.host)), "{}", attach.stderr());
}

#[test]
fn workers_of_another_run_refuse() {
    let site = Site::new();
    let monday = ["--run", "monday"];
    let (server, client) = (site.server("127.0.0.1:0", &monday), site.client(&monday));
    let more = ["--run", "tuesday", "--ready-timeout", "3s"];
    let mut attach = site.attach(&server.address, &client.address, &more, Stdio::null());
    attach.expect_code(5);
    let reason = "key, run, group, index and version must be the same on both sides";
    assert!(attach.stderr().contains(reason), "{}", attach.stderr());
    for worker in [&server, &client] {
        worker.process.wait_for(|log| log.contains("closed (handshake 1)") && log.contains(reason));
    }
}

#[test]
fn workers_with_another_scenario_or_other_drivers_refuse() {
    let site = Site::new();
    let (server, client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
    let other = site.path("other.json");
    fs::write(&other, [&fs::read(scenario()).expect("read")[..], b"\n"].concat()).expect("written");
    let addresses = ["--server", &server.address, "--client", &client.address];
    let mut attach = site.runner_of(&other, &addresses, Stdio::null());
    attach.expect_code(3);
    assert!(attach.stderr().contains("scenario file is another one"), "{}", attach.stderr());
    let mut attach = site.attach(&server.address, &client.address, &["--driver", "s2n-quic"], Stdio::null());
    attach.expect_code(3);
    assert!(attach.stderr().contains("was started with other drivers"), "{}", attach.stderr());
}

#[test]
fn an_attach_after_one_that_was_killed_begins_anew() {
    let site = Site::new();
    let (server, client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
    let mut killed = site.attach(&server.address, &client.address, &["--pause"], Stdio::piped());
    let _held = killed.stdin();
    killed.wait_for(|stderr| stderr.contains(PROMPT));
    // The clients are done and the server still runs for the run that ends here.
    killed.child.kill().expect("killed");
    killed.end();
    let mut attach = site.attach(&server.address, &client.address, &["--repeat", "2"], Stdio::null());
    attach.expect_code(0);
    for worker in [&server, &client] {
        let log = worker.process.stderr();
        assert_eq!(
            log.matches("Ready -> Run").count(),
            3,
            "one start for the first run, two for the second: {log}"
        );
    }
    assert_eq!(site.summary()["drivers"][0]["repetitions"].as_array().expect("a list").len(), 2);
}

#[test]
fn a_worker_that_is_given_up_ends_the_run() {
    let site = Site::new();
    let client = site.client(&[]);
    let absent = site.free_address();
    let more = ["--ready-timeout", "300ms", "--repeat", "3"];
    site.attach(&absent, &client.address, &more, Stdio::null()).expect_code(5);
    expect_one_of_three(&site.summary(), "the deadline 'workers ready' passed");
}

#[test]
fn a_worker_that_refuses_ends_the_run() {
    let site = Site::new();
    let (server, client) = (site.server("127.0.0.1:0", &[]), site.client(&[]));
    let more = ["--repeat", "3", "--driver", "s2n-quic"];
    site.attach(&server.address, &client.address, &more, Stdio::null()).expect_code(3);
    expect_one_of_three(&site.summary(), "the worker refuses");
}

/// The first repetition has failed for this reason and there is no other.
#[track_caller]
fn expect_one_of_three(summary: &Value, reason: &str) {
    assert_eq!(summary["drivers"][0]["repetitions"].as_array().map(Vec::len), Some(1), "{summary:#}");
    let error = summary["error"].as_str().unwrap_or_default();
    assert!(error.contains("ended after 1 of 3 repetitions: ") && error.contains(reason), "{error}");
}

/// The directory of one test.
struct Site {
    dir: TempDir,
    /// A loopback address that no other test uses, so that nobody takes a port of it that was free.
    host: IpAddr,
    server_port: String,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for role in ["server", "client"] {
            let link = dir.path().join(format!("s2n-netbench-driver-{role}-embedded"));
            symlink(RUNNER, link).expect("linked");
        }
        let key = Command::new(RUNNER).arg("key").arg(dir.path().join("key")).status();
        assert!(key.expect("the program is there").success());
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = IpAddr::from([127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)]);
        let server_port = free_port().to_string();
        Self { dir, host, server_port }
    }

    /// An address of the host at which nobody listens.
    fn free_address(&self) -> String {
        format!("{}:{}", self.host, free_port())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self, listen: &str, more: &[&str]) -> Worker {
        let host = self.host.to_string();
        self.worker("server", listen, &[&["--host", &host, "--port", &self.server_port], more].concat())
    }

    fn client(&self, more: &[&str]) -> Worker {
        let server = format!("{}:{}", self.host, self.server_port);
        self.worker("client", "127.0.0.1:0", &[&["--server", &server], more].concat())
    }

    fn worker(&self, group: &str, listen: &str, more: &[&str]) -> Worker {
        let mut command = Command::new(RUNNER);
        command.args(["worker", group, "--listen", listen, "--driver", "embedded"]).args(more);
        command.arg("--driver-dir").arg(self.path("")).arg("--scenario").arg(scenario());
        command.arg("--key-file").arg(self.path("key"));
        command.arg("--out").arg(self.path(group)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command, self.path(&format!("{group}.log")));
        let mut line = String::new();
        let stdout = process.child.stdout.take().expect("its stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("read");
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        Worker { address: address.unwrap_or_else(|| panic!("{}", process.stderr())), process }
    }

    fn attach(&self, server: &str, client: &str, more: &[&str], stdin: Stdio) -> Running {
        self.runner(&[&["--server", server, "--client", client], more].concat(), stdin)
    }

    fn runner(&self, args: &[&str], stdin: Stdio) -> Running {
        self.runner_of(&scenario(), args, stdin)
    }

    fn runner_of(&self, scenario: &Path, args: &[&str], stdin: Stdio) -> Running {
        let mut command = Command::new(RUNNER);
        command.arg("attach").args(args).arg("--scenario").arg(scenario).arg("--out").arg(self.path("runs"));
        command.arg("--key-file").arg(self.path("key"));
        Running::start(command.stdin(stdin).stdout(Stdio::null()), self.path("attach.log"))
    }

    fn summary(&self) -> Value {
        let json = fs::read(self.path("runs/latest/summary.json")).expect("there is a summary");
        serde_json::from_slice(&json).expect("it is JSON")
    }
}

struct Worker {
    process: Running,
    address: String,
}

/// A process. Dropping it kills it.
struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Running {
    fn start(command: &mut Command, stderr: PathBuf) -> Self {
        let log = File::create(&stderr).expect("created");
        let command = command.env_remove("RUST_LOG").stderr(log);
        let child = command.spawn().expect("the program is there");
        Self { child, stderr }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).expect("the log is there")
    }

    fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("its stdin is a pipe")
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    fn wait_for(&self, condition: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !condition(&self.stderr()) {
            assert!(start.elapsed() < PATIENCE, "{}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        while self.is_running() {
            assert!(start.elapsed() < PATIENCE, "it does not end; stderr:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.wait().expect("it is our child")
    }

    fn expect_code(&mut self, code: i32) {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "{status}; stderr:\n{}", self.stderr());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small scenario with one server and one client.
fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/scenarios/tiny.json")
}
