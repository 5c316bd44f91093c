//! A directory, and a way to start the program in it.

use crate::processes::{Kind, command_line, has_ended, processes};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for something that takes well under a second on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Within this time after the end of the program nothing that it started is alive.
pub(crate) const LEFT_MAX: Duration = Duration::from_secs(5);

/// The variable that marks the processes of a test.
const MARK: &str = "RUNNER_CLI_TEST";

/// What the scripts of drivers can do. `turn` says the driver's name with the suffix of the round, as the driver's logs
/// have it. `note` adds what the driver's stderr is called, which no other start has, as a line to a file of the test.
/// `gate NAME` says that the gate NAME was reached in this turn, and waits until the test opens it, or opens it for this
/// turn.
const HELPERS: &str = "\
turn() { log=$(readlink /proc/$$/fd/2); log=${log%.stderr.log}; echo ${log##*.}; }
note() { readlink /proc/$$/fd/2 >> $BENCH/starts; }
gate() {
  now=$1-$(turn); touch $BENCH/$now.reached
  until [ -e $BENCH/$1.open ] || [ -e $BENCH/$now.open ]; do sleep 0.02; done
}";

/// The place of one test.
pub(crate) struct Bench {
    dir: TempDir,
    /// Every program that was started in it, by its pidfd.
    programs: RefCell<Vec<Rc<OwnedFd>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bench = Self { dir, programs: RefCell::default() };
        fs::create_dir(bench.drivers()).expect("created");
        bench
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the fake drivers are.
    pub(crate) fn drivers(&self) -> PathBuf {
        self.path("drivers")
    }

