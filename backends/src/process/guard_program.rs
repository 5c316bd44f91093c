//! The guard's own side: what the program that is started as a guard does.

use super::group::timespec;
use super::guard::READY;
use super::log_watch::LogWatch;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Shortest time between two looks at the size of the logs, and so between two wake-ups of the guard.
///
/// It is also how long a driver can flood a log before the log is cut.
const LOG_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs this process as the guard of a process group: kills that group, itself included, when the worker is gone.
///
/// To be called first in `main`, before anything is printed or any thread is started, by a program that was started
/// with the arguments of its own [`GuardProgram`](super::GuardProgram). Its stdin is the socket to the worker, its
/// stdout and stderr are the logs of the driver, whose size it bounds.
///
/// The guard sleeps until one of them has something to say: it is not scheduled at all while the driver writes
/// nothing, and every 100 ms at most while it does. TERM, INT, HUP and QUIT are meant for the driver
/// and do not end it.
///
/// It returns only on failure, with an explanation on stderr: when it is not the leader of its process group (a
/// program that was started as a guard by mistake must not kill its shell), or when it may not kill the group.
pub fn guard_main() -> ExitCode {
    if getpgrp() != getpid() {
        complain("a guard is started by a worker, as the leader of a process group of its own");
        return ExitCode::FAILURE;
    }
    if let Err(error) = watch() {
        complain(&format!("the guard of a driver cannot watch the worker and kills the driver: {error}"));
    }
    match kill_current_process_group(Signal::KILL) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("the guard of a driver cannot kill its process group: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns when the worker is gone.
fn watch() -> io::Result<()> {
    let unused = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&unused))?;
    }
    let stdin = io::stdin();
    let worker = stdin.as_fd();
    let mut logs = LogWatch::new([io::stdout().as_fd(), io::stderr().as_fd()]);
    rustix::io::write(worker, &[READY])?;
    while !logs.is_empty() {
        if wait(worker, logs.written(), logs.patience())?.is_worker_gone() {
            return Ok(());
        }
        // A driver that writes line after line must not wake the guard for each of them.
        if wait(worker, None, Some(LOG_CHECK_INTERVAL))?.is_worker_gone() {
            return Ok(());
        }
        logs.trim();
    }
    wait(worker, None, None).map(|_| ())
}

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakeup {
    WorkerGone,
    Logs,
    Timeout,
}

impl Wakeup {
    fn is_worker_gone(self) -> bool {
        self == Self::WorkerGone
    }
}

/// Blocks until the worker is gone, a log was written to, or `timeout` has passed (`None` is for ever).
fn wait(worker: BorrowedFd, logs: Option<BorrowedFd>, timeout: Option<Duration>) -> io::Result<Wakeup> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(worker, PollFlags::IN)];
        fds.extend(logs.map(|logs| PollFd::from_borrowed_fd(logs, PollFlags::IN)));
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => return Ok(Wakeup::Timeout),
            // The worker says only one thing: that it is gone, or wants the group to be.
            Ok(_) if fds.first().is_some_and(|worker| !worker.revents().is_empty()) => {
                return Ok(Wakeup::WorkerGone);
            }
            Ok(_) => return Ok(Wakeup::Logs),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Explains a failure; unlike `eprintln!` it does not panic when stderr is a file on a full disk.
fn complain(message: &str) {
    // There is nobody left to tell that telling failed.
    let _ = writeln!(io::stderr(), "{message}");
}
