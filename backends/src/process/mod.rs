//! A supervised driver process.
//!
//! ```text
//!   worker ----------- spawns, reaps ------------> driver ----> what it starts itself
//!     |                                              |                  |
//!     |  socket pair: "the worker is alive"          |   members of its process group
//!     |                                              |                  |
//!     +--- spawns, reaps ----> guard = leader of the process group -----+
//! ```
//!
//! A [`Process`] is a driver in a process group of its own, which a [guard](guard_main) leads. Nothing of the group
//! outlives the worker, whatever ends it. The end of the driver arrives as an event: its file descriptor
//! ([`Process::exit_fd`]) becomes readable, then [`Process::try_reap`] tells the outcome. Until then neither the
//! worker nor the guard is scheduled, as long as the driver writes nothing.
//!
//! Two limits. A process that leaves the group by itself (`setsid`) is beyond the guard. And when the guard alone is
//! killed, the driver runs on under its worker, but no longer dies with it.
//!
//! Nothing here blocks except where it says so, with a limit; there is no thread and no sleep.

mod group;
mod guard;
mod guard_program;
mod launch;
mod log_watch;
mod logs;
mod proc_fs;
mod readiness;
mod sockets;
mod tail;
mod wait;

pub use guard::GuardProgram;
pub use guard_program::guard_main;
pub use launch::{Launch, Listen};
pub use logs::{LOG_KEPT_BYTES, LOG_MAX_BYTES};
pub use readiness::ReadinessPoll;
pub use tail::tail;

use group::GROUP_END_MAX;
use guard::Guard;
use launch::LogFiles;
use russula_proto::outcome::STDERR_TAIL_MAX;
use russula_proto::{Outcome, StartFailure, Text};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wait::Ended;

/// A driver that was started.
///
/// Dropping it before the driver has been reaped kills and reaps its whole group, which blocks for at most three
/// seconds and normally for about ten milliseconds.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    guard: Guard,
    started: Instant,
    listen: Option<Listen>,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Where the stderr of this driver starts in its file, in bytes.
    stderr_start: u64,
    outcome: Option<Outcome>,
}

/// A driver that is to be started, with everything that has to be there before: its logs are open, its guard watches.
/// What is left to do takes less time than that, so drivers that are armed start closer together.
#[derive(Debug)]
pub struct Armed {
    launch: Launch,
    logs: LogFiles,
    guard: Guard,
}

impl Armed {
    /// Opens the logs and starts the guard.
    ///
    /// Blocks until the guard watches: about a millisecond, five seconds at most.
    ///
    /// # Errors
    /// [`StartFailure::Spawn`] when the logs cannot be opened, or the guard not be started, with path and cause.
    pub fn new(launch: Launch, guard_program: &GuardProgram) -> Result<Self, StartFailure> {
        let logs = LogFiles::open(&launch)?;
        let (stdout, stderr) = logs.try_clone()?;
        let guard = Guard::start(guard_program, stdout, stderr).map_err(|error| {
            let path = guard_program.path.display();
            StartFailure::spawn(format_args!("its guard {path} cannot be started: {error}"))
        })?;
        Ok(Self { launch, logs, guard })
    }

    /// Starts the driver.
    ///
    /// # Errors
    /// [`StartFailure::PortInUse`] when the port of [`Launch::listen`] is bound already, by TCP or UDP, with its
    /// holder. [`StartFailure::Spawn`] when the program cannot be started, with path and cause. After an error
    /// nothing is left running.
    pub fn start(self) -> Result<Process, StartFailure> {
        let Self { launch, logs, guard } = self;
        launch.listen.map_or(Ok(()), readiness::require_free)?;
        let stderr_start = logs.stderr_start;
        wait::forget_own_peak();
        let started = Instant::now();
        let mut child = launch::spawn_into(guard.group(), &launch, logs)?;
        let pid = Pid::from_child(&child);
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Kills the driver, which is then there to be reaped.
                drop(guard);
                let _ = child.try_wait();
                return Err(StartFailure::spawn(format_args!("its end cannot be watched: {error}")));
            }
        };
        Ok(Process {
            pid,
            pidfd,
            guard,
            started,
            listen: launch.listen,
            stdout: launch.stdout,
            stderr: launch.stderr,
            stderr_start,
            outcome: None,
        })
    }
}

