//! What a worker is told: where it should be, the questions for its clock, and that the run is over.

use super::{Coordinator, Output};
use crate::time::Timestamp;
use crate::wire::{Goal, Target};

impl Coordinator {
    /// Says to a worker what is to be said, if its connection has room.
    pub(super) fn tell(&mut self, index: usize, now: Timestamp) {
        let finishing = self.finishing.is_some() || self.peers[index].is_dismissed;
        // A worker whose ending has arrived may forget it, whatever the others do.
        let target = match self.peers[index].ending {
            Some(_) => Target::Release,
            None => self.workflow.target(),
        };
        let clock = self.peers[index].clock.best();
        let start_at = self.start_at.filter(|_| target == Target::Run);
        let start_at = start_at.zip(clock).map(|(at, clock)| clock.to_worker(at));
        let goal = Goal { repetition: self.repetition, program: self.program, target, start_at };
        let peer = &mut self.peers[index];
        let queued = if finishing {
            peer.say_finish()
        } else if self.repetition > 0 && peer.say(goal) {
            true
        } else {
            target == Target::Ready && self.ask_clock(index, now)
        };
        if queued {
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    pub(super) fn tell_everyone(&mut self, now: Timestamp) {
        for index in 0..self.peers.len() {
            self.tell(index, now);
        }
    }
}
