//! What `/proc` tells of processes: the members of a group, their names, their sockets (`proc(5)`).

use rustix::process::Pid;
use std::collections::BTreeSet;
use std::{fs, io};

/// The members of the process group `group`, including those that have ended and were not reaped.
///
/// The state that `/proc` tells is that of the first thread alone. A process in the state Z may have other threads
/// that still run, and so hold its files and ports; only a pidfd tells when the last one has ended.
pub(super) fn members(group: Pid) -> io::Result<Vec<Pid>> {
    let of_group = |pid: &Pid| {
        // A process may end between the listing and this read: then it is no member any more.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parse_group(&stat) == Some(group.as_raw_nonzero().get())
    };
    Ok(processes()?.into_iter().filter(of_group).collect())
}

/// All processes that this one can see.
pub(super) fn processes() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw));
    }
    Ok(pids)
}

/// The name of a process (`comm`, at most 15 bytes), or "?" when it has ended.
pub(super) fn name(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "?".into(), |name| name.trim_end().into())
}

/// Whether the process `pid` holds one of the sockets with these inodes.
///
/// # Errors
/// `PermissionDenied` when the process belongs to another user. A process that has ended holds nothing.
pub(super) fn holds_socket(pid: Pid, inodes: &BTreeSet<u64>) -> io::Result<bool> {
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => return Ok(false),
    };
    // A descriptor that cannot be read has been closed since the listing.
    Ok(entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        target.to_str().and_then(parse_socket_link).is_some_and(|inode| inodes.contains(&inode))
    }))
}

/// The inode of a socket from the target of a link in `/proc/PID/fd`, as in "socket:[4711]".
fn parse_socket_link(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Reads the group from `/proc/PID/stat`: "pid (name) state ppid pgrp ...", where the name may hold spaces and
/// parentheses.
fn parse_group(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_group() {
        assert_eq!(parse_group("12 (a) R (b)) Z 1 77 78 0 -1"), Some(77));
        assert_eq!(parse_group(""), None);
        assert_eq!(parse_group("12 (a) R 1"), None);
    }

    #[test]
    fn only_sockets_have_a_socket_inode() {
        assert_eq!(parse_socket_link("socket:[4711]"), Some(4711));
        assert_eq!(parse_socket_link("pipe:[4711]"), None);
        assert_eq!(parse_socket_link("/tmp/socket:[x]"), None);
    }

    #[test]
    fn this_process_is_seen_with_its_name() {
        let own = rustix::process::getpid();
        assert!(processes().expect("/proc is there").contains(&own));
        assert!(members(rustix::process::getpgrp()).expect("/proc is there").contains(&own));
        assert_ne!(name(own), "?");
    }
}
