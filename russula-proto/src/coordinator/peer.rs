//! One worker as its coordinator sees it.

use super::clocks::Measurement;
use super::{CoordinatorLimits, PeerError};
use crate::link::Link;
use crate::outcome::Ending;
use crate::quiet::{KernelCheck, Quiet};
use crate::time::Timestamp;
use crate::wire::{CoordinatorMessage, Goal, Hello, Memory, Stage, Welcome};
use alloc::boxed::Box;
use core::time::Duration;

/// The state of the connection to a worker.
#[derive(Debug)]
pub(super) enum Connection {
    /// There is none; the peer's timer says when to dial.
    Down,
    /// Being dialed; the timer says until when.
    Dialing,
    /// Dialed; the worker has not answered the `Hello` yet; the timer says until when.
    Greeting(Box<Link>),
    /// The worker has answered.
    Up(Box<Link>),
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
    /// What the worker remembered when it last had something to do in this repetition; as a process that died knew it,
    /// if that one began the repetition.
    pub(super) memory: Option<Memory>,
    pub(super) last_contact: Option<Timestamp>,
    pub(super) last_error: Option<PeerError>,
    /// Given up while there was a connection, over which it hears that the run is over for it.
    pub(super) is_dismissed: bool,
    /// It has confirmed that the run is over.
    pub(super) has_left: bool,
    /// Since when there is no connection, or since when there is one.
    pub(super) since: Timestamp,
    /// The one timer of this peer, as it stands in the coordinator's schedule.
    pub(super) timer: Option<Timestamp>,
    pub(super) clock: Measurement,
    /// When its program ran, on its own clock.
    pub(super) started_at: Option<Timestamp>,
    /// How quiet it was for the worker.
    pub(super) quiet: Option<Quiet>,
    pub(super) kernel_checks: [KernelCheck; 2],
    pub(super) attempts: u32,
    /// The newest goal that was sent over this connection.
    pub(super) said: Option<Goal>,
    pub(super) hello_said: bool,
    pub(super) finish_said: bool,
}

impl Peer {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            connection: Connection::Down,
            stage: Stage::Idle,
            ending: None,
            welcome: None,
            memory: None,
            last_contact: None,
            last_error: None,
            is_dismissed: false,
            has_left: false,
            since: now,
            timer: None,
            clock: Measurement::default(),
            started_at: None,
            quiet: None,
            kernel_checks: Default::default(),
            attempts: 0,
            said: None,
            hello_said: false,
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

    /// The socket is connected: begins the handshake.
    pub(super) fn open(&mut self, link: Link) {
        self.connection = Connection::Greeting(Box::new(link));
        self.said = None;
        self.hello_said = false;
        self.finish_said = false;
        self.clock.forget_question();
    }

    /// Opens the exchange once the handshake is done; returns whether there is something to transmit.
    pub(super) fn say_hello(&mut self, hello: impl FnOnce(u64) -> Hello) -> bool {
        let Connection::Greeting(link) = &mut self.connection else { return false };
        if self.hello_said || !link.is_open() {
            return false;
        }
        let hello = hello(link.ticket());
        link.send(&CoordinatorMessage::Hello(hello));
        self.hello_said = true;
        true
    }

    /// The worker has answered; returns whether it has forgotten what it did before.
    pub(super) fn welcome(&mut self, welcome: Welcome, now: Timestamp) -> bool {
        let has_forgotten = self.memory.is_some_and(|known| known != welcome.memory);
        // Who is restarted after its end had no part in this repetition: another process that takes over has to know
        // it from the one that had.
        if self.stage < Stage::Ended {
            self.memory = Some(welcome.memory);
        }
        self.welcome = Some(welcome);
        self.since = now;
        if let Connection::Greeting(link) = core::mem::replace(&mut self.connection, Connection::Down) {
            self.connection = Connection::Up(link);
        }
        has_forgotten
    }

    /// The connection is gone. One that has lasted for a while was a good one, and dialing begins anew.
    pub(super) fn lose(&mut self, limits: &CoordinatorLimits, now: Timestamp) {
        if self.is_up() {
            if now.since(self.since) >= limits.backoff_max {
                self.attempts = 0;
            }
            self.since = now;
        }
        self.connection = Connection::Down;
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

    /// Whether a question for the worker's clock is due, and there is room for it.
    pub(super) fn is_to_be_asked(&self) -> bool {
        let Connection::Up(link) = &self.connection else { return false };
        self.clock.is_due() && link.is_flushed()
    }

    /// Queues the question for the worker's clock.
    pub(super) fn ask_clock(&mut self, number: u32, now: Timestamp) {
        if let Connection::Up(link) = &mut self.connection {
            link.send(&CoordinatorMessage::ReadClock(number));
            self.clock.ask(number, now);
        }
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

    pub(super) fn begin_repetition(&mut self, clock_exchanges: u8) {
        self.memory = self.welcome.as_ref().map(|welcome| welcome.memory).or(self.memory);
        self.stage = Stage::Idle;
        self.ending = None;
        self.started_at = None;
        self.quiet = None;
        self.kernel_checks = Default::default();
        self.clock = Measurement::begin(clock_exchanges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::size_of;
    use snow::TransportState;
    use std::println;

    /// What is on the heap beside these (the text of an outcome, the last error, a version) has its limits by
    /// [`Text`](crate::Text), about 5 KiB in all; `tests/cost.rs` measures the whole.
    #[test]
    fn a_worker_takes_little_memory() {
        let (peer, link, noise) = (size_of::<Peer>(), size_of::<Link>(), size_of::<TransportState>());
        println!("a worker: {peer} bytes, its link {link}, the state of its cipher {noise}");
        assert!(peer + link + noise <= 1536, "{peer} + {link} + {noise} bytes");
    }
}
