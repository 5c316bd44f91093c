//! How a host of a repetition is named, and how its part ended, in words.

use crate::summary::{HostSummary, RepetitionSummary, Status};
use std::collections::BTreeMap;

/// The group that a host belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the server side of the driver.
    Server,
    /// Runs the client side of the driver.
    Client,
}

impl Role {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// A host of a repetition with a name that no other host of the repetition has.
#[derive(Clone, Debug)]
pub struct NamedHost<'a> {
    /// Its group.
    pub role: Role,
    /// Its position in the group.
    pub index: usize,
    /// `server 127.0.1.1`, or `server 127.0.1.1 (2)` for the second of one address.
    pub name: String,
    /// Its part in the repetition.
    pub summary: &'a HostSummary,
}

/// All hosts of a repetition, clients first: they are what is measured.
pub fn named_hosts(repetition: &RepetitionSummary) -> Vec<NamedHost<'_>> {
    let clients = repetition.clients.iter().enumerate().map(|(index, host)| (Role::Client, index, host));
    let servers = repetition.servers.iter().enumerate().map(|(index, host)| (Role::Server, index, host));
    let mut seen: BTreeMap<(Role, &str), usize> = BTreeMap::new();
    clients
        .chain(servers)
        .map(|(role, index, summary)| {
            let count = seen.entry((role, &summary.host)).or_default();
            *count += 1;
            let name = match *count {
                1 => format!("{} {}", role.word(), summary.host),
                count => format!("{} {} ({count})", role.word(), summary.host),
            };
            NamedHost { role, index, name, summary }
        })
        .collect()
}

/// How the driver process of a host ended: `exit 0`, `signal 15`, or `None` if it is not known.
pub fn ending(host: &HostSummary) -> Option<String> {
    match (host.exit_code, host.signal) {
        (_, Some(signal)) => Some(format!("signal {signal}")),
        (Some(code), None) => Some(format!("exit {code}")),
        (None, None) => None,
    }
}

/// Whether a host has something to say about why its repetition failed.
///
/// A server is stopped by a signal at the end of every healthy repetition and may complain on stderr about the
/// clients that have left, so neither counts in one that is ok.
pub fn explains_failure(repetition: &RepetitionSummary, host: &NamedHost<'_>) -> bool {
    let exited_badly = host.summary.exit_code.is_some_and(|code| code != 0);
    let failed = repetition.status != Status::Ok;
    host.summary.error.is_some() || failed && (exited_badly || !host.summary.stderr_tail.trim().is_empty())
}

/// The word for a status.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Interrupted => "interrupted",
        // Whoever reads it cannot know whether somebody still works on it.
        Status::Running => "unfinished",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> HostSummary {
        HostSummary { host: address.to_owned(), ..HostSummary::default() }
    }

    fn repetition(status: Status) -> RepetitionSummary {
        let (servers, clients) = (vec![host("a"), host("b"), host("a")], vec![host("a")]);
        RepetitionSummary { servers, clients, ..RepetitionSummary::new(status, 1.0) }
    }

    #[test]
    fn names_are_unique() {
        let repetition = repetition(Status::Ok);
        let names: Vec<_> = named_hosts(&repetition).into_iter().map(|host| host.name).collect();
        assert_eq!(names, ["client a", "server a", "server b", "server a (2)"]);
    }

    #[test]
    fn stderr_explains_only_a_repetition_that_failed() {
        for (status, explains) in [(Status::Ok, false), (Status::Failed, true), (Status::Interrupted, true)] {
            let mut repetition = repetition(status);
            repetition.servers[1].stderr_tail = "error: Broken pipe".to_owned();
            let hosts = named_hosts(&repetition);
            let explaining: Vec<_> =
                hosts.iter().filter(|host| explains_failure(&repetition, host)).map(|h| &h.name).collect();
            assert_eq!(!explaining.is_empty(), explains, "{status:?}: {explaining:?}");
        }
    }

    #[test]
    fn a_signal_goes_before_an_exit_status() {
        assert_eq!(ending(&host("a")), None);
        assert_eq!(ending(&HostSummary { exit_code: Some(2), ..host("a") }).as_deref(), Some("exit 2"));
        let killed = HostSummary { exit_code: None, signal: Some(9), ..host("a") };
        assert_eq!(ending(&killed).as_deref(), Some("signal 9"));
    }
}
