//! The guard as the worker sees it: a tiny process that leads the process group of a driver.
//!
//! A driver must not outlive its worker, nor may what it started itself, even when the worker is killed with
//! SIGKILL and can do nothing any more. So somebody else has to notice: the guard holds one end of a socket pair,
//! the worker the other. When the worker is gone, however it went, the kernel closes its end, and the guard kills
//! the whole group, itself included.
//!
//! There is no gap. The worker's end is close-on-exec: a driver has a copy only between its fork and its exec, and
//! joins the group in between. Should the worker be killed right then, the guard sees the end of the stream only
//! after the driver has become a member.

use super::group;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a guard to say that it watches. It takes about a millisecond.
const GUARD_READY_MAX: Duration = Duration::from_secs(5);

/// What a guard writes when it watches.
pub(super) const READY: u8 = b'r';

/// The program that runs as a guard: one whose `main` calls [`super::guard_main`] when it is given these arguments.
///
/// A worker names itself here, by the path that `/proc/self/exe` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardProgram {
    /// Absolute path of the program.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// A running guard. Dropping it ends its group.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pidfd: OwnedFd,
    group: Pid,
    /// Whether the id of the group may have gone to others.
    is_reaped: bool,
    /// Closing it is what tells the guard to kill its group.
    worker_end: UnixStream,
}

impl Guard {
    /// Starts a guard and waits, for [`GUARD_READY_MAX`] at most, until it watches.
    ///
    /// `stdout` and `stderr` are the logs of the driver; the guard bounds their size.
    pub(super) fn start(program: &GuardProgram, stdout: File, stderr: File) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(&program.path)
            .args(&program.args)
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout)
            .stderr(stderr)
            .spawn()?;
        let group = Pid::from_child(&child);
        let pidfd = match pidfd_open(group, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error.into());
            }
        };
        let guard = Self { child, pidfd, group, is_reaped: false, worker_end: ours };
        // From here on dropping the guard cleans up.
        guard.wait_until_ready()?;
        Ok(guard)
    }

    /// The process group that the guard leads.
    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// Kills the whole group, waits until all its members have ended, and reaps the guard.
    ///
    /// Blocks for [`group::GROUP_END_MAX`] at most. Not to be called again once the guard has been reaped.
    pub(super) fn end_group(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + group::GROUP_END_MAX;
        let ended = group::end(self.group, deadline);
        if group::wait_until_ended(&self.pidfd, deadline)? {
            self.child.wait()?;
            self.is_reaped = true;
        }
        ended
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        self.worker_end.set_read_timeout(Some(GUARD_READY_MAX))?;
        let mut answer = [0];
        let answered = (&self.worker_end).read_exact(&mut answer);
        match answered {
            Ok(()) if answer == [READY] => Ok(()),
            Ok(()) => Err(io::Error::other("the program is no guard: it gave another answer")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::other(
                "the program is no guard: it ended, or closed its stdin, without an answer",
            )),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the program did not say within {GUARD_READY_MAX:?} that it is ready"),
            )),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if let Err(error) = self.end_group() {
            tracing::warn!("the process group {} of a driver was not ended: {error}", self.group);
        }
    }
}
