//! The order of a repetition across its two groups.
//!
//! ```text
//!   Preparing ---------+   both groups become ready
//!       |              |
//!   StartingServers ---|   servers: till workers running
//!       |              |
//!   RunningClients ----|   clients: till done
//!       |              | give up: a failure, or the user wants to stop
//!       |        StoppingClients   clients: abort, till done
//!       |              |
//!   StoppingServers <--+   servers: till done; clients: done
//!       |
//!     Over
//! ```
//!
//! So no client starts before every server runs, and no server is stopped before every client is done,
//! unless the repetition has failed.

use crate::coordinator::Coordinator;
use crate::quiet::{KernelCheck, Quiet};
use crate::time::Timestamp;
use crate::wire::{Memory, Stage};
use crate::workflow::Milestone;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Where a repetition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RepetitionPhase {
    /// Both groups become ready.
    Preparing,
    /// The servers start.
    StartingServers,
    /// The clients start, run and end.
    RunningClients,
    /// The repetition is given up; the clients are stopped.
    StoppingClients,
    /// The servers are stopped.
    StoppingServers,
    /// Nothing runs any more.
    Over,
}

/// What decides about the next phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepetitionFacts {
    /// The last milestone that the servers reached in this repetition.
    pub servers: Option<Milestone>,
    /// The last milestone that the clients reached.
    pub clients: Option<Milestone>,
    /// Whether the repetition is to be given up.
    pub give_up: bool,
    /// Whether the servers are to go on after the clients are done.
    pub hold_servers: bool,
}

impl RepetitionPhase {
    /// Every phase, in order.
    pub const ALL: [Self; 6] = [
        Self::Preparing,
        Self::StartingServers,
        Self::RunningClients,
        Self::StoppingClients,
        Self::StoppingServers,
        Self::Over,
    ];

    /// The phase that follows at once, if one does. Facts may be repeated at any time.
    #[must_use]
    pub fn next(self, facts: RepetitionFacts) -> Option<Self> {
        let servers = |milestone| facts.servers >= Some(milestone);
        let clients = |milestone| facts.clients >= Some(milestone);
        let (reached, next) = match self {
            Self::Preparing | Self::StartingServers | Self::RunningClients if facts.give_up => {
                (true, Self::StoppingClients)
            }
            Self::Preparing => {
                (servers(Milestone::Ready) && clients(Milestone::Ready), Self::StartingServers)
            }
            Self::StartingServers => (servers(Milestone::WorkersRunning), Self::RunningClients),
            Self::RunningClients => (clients(Milestone::Done) && !facts.hold_servers, Self::StoppingServers),
            Self::StoppingClients => (clients(Milestone::Done), Self::StoppingServers),
            // A process that has taken over in this phase has not heard yet how the clients ended.
            Self::StoppingServers => (servers(Milestone::Done) && clients(Milestone::Done), Self::Over),
            Self::Over => (false, Self::Over),
        };
        reached.then_some(next)
    }
}

/// The quiet window of a repetition, as both sides of the control connections counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietWindow {
    /// From the last client's confirmation until the first end that was heard.
    pub duration: Duration,
    /// The coordinators' count over all connections.
    pub coordinators: Quiet,
    /// The clients' count, each of its own connection; all together.
    pub clients: Quiet,
}

/// A repetition that another process of this session began before it died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The last phase that it entered.
    pub phase: RepetitionPhase,
    /// Whether the repetition had failed or was given up.
    pub has_failed: bool,
    /// [`Coordinator::memories`] of the servers.
    pub servers: Vec<Option<Memory>>,
    /// [`Coordinator::memories`] of the clients.
    pub clients: Vec<Option<Memory>>,
}

/// One repetition over a group of servers and a group of clients.
///
/// Holds no connection and no worker: it only tells the two coordinators how far to go. To be advanced
/// whenever one of them has had an input.
#[derive(Debug)]
pub struct Repetition {
    phase: RepetitionPhase,
    give_up: bool,
    hold_servers: bool,
}

impl Repetition {
    /// Begins repetition `number` with the workers' program `program` on both coordinators.
    pub fn begin(
        number: u32,
        program: u16,
        servers: &mut Coordinator,
        clients: &mut Coordinator,
        now: Timestamp,
    ) -> Self {
        for group in [&mut *servers, clients] {
            group.begin(number, program, now);
            group.run_till(Milestone::Ready, now);
        }
        Self { phase: RepetitionPhase::Preparing, give_up: false, hold_servers: false }
    }

