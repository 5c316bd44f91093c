//! The process of the coordinators: what it writes down, how it dies, and how another one takes over.

use super::network::WireId;
use super::settle::both;
use super::{GroupOptions, Kind, Side, Speaker, World};
use crate::model::{End, Observation};
use russula_proto::{
    Coordinator, CoordinatorConfig, Failure, Group, Memory, Repetition, RepetitionPhase, Takeover,
};

/// The number that tells this session from others, in every world.
const SESSION: u64 = 1;

/// How a process ends that does not want to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is killed; its system closes its sockets, and what was sent arrives.
    Killed,
    /// Its host loses its power: nobody is told.
    PowerLost,
}

/// What the orchestrator has on its disk. It is written before anything follows from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// How many processes there were before.
    incarnation: u32,
    repetition: Option<Begun>,
    /// The user has ended the run.
    pub(super) has_ended: bool,
    /// There is no process at the moment.
    pub(super) is_down: bool,
    /// This process has still to end the run, which the one before it was told to.
    end_is_due: bool,
}

/// A repetition that was begun.
#[derive(Clone, Debug)]
struct Begun {
    number: u32,
    program: u16,
    phase: RepetitionPhase,
    failure: Option<Failure>,
    gave_up: bool,
    servers: Vec<Option<Memory>>,
    clients: Vec<Option<Memory>>,
}

impl World {
    // --- what is written down ---

    pub(super) fn write_begin(&mut self, number: u32, program: u16) {
        let (servers, clients) = (self.memories(Group::Server), self.memories(Group::Client));
        let phase = RepetitionPhase::Preparing;
        let begun = Begun { number, program, phase, failure: None, gave_up: false, servers, clients };
        self.journal.repetition = Some(begun);
    }

    pub(super) fn write_phase(&mut self, phase: RepetitionPhase) {
        if let Some(begun) = &mut self.journal.repetition {
            begun.phase = phase;
        }
    }

    pub(super) fn write_failure(&mut self, failure: &Failure) {
        if let Some(begun) = &mut self.journal.repetition {
            begun.failure.get_or_insert_with(|| failure.clone());
        }
    }

    pub(super) fn write_interrupt(&mut self) {
        if let Some(begun) = &mut self.journal.repetition {
            begun.gave_up = true;
        }
    }

    /// A worker was heard for the first time, or again.
    pub(super) fn write_memories(&mut self, group: Group) {
        if self.journal.repetition.is_none() {
            return;
        }
        let memories = self.memories(group);
        if let Some(begun) = &mut self.journal.repetition {
            let known = match group {
                Group::Server => &mut begun.servers,
                Group::Client => &mut begun.clients,
                Group::Probe => return,
            };
            for (known, memory) in known.iter_mut().zip(memories) {
                *known = memory.or(*known);
            }
        }
    }

    fn memories(&self, group: Group) -> Vec<Option<Memory>> {
        self.sides[group as usize].as_ref().map_or(vec![], |side| side.coordinator.memories().collect())
    }

    // --- what can be read there ---

    /// Where the repetition over both groups is.
    pub fn phase(&self) -> Option<RepetitionPhase> {
        self.journal.repetition.as_ref().map(|begun| begun.phase)
    }

    /// The first failure of the repetition, of whichever group.
    pub fn failure(&self) -> Option<&Failure> {
        let failed = self.sides.iter().flatten().find_map(|side| side.coordinator.failure());
        self.journal.repetition.as_ref().and_then(|begun| begun.failure.as_ref()).or(failed)
    }

    /// Whether the user has interrupted the repetition.
    pub fn gave_up(&self) -> bool {
        self.journal.repetition.as_ref().is_some_and(|begun| begun.gave_up)
    }

    // --- how it dies and comes back ---

    /// The process of the coordinators dies.
    pub fn crash_orchestrator(&mut self, death: Death) {
        if std::mem::replace(&mut self.journal.is_down, true) {
            return;
        }
        self.note(Observation::CoordinatorsGone);
        self.repetition = None;
        for side in self.sides.iter_mut().flatten() {
            side.wait = None;
            side.dials.fill(None);
            side.announced.clear();
        }
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wire(wire).stranger.is_none() {
                match death {
                    Death::Killed => self.close_end(wire, End::Dialer),
                    Death::PowerLost => self.wire(wire).end(End::Dialer).is_open = false,
                }
            }
        }
        self.settle();
    }

    /// Another process takes the run over, with what the one before it has written down.
    pub fn resume_orchestrator(&mut self) {
        if !std::mem::replace(&mut self.journal.is_down, false) {
            return;
        }
        self.say(Speaker::Orchestrator, Kind::Event, || "another process takes the run over".into());
        self.journal.incarnation += 1;
        self.journal.end_is_due = self.journal.has_ended;
        let now = self.orchestrator_now();
        for group in Group::ALL {
            let Some(side) = &self.sides[group as usize] else { continue };
            let config = self.config(group, &side.options);
            let side = self.side_mut(group);
            side.coordinator = Coordinator::new(config, now);
            side.hosts.iter_mut().for_each(|host| host.is_dismissed = false);
            self.touch_coordinator(group);
        }
        if let Some(begun) = self.journal.repetition.clone()
            && begun.phase != RepetitionPhase::Over
        {
            let has_failed = begun.gave_up || begun.failure.is_some();
            let Begun { number, program, phase, servers, clients, .. } = begun;
            let takeover = Takeover { phase, has_failed, servers, clients };
            let (servers, clients) = both(&mut self.sides);
            let repetition = Repetition::take_over(number, program, &takeover, servers, clients, now);
            self.repetition = Some(repetition);
        }
        self.settle();
    }

    /// A process that takes over a run that was ended ends it once it has found the workers.
    pub(super) fn end_what_was_ended(&mut self) {
        if !self.journal.end_is_due || self.journal.is_down {
            return;
        }
        let mut peers = self.sides.iter().flatten().flat_map(|side| side.coordinator.peers());
        let are_found = peers.all(|peer| peer.is_connected || peer.is_given_up);
        drop(peers);
        if are_found {
            self.journal.end_is_due = false;
            self.finish();
        }
    }

    pub(super) fn config(&self, group: Group, options: &GroupOptions) -> CoordinatorConfig {
        CoordinatorConfig {
            run: options.run.parse().expect("a world's run id is valid"),
            group,
            workers: options.workers,
            limits: options.coordinator,
            key: self.key(),
            session: SESSION,
            incarnation: self.journal.incarnation,
            work: None,
        }
    }

    pub(super) fn new_side(&self, group: Group, options: &GroupOptions) -> Side {
        let config = self.config(group, options);
        let hosts = (0..options.workers).map(|index| self.new_host(group, index, options)).collect();
        Side {
            coordinator: Coordinator::new(config, self.orchestrator_now()),
            options: options.clone(),
            hosts,
            dials: vec![None; usize::from(options.workers)],
            announced: vec![],
            wait: None,
        }
    }
}
