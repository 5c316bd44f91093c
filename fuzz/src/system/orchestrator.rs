//! The process of the coordinators: what its user wants, how it dies, and how another one takes over.

use super::Town;
use crate::strangers::Differs;
use russula_proto::{
    Coordinator, CoordinatorConfig, CoordinatorLimits, Ending, Exit, Group, Memory, Repetition,
    RepetitionPhase, Stage, Takeover, Timestamp,
};
use sim::model::Observation;

pub(super) struct Orchestrator {
    /// Of the servers and of the clients; `None` while there is no process.
    pub(super) coordinators: Option<[Coordinator; 2]>,
    pub(super) waits: [Option<Timestamp>; 2],
    repetition: Option<Repetition>,
    /// Entered, and not seen yet.
    phases: Vec<RepetitionPhase>,
    /// How many hosts each group has.
    hosts: [usize; 2],
    journal: Journal,
}

/// What is written down before anything follows from it.
struct Journal {
    incarnation: u32,
    number: u32,
    phase: RepetitionPhase,
    has_failed: bool,
    memories: [Vec<Option<Memory>>; 2],
    is_finishing: bool,
}

impl Orchestrator {
    pub(super) fn new(hosts: [usize; 2], now: Timestamp) -> Self {
        let journal = Journal {
            incarnation: 0,
            number: 0,
            phase: RepetitionPhase::Over,
            has_failed: false,
            memories: hosts.map(|count| vec![None; count]),
            is_finishing: false,
        };
        let mut orchestrator =
            Self { coordinators: None, waits: [None; 2], repetition: None, phases: vec![], hosts, journal };
        orchestrator.start(now);
        orchestrator
    }

    pub(super) fn coordinator(&mut self, group: Group) -> Option<&mut Coordinator> {
        self.coordinators.as_mut().map(|coordinators| &mut coordinators[place(group)])
    }

    fn start(&mut self, now: Timestamp) {
        let make = |group| {
            let right = Differs::Nothing;
            let workers = u16::try_from(self.hosts[place(group)]).expect("there are a few hosts");
            let config = CoordinatorConfig {
                run: right.identity(group, 0).run,
                group,
                workers,
                limits: CoordinatorLimits { clock_exchanges: 2, ..CoordinatorLimits::default() },
                key: right.toy_key(),
                session: 1,
                incarnation: self.journal.incarnation,
                work: None,
            };
            Coordinator::new(config, now)
        };
        self.coordinators = Some([Group::Server, Group::Client].map(make));
    }

    pub(super) fn note_failure(&mut self) {
        self.journal.has_failed = true;
    }

    pub(super) fn note_memories(&mut self) {
        for (known, coordinator) in self.journal.memories.iter_mut().zip(self.coordinators.iter().flatten()) {
            for (known, memory) in known.iter_mut().zip(coordinator.memories()) {
                *known = memory.or(*known);
            }
        }
    }

    /// Whether a repetition is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.journal.phase != RepetitionPhase::Over
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.journal.is_finishing
    }
}

/// Of a group in the lists of both.
pub(super) fn place(group: Group) -> usize {
    match group {
        Group::Server | Group::Probe => 0,
        Group::Client => 1,
    }
}

impl Town {
    pub(super) fn begin(&mut self) {
        let orchestrator = &self.orchestrator;
        if orchestrator.is_busy() || orchestrator.is_finishing() || orchestrator.coordinators.is_none() {
            return;
        }
        self.is_calm = true;
        let journal = &mut self.orchestrator.journal;
        journal.number += 1;
        (journal.phase, journal.has_failed) = (RepetitionPhase::Preparing, false);
        let number = journal.number;
        self.see(&Observation::Begun(number));
        self.hosts.iter_mut().for_each(|host| host.is_dismissed = false);
        if let Some([servers, clients]) = &mut self.orchestrator.coordinators {
            self.orchestrator.repetition = Some(Repetition::begin(number, 0, servers, clients, self.now));
        }
        self.orchestrator.journal.memories.iter_mut().for_each(|known| known.fill(None));
        self.orchestrator.note_memories();
        self.settle();
    }

    pub(super) fn give_up(&mut self) {
        if let Some(repetition) = &mut self.orchestrator.repetition
            && self.orchestrator.journal.phase != RepetitionPhase::Over
        {
            repetition.give_up();
            self.orchestrator.note_failure();
            self.see(&Observation::GivenUp);
            self.settle();
        }
    }

