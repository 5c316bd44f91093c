//! Process groups: signals to all members, and the moment when all members have ended.

use super::proc_fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longest wait for the end of processes that were sent SIGKILL.
///
/// They end within microseconds once they have a processor, for which they wait on a busy machine, unless the kernel
/// holds them in an uninterruptible wait (a dead disk).
pub(super) const GROUP_END_MAX: Duration = Duration::from_secs(3);

/// Sends `signal` to every member of `group`. A group without members is no error.
pub(super) fn signal(group: Pid, signal: Signal) -> io::Result<()> {
    match kill_process_group(group, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Kills every member of `group` and waits until all of them have ended, so that their ports are free again.
///
/// Members that are not children of this process are left for their parent to reap.
///
/// # Errors
/// `TimedOut` at `deadline`, with the members that live on.
pub(super) fn end(group: Pid, deadline: Instant) -> io::Result<()> {
    signal(group, Signal::KILL)?;
    let mut alive = Vec::new();
    for pid in proc_fs::members(group)? {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) if !wait_until_ended(&pidfd, deadline)? => alive.push(pid.to_string()),
            Ok(_) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if alive.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("processes {} live on after SIGKILL", alive.join(", ")),
    ))
}

/// Blocks until the process behind `pidfd` has ended (reaped or not) or `deadline` has passed; whether it ended.
pub(super) fn wait_until_ended(pidfd: &OwnedFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn a_group_has_ended_when_it_is_said_to() {
        for _ in 0..20 {
            let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().expect("spawned");
            end(Pid::from_child(&child), Instant::now() + GROUP_END_MAX).expect("ended");
            assert!(child.try_wait().expect("asked").is_some());
            // A group without members is no error.
            end(Pid::from_child(&child), Instant::now()).expect("ended");
        }
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).expect("opened");
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(!wait_until_ended(&own, deadline).expect("waited"));
        assert!(Instant::now() >= deadline);
    }
}
