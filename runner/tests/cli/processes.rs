//! The process table.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A process of a run with one client and one server, as its command line tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The worker of a group.
    Worker(&'static str),
    /// The driver's program of a group, as long as it is the script that a test wrote.
    Script(&'static str),
}

impl Kind {
    pub(crate) fn matches(self, line: &str) -> bool {
        match self {
            Self::Worker(group) => line.contains(&format!(" worker {group} ")),
            Self::Script(group) => {
                line.contains("/bin/sh") && line.contains(&format!("/drivers/s2n-netbench-driver-{group}-"))
            }
        }
    }
}

/// Whether the process has ended, or ends within `limit`. By then it has nothing open any more.
pub(crate) fn has_ended(pidfd: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    let ended = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit));
    ended.expect("it can be polled") == 1
}

pub(crate) fn processes() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw).collect()
}

/// The processes that this one has started, and those that they have, as pidfds.
pub(crate) fn descendants(ancestor: Pid) -> Vec<OwnedFd> {
    let parents: Vec<(Pid, Pid)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let children = |of: Pid| parents.iter().filter(move |(_, parent)| *parent == of).map(|(pid, _)| *pid);
    let mut found: Vec<Pid> = children(ancestor).collect();
    let mut looked_at = 0;
    while let Some(&pid) = found.get(looked_at) {
        found.extend(children(pid));
        looked_at += 1;
    }
    found.into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may have anything in it: the state and the parent.
    let (_, fields) = stat.rsplit_once(')')?;
    Pid::from_raw(fields.split_whitespace().nth(1)?.parse().ok()?)
}

pub(crate) fn command_line(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
