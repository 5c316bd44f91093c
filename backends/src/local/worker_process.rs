//! A worker on this machine, as the process that started it sees it.

use crate::hosts::LostHost;
use crate::key_file;
use crate::worker::LISTENING;
use russula_proto::{Group, Key};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// For a worker that was killed to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// Why it is not known where a worker listens.
#[derive(Debug)]
pub(super) enum ListenError {
    /// Nobody wants to know any more.
    Cancelled,
    /// What the worker did instead.
    Worker(String),
}

#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) group: Group,
    pub(super) index: usize,
    pub(super) host: IpAddr,
    child: Child,
    pidfd: OwnedFd,
    /// The worker ends when this does.
    lifeline: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    log: PathBuf,
    ended: Option<ExitStatus>,
    loss_told: bool,
}

impl WorkerProcess {
    pub(super) fn start(
        program: &Path,
        args: &[OsString],
        key: &Key,
        group: Group,
        index: usize,
        host: IpAddr,
        (log, log_file): (&Path, File),
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C in the terminal is for the orchestrator, which ends its workers in order.
            .process_group(0)
            .spawn()?;
        let pidfd = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        let (mut lifeline, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(stdin) = &mut lifeline {
            // One line fits into any pipe. Where it fails the worker is gone, which shows when it does not listen.
            let _ = key_file::write_to(stdin, key);
        }
        let log = log.to_owned();
        Ok(Self { group, index, host, child, pidfd, lifeline, stdout, log, ended: None, loss_told: false })
    }

    pub(super) fn exit_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Reads the worker's first line, which says where it listens.
    pub(super) fn wait_until_listening(
        &mut self,
        deadline: Instant,
        cancel: BorrowedFd,
    ) -> Result<SocketAddr, ListenError> {
        let mut stdout =
            self.stdout.take().ok_or_else(|| ListenError::Worker("it was asked already".into()))?;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let fail = |what: &str| Err(ListenError::Worker(self.explain(what)));
            match wait_readable([stdout.as_fd(), cancel], deadline) {
                Ok(Some([_, true])) => return Err(ListenError::Cancelled),
                Ok(Some(_)) => {}
                Ok(None) => return fail("it said nothing in time"),
                Err(error) => return fail(&error.to_string()),
            }
            let mut byte = [0];
            match stdout.read(&mut byte) {
                Ok(0) => return fail("it ended"),
                Ok(_) => line.push(byte[0]),
                Err(error) => return fail(&error.to_string()),
            }
        }
        let text = String::from_utf8_lossy(&line);
        let address = text.strip_prefix(LISTENING).and_then(|address| address.trim().parse().ok());
        address.ok_or_else(|| ListenError::Worker(self.explain(&format!("it said {text:?}"))))
    }

    /// Says once that the worker has ended although nobody told it to.
    pub(super) fn take_loss(&mut self) -> Option<LostHost> {
        let told_to_end = self.lifeline.is_none();
        if self.loss_told || told_to_end {
            return None;
        }
        let status = self.status()?;
        self.loss_told = true;
        let reason = self.explain(&format!("its worker process ended with {status}"));
        Some(LostHost { group: self.group, index: self.index, reason })
    }

    /// Closes the lifeline; the worker stops its driver and ends.
    pub(super) fn let_go(&mut self) {
        self.lifeline = None;
    }

    /// Waits until the worker has ended, kills it at the deadline; says so if it is still there after that.
    pub(super) fn end(&mut self, deadline: Instant) -> Option<String> {
        if self.wait(deadline) {
            return None;
        }
        tracing::warn!("the worker of {} {} does not end and is killed", self.group, self.host);
        // It fails only when the process is gone, and then the wait says so.
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        if self.wait(Instant::now() + KILL_LIMIT) {
            return None;
        }
        Some(format!(
            "the worker of {} {} (process {}) could not be ended",
            self.group,
            self.host,
            self.child.id()
        ))
    }

    fn wait(&mut self, deadline: Instant) -> bool {
        // Readiness is all that is asked; whether it is an error shows in the status.
        let _ = wait_readable([self.pidfd.as_fd()], deadline);
        self.status().is_some()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    fn explain(&self, what: &str) -> String {
        let tail = crate::process::tail(&self.log, 1024).unwrap_or_default();
        let last = tail.lines().next_back().unwrap_or("nothing");
        format!("{what}; the last line of {}: {last}", self.log.display())
    }
}

/// Waits until one of `fds` is readable; which of them are, or `None` at the deadline.
pub(super) fn wait_readable<const N: usize>(
    fds: [BorrowedFd; N],
    deadline: Instant,
) -> io::Result<Option<[bool; N]>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Ok(None),
            // The end of a stream, or an error of it, shows when it is read.
            Ok(_) => return Ok(Some(polled.map(|fd| !fd.revents().is_empty()))),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
