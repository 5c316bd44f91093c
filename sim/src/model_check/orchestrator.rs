//! What a runner does: it drives the coordinators, dies, and is replaced.

use super::mutation::Mutation;
use super::world::{REPETITION, Side, World};
use russula_proto::{Milestone, Repetition, RepetitionPhase, Takeover};

impl World {
    /// What a runner does; returns whether it did something.
    pub(super) fn orchestrate(&mut self) -> bool {
        if let (Some(repetition), [servers, clients]) = (&mut self.repetition, &mut self.sides[..]) {
            let phases: Vec<RepetitionPhase> =
                repetition.advance(&mut servers.coordinator, &mut clients.coordinator, self.now).collect();
            let is_over = repetition.phase() == RepetitionPhase::Over;
            return !phases.is_empty() | self.finish_if(is_over);
        }
        let reached = self.sides[0].coordinator.reached();
        if reached == Some(Milestone::WorkersRunning) && self.asked < Milestone::Done {
            self.asked = Milestone::Done;
            self.sides[0].coordinator.run_till(Milestone::Done, self.now);
            return true;
        }
        self.finish_if(reached == Some(Milestone::Done))
    }

    fn finish_if(&mut self, is_over: bool) -> bool {
        if !is_over || self.is_finishing {
            return false;
        }
        self.is_finishing = true;
        for side in &mut self.sides {
            side.coordinator.finish(self.now);
        }
        true
    }

    /// The coordinators' process dies, and another takes over. It was killed while it was at rest, so whatever is
    /// known had been written down.
    pub(super) fn replace_coordinators(&mut self) {
        let takeover = self.takeover();
        let is_blind = self.mutation == Mutation::TakesOverBlindly;
        let asked = if is_blind { self.setup.first_milestone() } else { self.asked };
        self.sides.iter_mut().for_each(|side| side.replace_coordinator(self.now));
        match &mut self.sides[..] {
            // Nothing is left to be taken over; only the workers may still be there.
            sides if self.is_finishing => {
                sides.iter_mut().for_each(|side| side.coordinator.finish(self.now));
            }
            [servers, clients] => {
                let (servers, clients) = (&mut servers.coordinator, &mut clients.coordinator);
                let taken = Repetition::take_over(REPETITION, 0, &takeover, servers, clients, self.now);
                self.repetition = Some(taken);
            }
            sides => sides.iter_mut().for_each(|side| {
                side.coordinator.take_over(REPETITION, 0, Some(asked), &takeover.servers, self.now);
                if takeover.has_failed {
                    side.coordinator.abort(self.now);
                }
            }),
        }
    }

    /// What the process has written down.
    fn takeover(&self) -> Takeover {
        let is_blind = self.mutation == Mutation::TakesOverBlindly;
        let memories = |side: &Side| -> Vec<_> {
            side.coordinator.memories().map(|memory| memory.filter(|_| !is_blind)).collect()
        };
        let phase = self.repetition.as_ref().filter(|_| !is_blind).map(Repetition::phase);
        let phase = phase.unwrap_or(RepetitionPhase::Preparing);
        let clients = self.sides.get(1).map(memories).unwrap_or_default();
        Takeover { phase, has_failed: self.has_failed, servers: memories(&self.sides[0]), clients }
    }

    /// The user gives the repetition up.
    pub(super) fn abort(&mut self) {
        self.has_failed = true;
        match &mut self.repetition {
            Some(repetition) => repetition.give_up(),
            None => self.sides.iter_mut().for_each(|side| side.coordinator.abort(self.now)),
        }
    }
}
