//! What the orchestrator writes down before anything follows from it. It survives the process and its host.

use russula_proto::{Coordinator, Failure, Group, Memory, RepetitionPhase, Takeover};
use std::cell::Cell;

/// The disk of the orchestrator.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// How many processes there were before; the one that runs counts itself when it begins.
    pub(super) processes: u32,
    pub(super) repetition: Option<Begun>,
    /// The user has ended the run.
    pub(super) has_ended: bool,
    /// Something was written that may not be on the disk yet.
    is_dirty: Cell<bool>,
}

/// A repetition that was begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) number: u32,
    pub(super) phase: RepetitionPhase,
    pub(super) failure: Option<Failure>,
    pub(super) gave_up: bool,
    servers: Vec<Option<Memory>>,
    clients: Vec<Option<Memory>>,
}

impl Begun {
    /// What another process needs to go on from here.
    pub(super) fn takeover(&self) -> Takeover {
        Takeover {
            phase: self.phase,
            has_failed: self.gave_up || self.failure.is_some(),
            servers: self.servers.clone(),
            clients: self.clients.clone(),
        }
    }
}

impl Journal {
    /// The repetition that was begun last, and whether it is over.
    pub(super) fn newest(&self) -> (u32, bool) {
        let newest = self.repetition.as_ref();
        newest.map_or((0, true), |begun| (begun.number, begun.phase == RepetitionPhase::Over))
    }

    /// Whether the user has interrupted the repetition.
    pub(super) fn gave_up(&self) -> bool {
        self.repetition.as_ref().is_some_and(|begun| begun.gave_up)
    }

    /// Whether something was written since this was asked last.
    pub(super) fn take_dirty(&self) -> bool {
        self.is_dirty.take()
    }

    pub(super) fn write_begin(&mut self, number: u32, servers: &Coordinator, clients: &Coordinator) {
        self.repetition = Some(Begun {
            number,
            phase: RepetitionPhase::Preparing,
            failure: None,
            gave_up: false,
            servers: servers.memories().collect(),
            clients: clients.memories().collect(),
        });
        self.is_dirty.set(true);
    }

    pub(super) fn write_phase(&mut self, phase: RepetitionPhase) {
        self.write(|begun| begun.phase = phase);
    }

    pub(super) fn write_failure(&mut self, failure: &Failure) {
        self.write(|begun| _ = begun.failure.get_or_insert_with(|| failure.clone()));
    }

    pub(super) fn write_interrupt(&mut self) {
        self.write(|begun| begun.gave_up = true);
    }

    /// A worker was heard for the first time, or again.
    pub(super) fn write_memories(&mut self, coordinator: &Coordinator) {
        self.write(|begun| {
            let known = match coordinator.group() {
                Group::Server => &mut begun.servers,
                Group::Client => &mut begun.clients,
                Group::Probe => return,
            };
            for (known, memory) in known.iter_mut().zip(coordinator.memories()) {
                *known = memory.or(*known);
            }
        });
    }

    pub(super) fn write_end(&mut self) {
        self.has_ended = true;
        self.is_dirty.set(true);
    }

    fn write(&mut self, change: impl FnOnce(&mut Begun)) {
        if let Some(begun) = &mut self.repetition {
            change(begun);
            self.is_dirty.set(true);
        }
    }
}