    pub(super) fn hold_servers(&mut self, hold: bool) {
        if let Some(repetition) = &mut self.orchestrator.repetition {
            repetition.hold_servers(hold);
            self.settle();
        }
    }

    pub(super) fn finish(&mut self) {
        let orchestrator = &mut self.orchestrator;
        if orchestrator.is_busy() || orchestrator.is_finishing() || orchestrator.coordinators.is_none() {
            return;
        }
        orchestrator.journal.is_finishing = true;
        self.see(&Observation::RunEnded);
        self.orchestrator
            .coordinators
            .iter_mut()
            .flatten()
            .for_each(|coordinator| coordinator.finish(self.now));
        self.settle();
    }

    /// The process dies; the workers are told at once, or find out.
    pub(super) fn crash(&mut self, is_told: bool) {
        let is_over = self.orchestrator.is_finishing();
        if is_over || self.orchestrator.coordinators.take().is_none() {
            return;
        }
        self.is_calm = false;
        self.orchestrator.repetition = None;
        self.orchestrator.waits = [None; 2];
        self.see(&Observation::CoordinatorsGone);
        self.wires.iter_mut().filter(|wire| wire.dialer_open).for_each(|wire| wire.close_dialer(is_told));
        self.settle();
    }

    /// Another process takes over.
    pub(super) fn resume(&mut self) {
        if self.orchestrator.coordinators.is_some() {
            return;
        }
        self.orchestrator.journal.incarnation += 1;
        self.orchestrator.start(self.now);
        self.hosts.iter_mut().for_each(|host| host.is_dismissed = false);
        let Orchestrator { coordinators, journal, repetition, .. } = &mut self.orchestrator;
        if let Some([servers, clients]) = coordinators
            && journal.phase != RepetitionPhase::Over
        {
            let takeover = Takeover {
                phase: journal.phase,
                has_failed: journal.has_failed,
                servers: journal.memories[0].clone(),
                clients: journal.memories[1].clone(),
            };
            let taken = Repetition::take_over(journal.number, 0, &takeover, servers, clients, self.now);
            *repetition = Some(taken);
        }
        self.settle();
    }

    /// Takes the repetition as far as it goes; whether it has moved.
    pub(super) fn advance(&mut self) -> bool {
        let Orchestrator {
            coordinators: Some([servers, clients]),
            repetition: Some(repetition),
            journal,
            phases: seen,
            ..
        } = &mut self.orchestrator
        else {
            return false;
        };
        if journal.is_finishing {
            return false;
        }
        let before = repetition.phase();
        let phases = repetition.advance(servers, clients, self.now);
        seen.extend(phases);
        journal.phase = repetition.phase();
        journal.phase != before
    }

    /// The phases that the repetition has entered are seen after what the coordinators have said of it: it asks
    /// them what they have reached before they are asked to say so.
    pub(super) fn see_phases(&mut self) {
        for phase in std::mem::take(&mut self.orchestrator.phases) {
            self.see(&Observation::Phase(phase));
            if phase == RepetitionPhase::Over {
                self.check_over();
            }
        }
    }

    /// Without a failure every program has come to its right end, and in its window there was silence.
    fn check_over(&mut self) {
        if self.orchestrator.journal.has_failed {
            return;
        }
        let Some([servers, clients]) = &self.orchestrator.coordinators else { return };
        for peer in servers.peers() {
            assert!(matches!(peer.ending, Some(Ending::Stopped(_))), "a server: {:?}", peer.ending);
            assert_eq!(peer.stage, Stage::Released);
        }
        for peer in clients.peers() {
            let exit = match peer.ending {
                Some(Ending::Exited(outcome)) => Some(outcome.exit),
                Some(Ending::NotStarted | Ending::StartFailed(_) | Ending::Stopped(_)) | None => None,
            };
            assert_eq!(
                (exit, peer.stage),
                (Some(Exit::Code(0)), Stage::Released),
                "a client: {:?}",
                peer.ending
            );
        }
        if let Some(quiet) = Repetition::quiet(servers, clients).filter(|_| self.is_calm) {
            assert_eq!((quiet.coordinators.bytes, quiet.clients.bytes), (0, 0), "bytes in the quiet window");
        }
    }
}