    /// Takes repetition `number` over from a process that died. It goes on from where that one left it: nothing
    /// is done again, and what the workers have done meanwhile is heard from them.
    pub fn take_over(
        number: u32,
        program: u16,
        takeover: &Takeover,
        servers: &mut Coordinator,
        clients: &mut Coordinator,
        now: Timestamp,
    ) -> Self {
        use Milestone::{Done, Ready, WorkersRunning};
        let asked = match takeover.phase {
            RepetitionPhase::Preparing => (Ready, Ready),
            RepetitionPhase::StartingServers => (WorkersRunning, Ready),
            RepetitionPhase::RunningClients | RepetitionPhase::StoppingClients => (WorkersRunning, Done),
            RepetitionPhase::StoppingServers | RepetitionPhase::Over => (Done, Done),
        };
        servers.take_over(number, program, Some(asked.0), &takeover.servers, now);
        clients.take_over(number, program, Some(asked.1), &takeover.clients, now);
        // Whatever it was that failed, the rest of the way is the same: everything is stopped.
        let give_up = takeover.has_failed || takeover.phase == RepetitionPhase::StoppingClients;
        if give_up {
            clients.abort(now);
            servers.abort(now);
        }
        // What came of it has to be heard again, even if it was over already.
        let phase = takeover.phase.min(RepetitionPhase::StoppingServers);
        Self { phase, give_up, hold_servers: false }
    }

    /// Where the repetition is.
    pub fn phase(&self) -> RepetitionPhase {
        self.phase
    }

    /// The user wants the servers to go on after the clients are done, or not any more.
    pub fn hold_servers(&mut self, hold: bool) {
        self.hold_servers = hold;
    }

    /// The user wants to stop.
    pub fn give_up(&mut self) {
        self.give_up = true;
    }

    /// Goes on as far as the groups have come; returns the phases that were entered.
    pub fn advance(
        &mut self,
        servers: &mut Coordinator,
        clients: &mut Coordinator,
        now: Timestamp,
    ) -> impl Iterator<Item = RepetitionPhase> + use<> {
        let before = self.phase;
        let mut failed_over = false;
        self.watch_window(servers, clients, now);
        while let Some(next) = self.phase.next(RepetitionFacts {
            servers: servers.reached(),
            clients: clients.reached(),
            give_up: self.has_failed(servers, clients),
            hold_servers: self.hold_servers,
        }) {
            failed_over |= next == RepetitionPhase::StoppingClients;
            self.phase = next;
            match next {
                RepetitionPhase::Preparing | RepetitionPhase::Over => {}
                RepetitionPhase::StartingServers => servers.run_till(Milestone::WorkersRunning, now),
                RepetitionPhase::RunningClients => clients.run_till(Milestone::Done, now),
                RepetitionPhase::StoppingClients => clients.abort(now),
                // After a failure the servers may be anywhere; abort is what stops them from there.
                RepetitionPhase::StoppingServers if self.has_failed(servers, clients) => servers.abort(now),
                RepetitionPhase::StoppingServers => servers.run_till(Milestone::Done, now),
            }
        }
        let after = self.phase;
        RepetitionPhase::ALL.into_iter().filter(move |phase| {
            let skipped = *phase == RepetitionPhase::StoppingClients && !failed_over;
            let jumped = failed_over && *phase < RepetitionPhase::StoppingClients;
            before < *phase && *phase <= after && !skipped && !jumped
        })
    }

    /// Whether another repetition, with this driver or the next one, can succeed after this one has failed: not if a
    /// worker was given up, since it is not dialed again.
    pub fn can_another_follow(servers: &Coordinator, clients: &Coordinator) -> bool {
        servers.peers().chain(clients.peers()).all(|worker| !worker.is_given_up)
    }

    /// How quiet it was from the last client's confirmation until the first end; `None` if there was no such time.
    pub fn quiet(servers: &Coordinator, clients: &Coordinator) -> Option<QuietWindow> {
        let ((_, ours), (duration, theirs)) = servers.quiet().zip(clients.quiet())?;
        let add = |a: Quiet, b: Quiet| Quiet {
            // A worker may say any number.
            bytes: a.bytes.saturating_add(b.bytes),
            kernel: a.kernel.and(b.kernel),
        };
        let of_clients = clients
            .peers()
            .filter(|peer| peer.stage > Stage::Running)
            .map(|peer| peer.quiet.unwrap_or(Quiet { bytes: 0, kernel: KernelCheck::NotChecked }));
        let nobody = Quiet { bytes: 0, kernel: KernelCheck::NotChecked };
        let clients = of_clients.reduce(add).unwrap_or(nobody);
        Some(QuietWindow { duration, coordinators: add(ours, theirs), clients })
    }

    /// The window is one for both groups: what ends it in one ends it in the other.
    fn watch_window(&self, servers: &mut Coordinator, clients: &mut Coordinator, now: Timestamp) {
        let running = self.phase == RepetitionPhase::RunningClients;
        let all_run = [&*servers, &*clients].iter().all(|group| group.is_past(Milestone::WorkersRunning))
            && !self.has_failed(servers, clients);
        if running && all_run && servers.may_open_window() && clients.may_open_window() {
            servers.open_window(now);
            clients.open_window(now);
        }
        if servers.is_window_closed() || clients.is_window_closed() || !running {
            servers.close_window(0, now);
            clients.close_window(0, now);
        }
    }

