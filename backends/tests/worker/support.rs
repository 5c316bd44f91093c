//! What the tests share: workers as processes, coordinators for them, and looks at the process table.

use crate::drivers;
use crate::ports::free_port;
pub(crate) use crate::waiting::{PATIENCE, eventually};
use backends::clock;
use backends::key_file;
use backends::tcp::{Coordinators, GroupId, RunTillError};
use russula_proto::{CoordinatorConfig, CoordinatorLimits, Failure, Group, Key};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program under test.
pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_russula-worker");

/// The key of every test's run.
pub(crate) const KEY: Key = Key::from_bytes([0x5a; Key::LEN]);

/// How many servers the scenario of the tests has; it has one client.
pub(crate) const SERVERS: u16 = 4;

/// The directory of one test: scenario, drivers, logs and results.
pub(crate) struct Site {
    dir: TempDir,
    ports: Vec<u16>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("demo.json"), backends::scenario::DEMO).expect("written");
        write_key(&dir.path().join("run.key"));
        Self { dir, ports: (0..SERVERS).map(|_| free_port()).collect() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The port of server `index`.
    pub(crate) fn port(&self, index: u16) -> u16 {
        self.ports[usize::from(index)]
    }

    /// Starts the worker of server `index` with a script as its driver.
    pub(crate) fn server(&self, index: u16, driver: &str, more: &[&str]) -> Worker {
        let (index_arg, port) = (index.to_string(), self.port(index).to_string());
        let mut args = vec!["server", "--index", &index_arg, "--port", &port];
        args.extend(more);
        self.worker(&format!("server{index}"), driver, &args)
    }

    /// Starts the client's worker with a script as its driver.
    pub(crate) fn client(&self, driver: &str, more: &[&str]) -> Worker {
        let servers: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut args = vec!["client"];
        args.extend(servers.iter().flat_map(|server| ["--server", server]));
        args.extend(more);
        self.worker("client", driver, &args)
    }

    fn worker(&self, name: &str, driver: &str, args: &[&str]) -> Worker {
        let program = self.path(&format!("{name}.driver"));
        drivers::write_script(&program, driver);
        let driver = format!("fake={}", program.display());
        let (scenario, out) = (self.path("demo.json"), self.path(name));
        let mut command = Command::new(WORKER);
        command.args(args).args(["--listen", "127.0.0.1:0", "--sample-interval", "0", "--driver", &driver]);
        command.arg("--scenario").arg(scenario).arg("--out").arg(out);
        command.arg("--key-file").arg(self.path("run.key"));
        Worker::start(command, self.path(&format!("{name}.log")))
    }
}

/// Writes the key of the tests to a file that nobody else can read.
fn write_key(path: &Path) {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).expect("created");
    key_file::write_to(&mut file, &KEY).expect("written");
}

/// A worker that was started by hand. Dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Worker {
    /// Starts `command` and reads where it listens.
    pub(crate) fn start(command: Command, log: PathBuf) -> Self {
        Self::start_with_stdin(command, Stdio::null(), log)
    }

    pub(crate) fn start_with_stdin(mut command: Command, stdin: Stdio, log: PathBuf) -> Self {
        let stderr = File::create(&log).expect("created");
        let command = command.env_remove("RUST_LOG").stdin(stdin).stdout(Stdio::piped()).stderr(stderr);
        let mut child = spawn(command);
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let mut line = String::new();
        // A worker that does not come to listen ends, and with it this read.
        BufReader::new(stdout).read_line(&mut line).expect("read");
        let address = line.trim().strip_prefix(backends::worker::LISTENING).map(str::parse);
        let Some(Ok(address)) = address else {
            panic!("the worker said {line:?}; its log: {}", fs::read_to_string(&log).unwrap_or_default())
        };
        Self { child, address, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is there")
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the worker's log"), || self.log().contains(text));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the worker is there");
    }

    /// Waits until the worker has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the worker does not end; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the worker has ended, and checks its exit status.
    pub(crate) fn assert_ends_with(&mut self, code: i32) {
        let status = self.end();
        assert_eq!((status.code(), status.signal()), (Some(code), None), "{}", self.log());
    }

    /// The guard of the driver that runs.
    pub(crate) fn guard(&self) -> u32 {
        self.only_child(|command| command.contains(" guard"))
    }

    /// The driver that runs.
    pub(crate) fn driver(&self) -> u32 {
        self.only_child(|command| !command.contains(" guard"))
    }

    fn only_child(&self, is_meant: impl Fn(&str) -> bool) -> u32 {
        let found: Vec<u32> =
            children(self.pid()).into_iter().filter(|pid| is_meant(&command_line(*pid))).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log {}:\n{}", self.log.display(), self.log());
        }
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `f` while no process is being started.
///
/// Until it executes its program, such a process has everything open that this one has: files that are being
/// written, and sockets that were closed here meanwhile.
pub(crate) fn while_nothing_starts<T>(f: impl FnOnce() -> T) -> T {
    static STARTING: Mutex<()> = Mutex::new(());
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    f()
}

/// Starts a process and waits until it executes its program.
pub(crate) fn spawn(command: &mut Command) -> Child {
    while_nothing_starts(|| command.spawn()).expect("the program is there")
}

/// Coordinators with one group for the workers of run `manual`, at repetition 1.
pub(crate) fn coordinate(group: Group, workers: &[&Worker]) -> (Coordinators, GroupId) {
    let mut coordinators = Coordinators::new().expect("a poll");
    let id = add_group(&mut coordinators, "manual", group, workers);
    coordinators.begin(id, 1, 0);
    (coordinators, id)
}

pub(crate) fn add_group(
    coordinators: &mut Coordinators,
    run: &str,
    group: Group,
    workers: &[&Worker],
) -> GroupId {
    let config = config(run, group, workers);
    coordinators.add(config, addresses(workers))
}

/// What the coordinator of these workers is told.
pub(crate) fn config(run: &str, group: Group, workers: &[&Worker]) -> CoordinatorConfig {
    CoordinatorConfig {
        run: run.parse().expect("a run id"),
        group,
        workers: u16::try_from(workers.len()).expect("a few workers"),
        limits: CoordinatorLimits::default(),
        key: KEY,
        session: clock::session(),
        incarnation: 0,
        work: None,
    }
}

pub(crate) fn addresses(workers: &[&Worker]) -> Vec<SocketAddr> {
    workers.iter().map(|worker| worker.address).collect()
}

/// The failure of what must fail.
pub(crate) fn failure_of(result: Result<(), RunTillError>) -> Failure {
    match result {
        Err(RunTillError::Failed(failure)) => failure,
        Err(RunTillError::Poll(error)) => panic!("{error}"),
        Ok(()) => panic!("it was to fail"),
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|pid| stat(*pid).is_some_and(|fields| fields[1] == parent.to_string())).collect()
}

fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// The fields of `/proc/PID/stat` after the name: state, parent, group, ...
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(Into::into).collect())
}

/// A directory's files, sorted, relative to it.
pub(crate) fn files_below(dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else {
                files.push(entry.strip_prefix(dir).expect("below it").display().to_string());
            }
        }
    }
    files.sort();
    files
}
