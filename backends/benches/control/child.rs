//! Processes of the benchmark: this program, started again with other arguments.

use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A process that ends when this is dropped.
pub(crate) struct Child {
    child: std::process::Child,
    /// The process ends when it does.
    lifeline: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(args: &[&str]) -> Self {
        let own_path = std::env::current_exe().expect("a program has a path");
        let mut command = Command::new(own_path);
        let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is this program");
        let (lifeline, stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Self { child, lifeline, stdout: BufReader::new(stdout) }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a pipe can be read");
        assert!(line.ends_with('\n'), "the process ended");
        line.trim().to_owned()
    }

    /// Writes a line to its stdin.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.lifeline.as_mut().expect("it is closed only when this is dropped");
        writeln!(stdin, "{line}").expect("the process reads it");
    }

    /// Time that it has spent on a processor (`/proc/PID/schedstat`, in `proc_pid_schedstat(5)`), as it stood at the last
    /// tick or the last switch to another process: a few milliseconds may be missing.
    pub(crate) fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = std::fs::read_to_string(path).expect("the process is there");
        let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).expect("a number");
        Duration::from_nanos(nanos)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // It is our child, and it ends with its stdin.
        let _ = self.child.wait();
    }
}

/// Time that this thread has spent on a processor.
pub(crate) fn own_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("no thread owes time")
}

/// The machine's clock, which all processes share.
pub(crate) fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).expect("after the machine was started")
}

/// Has this process end when whoever started it closes its stdin, or ends itself.
pub(crate) fn end_with_stdin() {
    std::thread::spawn(|| {
        // Nobody writes to it.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}
