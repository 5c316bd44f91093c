//! How inputs reach the machines, and how everything that follows from them comes to rest.

use super::{Breach, HostId, Kind, MachineId, Promise, Side, Speaker, World};
use crate::model::Observation;
use russula_proto::{Coordinator, Group, Timestamp, Worker};

impl World {
    // --- inputs ---

    /// Passes an input that may be repeated to a coordinator, so often as the test wants.
    pub(super) fn tell_coordinator(&mut self, group: Group, act: impl Fn(&mut Coordinator, Timestamp)) {
        let now = self.orchestrator_now();
        for _ in 0..self.times {
            if !self.journal.is_down {
                act(&mut self.side_mut(group).coordinator, now);
                self.drain_coordinator(group);
                self.advance_is_due = true;
            }
        }
    }

    /// Passes an input that may be repeated to a worker, if there is one.
    pub(super) fn tell_worker(&mut self, id: HostId, act: impl Fn(&mut Worker, Timestamp)) {
        let now = self.host_now(id);
        for _ in 0..self.times {
            if let Some(worker) = &mut self.host_mut(id).worker {
                act(worker, now);
            }
            self.drain_worker(id);
        }
    }

    pub(super) fn touch_coordinator(&mut self, group: Group) {
        self.advance_is_due = true;
        self.touch(MachineId { group, index: None });
    }

    pub(super) fn touch_worker(&mut self, id: HostId) {
        self.touch(MachineId { group: id.group, index: Some(id.index) });
    }

    pub(super) fn touch(&mut self, machine: MachineId) {
        if !self.touched.contains(&machine) {
            self.touched.push(machine);
        }
    }

    // --- rest ---

    /// Drains every machine that may have something to say, and takes the repetition as far as it goes.
    pub(super) fn settle(&mut self) {
        while !self.touched.is_empty() || self.advance_is_due {
            let mut touched = std::mem::take(&mut self.touched);
            touched.sort_unstable();
            for machine in &touched {
                self.drain(*machine);
            }
            if self.touched.is_empty() {
                touched.clear();
                self.touched = touched;
            }
            if std::mem::take(&mut self.advance_is_due) {
                self.end_what_was_ended();
                self.advance();
            }
        }
    }

    /// Takes the repetition as far as the groups have come, and does what the coordinators say to that.
    pub(super) fn advance(&mut self) {
        let now = self.orchestrator_now();
        let Some(repetition) = &mut self.repetition else { return };
        let (servers, clients) = both(&mut self.sides);
        let before = repetition.phase();
        let phases: Vec<_> = repetition.advance(servers, clients, now).collect();
        if repetition.phase() != before {
            for phase in phases.clone() {
                self.write_phase(phase);
                self.say(Speaker::Repetition, Kind::Event, || format!("{phase:?}"));
            }
            self.touch_coordinator(Group::Server);
            self.touch_coordinator(Group::Client);
        }
        for group in [Group::Server, Group::Client] {
            self.drain_coordinator(group);
        }
        // What they have reached comes before what follows from it.
        for phase in phases {
            self.note(Observation::Phase(phase));
        }
    }

    pub(super) fn note(&mut self, observation: Observation) {
        self.history.push((self.now, observation));
    }

    /// Something does not hold of the caller's contract.
    pub(super) fn breach(&mut self, promise: Promise, text: impl FnOnce() -> String) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(Breach { at: self.now, promise, text: text() });
        }
    }
}

/// The coordinators of a repetition: of the servers, and of the clients.
pub(super) fn both(sides: &mut [Option<Side>; Group::ALL.len()]) -> (&mut Coordinator, &mut Coordinator) {
    // In the order of `Group`.
    let [Some(servers), Some(clients), _] = sides else { panic!("a repetition has servers and clients") };
    (&mut servers.coordinator, &mut clients.coordinator)
}

/// Most breaches that are kept.
const BREACHES_MAX: usize = 10;