    /// Where the runs are.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("runs")
    }

    /// The directory of the last run.
    pub(crate) fn run_directory(&self) -> PathBuf {
        self.out().join("latest")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// Makes a driver out of two shell scripts. In them `$SERVER` and `$CLIENT` are the embedded driver's programs
    /// `$BENCH` is the directory of the test; [`HELPERS`] says what else there is.
    pub(crate) fn fake(&self, name: &str, server: &str, client: &str) {
        for (role, script) in [("server", server), ("client", client)] {
            let path = self.drivers().join(format!("s2n-netbench-driver-{role}-{name}"));
            let bench = self.dir.path().display();
            let embedded = |role| format!("{bench}/bin/s2n-netbench-driver-{role}-embedded");
            let text = format!(
                "#!/bin/sh\nBENCH={bench}\nSERVER={}\nCLIENT={}\n{HELPERS}\n{script}\n",
                embedded("server"),
                embedded("client")
            );
            write_program(&path, &text);
        }
        let bin = self.path("bin");
        if !bin.exists() {
            fs::create_dir(&bin).expect("created");
            for role in ["server", "client"] {
                let link = bin.join(format!("s2n-netbench-driver-{role}-embedded"));
                symlink(env!("CARGO_BIN_EXE_runner"), link).expect("linked");
            }
        }
    }

    /// The program with its arguments, in the directory of the test.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.mark(Command::new(env!("CARGO_BIN_EXE_runner")), args)
    }

    /// Any program, marked as one of this test.
    pub(crate) fn mark<S: AsRef<OsStr>>(&self, mut command: Command, args: &[S]) -> Command {
        command
            .args(args)
            .current_dir(self.dir.path())
            .env(MARK, self.dir.path())
            .env("RUNNER_CACHE_DIR", self.path("cache"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// `runner local` with the tiny scenario, the fake drivers, and `args`.
    pub(crate) fn local(&self, args: &[&str]) -> Running {
        let tiny = scenario("tiny");
        let drivers = self.drivers();
        let mut all: Vec<&OsStr> = vec!["local".as_ref(), "--scenario".as_ref(), tiny.as_ref()];
        all.extend(["--driver-dir".as_ref(), drivers.as_os_str()]);
        all.extend(args.iter().map(OsStr::new));
        self.start(self.command(&all))
    }

    /// Runs the program to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Finished {
        self.start(self.command(args)).end()
    }

    pub(crate) fn start(&self, mut command: Command) -> Running {
        let (stdout, stderr) = (unused(&self.path("stdout")), unused(&self.path("stderr")));
        command
            .stdout(File::create(&stdout).expect("created"))
            .stderr(File::create(&stderr).expect("created"));
        let child = command.spawn().expect("spawned");
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("it is our child");
        let pidfd = Rc::new(pidfd);
        self.programs.borrow_mut().push(Rc::clone(&pidfd));
        Running { child, pidfd, started: Instant::now(), stdout, stderr }
    }

    /// `summary.json` of the last run.
    pub(crate) fn summary(&self) -> Value {
        read_json(&self.run_directory().join("summary.json"))
    }

    /// A file of the last run, as text.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.run_directory().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The processes of this test that are alive, with their command lines.
    pub(crate) fn alive(&self) -> Vec<(Pid, String)> {
        let mark = format!("{MARK}={}", self.dir.path().display());
        let is_marked = |pid: &Pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        processes().into_iter().filter(is_marked).map(|pid| (pid, command_line(pid))).collect()
    }

    /// The one process of this kind; waits until there is one.
    #[track_caller]
    pub(crate) fn one(&self, kind: Kind) -> Pid {
        let mut found = vec![];
        eventually(&format!("there is one {kind:?}"), || {
            found = self.alive().into_iter().filter(|(_, line)| kind.matches(line)).collect();
            found.len() == 1
        });
        found[0].0
    }

    /// Waits until a fake driver has made this file.
    #[track_caller]
    pub(crate) fn expect_file(&self, name: &str) {
        self.expect(&format!("there is {name}"), || self.path(name).exists());
    }

    /// Waits until a driver has come to this gate, `NAME-TURN`.
    #[track_caller]
    pub(crate) fn expect_at_gate(&self, name: &str) {
        self.expect_file(&format!("{name}.reached"));
    }

    /// Lets the driver pass that waits at this gate, or comes to it later: `NAME-TURN`, or `NAME` for every turn.
    pub(crate) fn open_gate(&self, name: &str) {
        self.write(&format!("{name}.open"), "");
    }

    /// Waits until the orchestrator knows that every client of a repetition of the last run runs.
    #[track_caller]
    pub(crate) fn expect_clients_known_to_run(&self, repetition: u32) {
        self.expect(&format!("the clients of repetition {repetition} are known to run"), || {
            let text = fs::read_to_string(self.run_directory().join("events.jsonl")).unwrap_or_default();
            // The last line may be there only in part.
            let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut events = events.skip_while(|event| event["number"] != repetition);
            events.any(|event| event["group"] == "client" && event["what"] == "reached workers running")
        });
    }

    /// Waits until `condition` holds, which it cannot come to do once every program of the test has ended.
    #[track_caller]
    fn expect(&self, what: &str, condition: impl Fn() -> bool) {
        eventually(what, || {
            let is_over = self.programs.borrow().iter().all(|pidfd| has_ended(pidfd, Duration::ZERO));
            let holds = condition();
            assert!(holds || !is_over, "every program has ended, and never was it so that {what}");
            holds
        });
    }

    /// Waits until nothing of this test is alive.
    pub(crate) fn expect_nothing_alive(&self, limit: Duration) {
        let started = Instant::now();
        loop {
            let alive = self.alive();
            if alive.is_empty() {
                return;
            }
            assert!(started.elapsed() < limit, "alive after {limit:?}: {alive:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Bench {
    /// Prints what every program of the test has said on stderr: whoever waits in vain does not know why.
    fn tell_what_was_said(&self) {
        let entries = fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        logs.retain(|path| path.file_stem() == Some(OsStr::new("stderr")));
        logs.sort();
        for log in logs {
            eprintln!("{}:\n{}", log.display(), fs::read_to_string(&log).unwrap_or_default());
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_what_was_said();
        } else {
            self.expect_nothing_alive(LEFT_MAX);
        }
        for (pid, _) in self.alive() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The program under way. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    pidfd: Rc<OwnedFd>,
    started: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the program is there");
    }

    /// The other end of its stdin, where that is a pipe.
    pub(crate) fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("stdin is a pipe")
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until stderr has this text, which it cannot come to have once the program has ended.
    #[track_caller]
    pub(crate) fn expect_stderr(&self, text: &str) {
        eventually(&format!("stderr has {text:?}"), || {
            let is_over = has_ended(&self.pidfd, Duration::ZERO);
            let is_said = self.stderr().contains(text);
            assert!(is_said || !is_over, "the program has ended without {text:?}; stderr: {}", self.stderr());
            is_said
        });
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for the end.
    pub(crate) fn end(self) -> Finished {
        self.end_within(PATIENCE)
    }

    pub(crate) fn end_within(mut self, limit: Duration) -> Finished {
        let ended = has_ended(&self.pidfd, limit);
        assert!(ended, "the program does not end within {limit:?}; stderr: {}", self.stderr());
        let took = self.started.elapsed();
        let status = self.child.wait().expect("reaped");
        Finished { status, took, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) took: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The exit code is `code`, and nothing panicked.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "signal {:?}, {self:#?}", self.status.signal());
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// Stderr has all of these texts.
    #[track_caller]
    pub(crate) fn expect_stderr(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "expected {text:?} in {self:#?}");
        }
        self
    }
}

/// Path of a scenario: one of these tests, else one of the backends' tests.
pub(crate) fn scenario(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [root.join("tests/cli/scenarios"), root.join("../backends/tests/scenarios")];
    let files = places.map(|place| place.join(format!("{name}.json")));
    files.into_iter().find(|file| file.exists()).unwrap_or_else(|| panic!("there is no scenario {name}"))
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn read_json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes an executable file. It never has this name while it is written: a child that another test has just forked
/// would hold it open, and a file that is open for writing cannot be executed.
pub(crate) fn write_program(path: &Path, text: &str) {
    let status = Command::new("sh")
        .args(["-c", "printf '%s' \"$2\" > \"$1\" && chmod +x \"$1\"", "sh"])
        .args([path.as_os_str(), text.as_ref()])
        .status();
    assert!(status.expect("there is a shell").success());
    let mode = fs::metadata(path).expect("written").permissions().mode();
    assert_eq!(mode & 0o100, 0o100, "{}", path.display());
}

fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| path.with_extension(n.to_string());
    (1..).map(numbered).find(|path| !path.exists()).expect("not every number is taken")
}
