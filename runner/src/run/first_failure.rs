//! Which of the two groups failed first, since the failure of the other one may only follow from it; and why.

use russula_proto::{Coordinator, Failure, Group, PeerError, Refusal};

/// The group that was the first to fail in the repetition under way.
#[derive(Debug, Default)]
pub(super) struct FirstFailure(Option<Group>);

impl FirstFailure {
    /// The failure that counts, to be asked for whenever one of the groups has had an input.
    pub(super) fn of<'a>(
        &mut self,
        servers: &'a Coordinator,
        clients: &'a Coordinator,
    ) -> Option<(Group, &'a Failure)> {
        let groups = [servers, clients];
        let failed = |group: &&Coordinator| group.failure().is_some();
        self.0 = self.0.or_else(|| groups.into_iter().find(failed).map(Coordinator::group));
        let first = groups.into_iter().find(|group| Some(group.group()) == self.0)?;
        Some((first.group(), first.failure()?))
    }
}

/// Whether the workers refuse this orchestrator for one that came later.
pub(super) fn is_by_a_later_orchestrator(failure: &Failure) -> bool {
    let stale = PeerError::Refused(Refusal::Stale);
    match failure {
        Failure::Lost { error, .. } => *error == stale,
        Failure::Deadline { waiting, .. } => {
            waiting.first.iter().any(|(_, error)| error.as_ref() == Some(&stale))
        }
        Failure::Refused { refusal, .. } => *refusal == Refusal::Stale,
        Failure::Worker { .. }
        | Failure::Restarted { .. }
        | Failure::Protocol { .. }
        | Failure::OutOfOrder { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russula_proto::coordinator::{Phase, Waiting};
    use russula_proto::{CoordinatorConfig, Key, Timestamp};
    use std::time::Duration;

    fn coordinator(group: Group) -> Coordinator {
        let config = CoordinatorConfig {
            run: "demo".parse().expect("a valid run id"),
            group,
            workers: 1,
            limits: Default::default(),
            key: Key::from_bytes([1; Key::LEN]),
            session: 1,
            incarnation: 0,
            work: None,
        };
        let mut coordinator = Coordinator::new(config, Timestamp::ZERO);
        coordinator.begin(1, 0, Timestamp::ZERO);
        coordinator
    }

    #[test]
    fn the_first_one_counts_whichever_group_it_is() {
        for first in [Group::Server, Group::Client] {
            let mut groups = [Group::Server, Group::Client].map(coordinator);
            let mut failure = FirstFailure::default();
            assert_eq!(failure.of(&groups[0], &groups[1]), None);
            let nth = usize::from(first == Group::Client);
            for lost in [nth, 1 - nth] {
                groups[lost].handle_host_lost(0, "it burns", Timestamp::ZERO);
                let known = failure.of(&groups[0], &groups[1]).map(|(group, _)| group);
                assert_eq!(known, Some(first));
            }
        }
    }

    #[test]
    fn a_later_orchestrator_is_told_from_a_broken_connection() {
        let lost = |error| Failure::Lost { index: 0, error };
        let late = |error| Failure::Deadline {
            phase: Phase::Ready,
            limit: Duration::from_secs(30),
            waiting: Waiting { count: 2, first: vec![(0, None), (1, Some(error))] },
        };
        for (error, expected) in [(PeerError::Refused(Refusal::Stale), true), (PeerError::Closed, false)] {
            assert_eq!(is_by_a_later_orchestrator(&lost(error.clone())), expected);
            assert_eq!(is_by_a_later_orchestrator(&late(error)), expected);
        }
    }
}
