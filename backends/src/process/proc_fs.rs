//! What `/proc` tells of processes: the members of a group, their names, their sockets (`proc(5)`).

use rustix::process::Pid;
use std::collections::BTreeSet;
use std::{fs, io};

/// The members of the process group `group` that have not ended. Zombies are left out.
pub(super) fn live_members(group: Pid) -> io::Result<Vec<Pid>> {
    let of_group = |pid: &Pid| {
        // A process may end between the listing and this read: then it is no member any more.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parse_stat(&stat).is_some_and(|stat| stat.group == group.as_raw_nonzero().get() && stat.is_alive())
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

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: i32,
}

impl Stat {
    /// Z is a zombie, X and x are on their way out.
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads `/proc/PID/stat`: "pid (name) state ppid pgrp ...", where the name may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_fields() {
        let stat = parse_stat("12 (a) R (b)) Z 1 77 77 0 -1").expect("well formed");
        assert_eq!(stat, Stat { state: 'Z', group: 77 });
        assert!(!stat.is_alive());
        assert_eq!(parse_stat(""), None);
        assert_eq!(parse_stat("12 (a) R 1"), None);
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
        assert!(live_members(rustix::process::getpgrp()).expect("/proc is there").contains(&own));
        assert_ne!(name(own), "?");
    }
}
