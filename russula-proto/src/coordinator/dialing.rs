//! The way to a worker: dialing, back-off, and giving up.

use super::peer::Connection;
use super::{Coordinator, Event, Failure, Output, PeerError};
use crate::identity::Identity;
use crate::link::Link;
use crate::noise::Entropy;
use crate::time::Timestamp;
use crate::wire::{Hello, Stage};

impl Coordinator {
    pub(super) fn dial(&mut self, index: usize, now: Timestamp) {
        self.peers[index].connection = Connection::Dialing;
        self.dials += 1;
        self.set_timer(index, now + self.config.limits.attempt);
        self.outputs.push_back(Output::Dial(index));
    }

    /// The socket is connected: begins the handshake.
    pub(super) fn greet(&mut self, index: usize, entropy: Entropy) {
        if matches!(self.peers[index].connection, Connection::Dialing) {
            let link = Link::dialed(&self.config.key, &self.identity(index), entropy);
            self.peers[index].open(link);
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    /// Says who is dialing, once the worker has shown that it has the key.
    pub(super) fn say_hello(&mut self, index: usize) {
        let epoch = (u64::from(self.config.incarnation) << 32) + self.dials;
        let (session, work) = (self.config.session, self.config.work);
        if self.peers[index].say_hello(|ticket| Hello { session, epoch, ticket, work }) {
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    fn identity(&self, index: usize) -> Identity {
        Identity {
            run: self.config.run.clone(),
            group: self.config.group,
            index: u16::try_from(index).expect("the group has at most 65,535 workers"),
        }
    }

    /// The connection, or the attempt to make one, has come to nothing: dials again later, or gives up.
    pub(super) fn disconnect(&mut self, index: usize, error: PeerError, now: Timestamp) {
        if matches!(self.peers[index].connection, Connection::Down | Connection::Gone) {
            return;
        }
        self.outputs.push_back(Output::Close(index));
        self.peers[index].lose(&self.config.limits, now);
        self.end_question(index, now);
        let known = self.peers[index].welcome.is_some();
        if self.peers[index].is_dismissed || self.finishing.is_some() && !known {
            return self.give_up(index);
        }
        if self.peers[index].ending.is_some() {
            // Nothing more is wanted of this worker in this repetition, and it may never come back.
            self.set_stage(index, Stage::Released);
        }
        self.peers[index].last_error = Some(error.clone());
        self.event(Event::Disconnected(index, error.clone()));
        if known && now.since(self.peers[index].since) >= self.config.limits.reconnect {
            return self.reject(index, Failure::Lost { index, error });
        }
        self.lot = next_lot(self.lot);
        let lot = self.lot;
        let delay = self.peers[index].back_off(&self.config.limits, lot);
        self.set_timer(index, now + delay);
    }

    pub(super) fn handle_peer_timeout(&mut self, index: usize, now: Timestamp) {
        match self.peers[index].connection {
            Connection::Down => self.dial(index, now),
            Connection::Dialing | Connection::Greeting(_) => {
                self.disconnect(index, PeerError::NoAnswer, now);
            }
            Connection::Up(_) | Connection::Gone => {}
        }
    }

    /// Gives a worker up for a fault that dialing again does not mend, and the repetition with it.
    pub(super) fn reject(&mut self, index: usize, failure: Failure) {
        self.peers[index].last_error = Some(failure.peer_error());
        self.give_up(index);
        self.fail(failure);
    }

    /// Gives a worker up, and tells it that the run is over for it as long as there is a connection.
    pub(super) fn dismiss(&mut self, index: usize) {
        if !self.peers[index].say_finish() {
            return self.give_up(index);
        }
        self.outputs.push_back(Output::Transmit(index));
        self.clear_timer(index);
        self.leave(index);
        self.peers[index].is_dismissed = true;
    }

    pub(super) fn give_up(&mut self, index: usize) {
        if matches!(self.peers[index].connection, Connection::Gone) {
            return;
        }
        self.clear_timer(index);
        self.questions.forget(index);
        if !self.peers[index].is_dismissed {
            self.leave(index);
        }
        if !matches!(self.peers[index].connection, Connection::Down) {
            self.outputs.push_back(Output::Close(index));
        }
        self.peers[index].connection = Connection::Gone;
        self.open -= 1;
    }

    /// Nothing is expected of the worker any more.
    fn leave(&mut self, index: usize) {
        self.census[self.peers[index].stage as usize] -= 1;
    }

    fn set_timer(&mut self, index: usize, at: Timestamp) {
        self.clear_timer(index);
        self.peers[index].timer = Some(at);
        self.schedule.insert(at, index);
    }

    pub(super) fn clear_timer(&mut self, index: usize) {
        if let Some(at) = self.peers[index].timer.take() {
            self.schedule.remove(at, index);
        }
    }
}

/// The next number of a xorshift sequence; the jitter needs no better one.
fn next_lot(mut lot: u64) -> u64 {
    lot ^= lot << 13;
    lot ^= lot >> 7;
    lot ^= lot << 17;
    lot
}