    /// Feeds `hasher` with what decides about what this repetition will do, beside its coordinators.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        let Self { phase, give_up, hold_servers } = self;
        (phase, give_up, hold_servers).hash(hasher);
    }

    /// What another process needs to know to take the repetition over from this one.
    pub fn takeover(&self, servers: &Coordinator, clients: &Coordinator) -> Takeover {
        Takeover {
            phase: self.phase,
            has_failed: self.has_failed(servers, clients),
            servers: servers.memories().collect(),
            clients: clients.memories().collect(),
        }
    }

    fn has_failed(&self, servers: &Coordinator, clients: &Coordinator) -> bool {
        self.give_up || servers.failure().is_some() || clients.failure().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::CoordinatorConfig;
    use crate::key::Key;
    use crate::workflow::Group;
    use std::vec;

    fn every_fact() -> Vec<RepetitionFacts> {
        let milestones =
            [None, Some(Milestone::Ready), Some(Milestone::WorkersRunning), Some(Milestone::Done)];
        let mut all = vec![];
        for servers in milestones {
            for clients in milestones {
                for give_up in [false, true] {
                    for hold_servers in [false, true] {
                        all.push(RepetitionFacts { servers, clients, give_up, hold_servers });
                    }
                }
            }
        }
        all
    }

    fn coordinator(group: Group) -> Coordinator {
        let config = CoordinatorConfig {
            run: "demo".parse().expect("a valid run id"),
            group,
            workers: 1,
            limits: Default::default(),
            key: Key::from_bytes([1; Key::LEN]),
            session: 1,
            incarnation: 1,
            work: None,
        };
        Coordinator::new(config, Timestamp::ZERO)
    }

    #[test]
    fn what_came_of_a_repetition_that_was_over_is_heard_again() {
        for phase in RepetitionPhase::ALL {
            let (mut servers, mut clients) = (coordinator(Group::Server), coordinator(Group::Client));
            let memory = Some(Memory { session: 1, takeovers: 0 });
            let takeover =
                Takeover { phase, has_failed: false, servers: vec![memory], clients: vec![memory] };
            let now = Timestamp::ZERO;
            let mut repetition = Repetition::take_over(1, 0, &takeover, &mut servers, &mut clients, now);
            assert_eq!(repetition.advance(&mut servers, &mut clients, now).next(), None, "{phase:?}");
            assert_ne!(repetition.phase(), RepetitionPhase::Over, "{phase:?}");
        }
    }

    /// Nothing is left to be done in a run that was taken over; the workers still wait to be told so.
    #[test]
    fn whoever_takes_over_tells_the_workers_that_the_run_is_over() {
        let mut servers = coordinator(Group::Server);
        servers.finish(Timestamp::ZERO);
        assert!(!servers.is_finished());
        servers.handle_connection_failed(0, "it is gone", Timestamp::ZERO);
        assert!(servers.is_finished(), "nobody waits for who has gone");
    }

    #[test]
    fn every_phase_and_fact_keeps_the_order() {
        for phase in RepetitionPhase::ALL {
            for facts in every_fact() {
                let Some(next) = phase.next(facts) else { continue };
                assert!(next > phase, "a repetition only goes forward: {phase:?} {facts:?}");
                if next == RepetitionPhase::RunningClients {
                    assert!(facts.servers >= Some(Milestone::WorkersRunning), "{phase:?} {facts:?}");
                }
                if next == RepetitionPhase::StoppingServers {
                    assert!(facts.clients == Some(Milestone::Done), "{phase:?} {facts:?}");
                    assert!(!facts.hold_servers || phase == RepetitionPhase::StoppingClients);
                }
                if next == RepetitionPhase::Over {
                    let done = Some(Milestone::Done);
                    assert_eq!((facts.servers, facts.clients), (done, done), "{phase:?} {facts:?}");
                }
                if next == RepetitionPhase::StoppingClients {
                    assert!(facts.give_up, "{phase:?} {facts:?}");
                }
            }
        }
    }

    #[test]
    fn every_phase_ends_once_both_groups_are_done() {
        for give_up in [false, true] {
            let done = Some(Milestone::Done);
            let facts = RepetitionFacts { servers: done, clients: done, give_up, hold_servers: false };
            let mut phase = RepetitionPhase::Preparing;
            let mut steps = 0;
            while let Some(next) = phase.next(facts) {
                phase = next;
                steps += 1;
                assert!(steps <= RepetitionPhase::ALL.len());
            }
            assert_eq!(phase, RepetitionPhase::Over);
        }
    }
}
