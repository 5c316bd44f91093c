//! Which workers cannot be reached, for the user: they are dialed again and again until a deadline.

use backends::hosts::Hosts;
use russula_proto::Group;
use russula_proto::coordinator::Event;
use std::collections::BTreeSet;

/// Workers whose connection could not be made, or broke.
#[derive(Debug, Default)]
pub(super) struct Unreached(BTreeSet<(Group, usize)>);

impl Unreached {
    /// What there is to say about `event`: once when a worker cannot be reached, and once when it can be again.
    pub(super) fn handle_event(&mut self, hosts: &dyn Hosts, group: Group, event: &Event) -> Option<String> {
        let host =
            |index: usize| hosts.group(group).get(index).map(|host| format!("{group} {}", host.address));
        match event {
            Event::Disconnected(index, error) if self.0.insert((group, *index)) => {
                Some(format!("{}: {error}; trying again", host(*index)?))
            }
            Event::Connected(index) if self.0.remove(&(group, *index)) => {
                Some(format!("{}: connected", host(*index)?))
            }
            Event::State { .. }
            | Event::Connected(_)
            | Event::Disconnected(..)
            | Event::Worker(..)
            | Event::Reached(_)
            | Event::Failed(_)
            | Event::Finished => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backends::hosts::AttachedHosts;
    use russula_proto::PeerError;

    #[test]
    fn each_change_is_told_once() {
        let at = |port| std::net::SocketAddr::from(([10, 0, 0, 1], port));
        let hosts = AttachedHosts::new(&[at(1)], &[at(2)]);
        let mut unreached = Unreached::default();
        let mut say = |event| unreached.handle_event(&hosts, Group::Server, &event);
        assert_eq!(say(Event::Connected(0)), None);
        let lost = Event::Disconnected(0, PeerError::Closed);
        assert_eq!(
            say(lost.clone()).as_deref(),
            Some("server 10.0.0.1: it closed the connection; trying again")
        );
        assert_eq!(say(lost), None);
        assert_eq!(say(Event::Connected(0)).as_deref(), Some("server 10.0.0.1: connected"));
        assert_eq!(say(Event::Connected(0)), None);
    }
}