impl Process {
    /// Starts a driver, and its guard before it.
    ///
    /// # Errors
    /// Those of [`Armed::new`] and [`Armed::start`].
    pub fn spawn(launch: &Launch, guard_program: &GuardProgram) -> Result<Self, StartFailure> {
        // Before anything is made; it may be taken in the meantime, so it is looked at again.
        launch.listen.map_or(Ok(()), readiness::require_free)?;
        Armed::new(launch.clone(), guard_program)?.start()
    }

    /// The id of the driver, until it is reaped.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Becomes readable when the driver has ended, and stays so (`pidfd_open(2)`).
    ///
    /// For [`mio::unix::SourceFd`]; it is to be deregistered before this is dropped.
    pub fn exit_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the server listens: a TCP listener or an unconnected UDP socket is bound at [`Launch::listen`], by a
    /// process of the driver's group. Somebody else's socket does not count.
    ///
    /// There is no event for this, so it is to be asked again after each delay of a [`ReadinessPoll`].
    /// A driver that was started without [`Launch::listen`] never listens.
    ///
    /// # Errors
    /// `PermissionDenied` when a process of the group runs as another user, so that its sockets cannot be seen, and
    /// those of reading `/proc`.
    pub fn is_listening(&self) -> io::Result<bool> {
        match self.listen {
            Some(listen) if self.outcome.is_none() => readiness::is_bound_by(self.guard.group(), listen),
            Some(_) | None => Ok(false),
        }
    }

    /// Asks the driver, and whatever it started, to end (SIGTERM). Does nothing after it was reaped.
    ///
    /// # Errors
    /// `EPERM`, when the driver runs as another user.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends the driver and whatever it started (SIGKILL), the driver even if it has left its group. Does nothing after
    /// it was reaped.
    ///
    /// # Errors
    /// As for [`Process::terminate`].
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The outcome of a driver that has ended, else `None`.
    ///
    /// With the driver its whole group ends: what it left behind is killed, and waited for since it may still hold
    /// the port (normally about ten milliseconds, one second at most). Logs above their limit are cut.
    /// Asked again, it tells the same outcome.
    ///
    /// # Errors
    /// `ECHILD` when somebody else reaped the driver, which happens when the worker ignores `SIGCHLD`.
    pub fn try_reap(&mut self) -> io::Result<Option<Outcome>> {
        if self.outcome.is_some() {
            return Ok(self.outcome.clone());
        }
        let Some(ended) = wait::try_wait(self.pid)? else {
            return Ok(None);
        };
        let duration = self.started.elapsed();
        self.end_group();
        let outcome = self.outcome_of(ended, duration);
        for log in [&self.stdout, &self.stderr] {
            if let Err(error) = logs::compact(log, LOG_MAX_BYTES, LOG_KEPT_BYTES) {
                tracing::warn!("the log {} was not cut: {error}", log.display());
            }
        }
        self.outcome = Some(outcome.clone());
        Ok(Some(outcome))
    }

    /// The ids of a group that was reaped may have gone to others: it gets no signal.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.outcome {
            None => group::signal(self.guard.group(), signal),
            Some(_) => Ok(()),
        }
    }

    fn end_group(&mut self) {
        if let Err(error) = self.guard.end_group() {
            tracing::warn!("what driver {} started was not ended: {error}", self.pid);
        }
    }

    fn outcome_of(&self, ended: Ended, duration: Duration) -> Outcome {
        let stderr_tail = tail::tail_after(&self.stderr, self.stderr_start, STDERR_TAIL_MAX)
            .unwrap_or_else(|error| format!("({} cannot be read: {error})", self.stderr.display()));
        Outcome {
            exit: ended.exit,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            cpu_us: ended.cpu_us,
            max_rss_bytes: ended.max_rss_bytes,
            voluntary_switches: ended.voluntary_switches,
            involuntary_switches: ended.involuntary_switches,
            stderr_tail: Text::tail_of(&stderr_tail),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        let killed = self.kill();
        self.end_group();
        let reaped = killed
            .and_then(|()| group::wait_until_ended(&self.pidfd, Instant::now() + GROUP_END_MAX))
            .and_then(|_| wait::try_wait(self.pid));
        match reaped {
            Ok(Some(_)) => {}
            Ok(None) => tracing::warn!("driver {} lives on {GROUP_END_MAX:?} after SIGKILL", self.pid),
            Err(error) => tracing::warn!("driver {} was not reaped: {error}", self.pid),
        }
    }
}
