//! One worker as its coordinator sees it.

use super::{CoordinatorLimits, PeerError};
use crate::link::Link;
use crate::outcome::Ending;
use crate::time::Timestamp;
use crate::wire::{CoordinatorMessage, Goal, Hello, Stage, Welcome};
use core::time::Duration;

/// The state of the connection to a worker.
#[derive(Debug)]
pub(super) enum Connection {
    /// There is none; the peer's timer says when to dial.
    Down,
    /// Being dialed; the timer says until when.
    Dialing,
    /// Dialed; the worker has not answered the `Hello` yet; the timer says until when.
    Greeting(Link),
    /// The worker has answered.
    Up(Link),
    /// Given up, or finished.
    Gone,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: Connection,
    /// How far the worker is in this repetition, as far as it was heard.
    pub(super) stage: Stage,
    pub(super) ending: Option<Ending>,
    pub(super) welcome: Option<Welcome>,
    pub(super) last_contact: Option<Timestamp>,
    pub(super) last_error: Option<PeerError>,
    /// Given up while there was a connection, over which it hears that the run is over for it.
    pub(super) is_dismissed: bool,
    /// Since when there is no connection.
    pub(super) down_since: Timestamp,
    /// The one timer of this peer, as it stands in the coordinator's schedule.
    pub(super) timer: Option<Timestamp>,
    attempts: u32,
    /// The newest goal that was sent over this connection.
    said: Option<Goal>,
    finish_said: bool,
}

impl Peer {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            connection: Connection::Down,
            stage: Stage::Idle,
            ending: None,
            welcome: None,
            last_contact: None,
            last_error: None,
            is_dismissed: false,
            down_since: now,
            timer: None,
            attempts: 0,
            said: None,
            finish_said: false,
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        match &self.connection {
            Connection::Greeting(link) | Connection::Up(link) => Some(link),
            Connection::Down | Connection::Dialing | Connection::Gone => None,
        }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.connection {
            Connection::Greeting(link) | Connection::Up(link) => Some(link),
            Connection::Down | Connection::Dialing | Connection::Gone => None,
        }
    }

    /// Nothing is expected of this worker any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_dismissed || matches!(self.connection, Connection::Gone)
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.connection, Connection::Up(_))
    }

    /// The socket is connected: opens the exchange.
    pub(super) fn open(&mut self, hello: Hello) {
        let mut link = Link::dialed();
        link.send(&CoordinatorMessage::Hello(hello));
        self.connection = Connection::Greeting(link);
        self.said = None;
        self.finish_said = false;
    }

    /// The worker has answered; returns whether it is another process than before.
    pub(super) fn welcome(&mut self, welcome: Welcome) -> bool {
        let restarted = self.welcome.as_ref().is_some_and(|known| known.session != welcome.session);
        self.welcome = Some(welcome);
        self.attempts = 0;
        if let Connection::Greeting(link) = core::mem::replace(&mut self.connection, Connection::Down) {
            self.connection = Connection::Up(link);
        }
        restarted
    }

    /// Queues `goal` unless it was said already; returns whether there is something to transmit.
    pub(super) fn say(&mut self, goal: Goal) -> bool {
        let said = self.said;
        let Connection::Up(link) = &mut self.connection else { return false };
        if said == Some(goal) || !link.is_flushed() {
            return false;
        }
        link.send(&CoordinatorMessage::Goal(goal));
        self.said = Some(goal);
        true
    }

    /// Queues the end of the run; returns whether there is something to transmit.
    pub(super) fn say_finish(&mut self) -> bool {
        let Connection::Up(link) = &mut self.connection else { return false };
        if self.finish_said || !link.is_flushed() {
            return false;
        }
        link.send(&CoordinatorMessage::Finish);
        self.finish_said = true;
        true
    }

    /// The delay before the next attempt: doubled each time, and half of it drawn by lot so that many
    /// coordinators' peers do not dial in step. `lot` is any random number.
    pub(super) fn back_off(&mut self, limits: &CoordinatorLimits, lot: u64) -> Duration {
        let doubled = limits.backoff_min.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        let delay = doubled.min(limits.backoff_max);
        let half = u64::try_from(delay.as_micros() / 2).unwrap_or(u64::MAX - 1);
        Duration::from_micros(half + lot % (half + 1))
    }

    pub(super) fn begin_repetition(&mut self) {
        self.stage = Stage::Idle;
        self.ending = None;
    }
}
