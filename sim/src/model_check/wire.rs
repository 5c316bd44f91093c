//! A connection in the model: two streams, cut where one message ends and the next begins.

use russula_proto::ConnectionId;
use russula_proto::Timestamp;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use russula_proto::wire::{
    self, ClockReading, CoordinatorMessage, Goal, Hello, LENGTH_PREFIX_LEN, Report, WorkerMessage,
};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

#[derive(Debug)]
pub(super) struct Wire {
    /// By which the worker knows it.
    pub(super) socket: ConnectionId,
    pub(super) is_dialer_open: bool,
    pub(super) is_worker_open: bool,
    pub(super) to_worker: Stream,
    pub(super) to_dialer: Stream,
}

/// Whole messages that are under way, oldest first.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) messages: VecDeque<Vec<u8>>,
    /// Length of the handshake message that has to come first, until it came.
    handshake_len: Option<usize>,
}

impl Wire {
    pub(super) fn new(socket: ConnectionId) -> Self {
        let stream = |len| Stream { messages: VecDeque::new(), handshake_len: Some(len) };
        Self {
            socket,
            is_dialer_open: true,
            is_worker_open: true,
            to_worker: stream(REQUEST_LEN),
            to_dialer: stream(RESPONSE_LEN),
        }
    }

    /// What is under way from there still arrives; what is under way to there does not.
    pub(super) fn close_dialer(&mut self) {
        self.is_dialer_open = false;
        self.to_dialer.messages.clear();
    }

    /// As [`Self::close_dialer`], at the other end.
    pub(super) fn close_worker(&mut self) {
        self.is_worker_open = false;
        self.to_worker.messages.clear();
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_dialer_open || self.is_worker_open
    }

    /// What decides about what will be heard, without the readings of clocks and the counters in it. The worker has
    /// heard of connections up to `newest_epoch`.
    pub(super) fn hash_state(&self, newest_epoch: u64, hasher: &mut impl Hasher) {
        (self.is_dialer_open, self.is_worker_open).hash(hasher);
        for message in &self.to_worker.messages {
            let timeless = |message| timeless_order(message, newest_epoch);
            decoded(message).map(timeless).map(|message| wire::encode(&message)).hash(hasher);
        }
        0xff_u8.hash(hasher);
        for message in &self.to_dialer.messages {
            decoded(message).map(timeless_report).map(|message| wire::encode(&message)).hash(hasher);
        }
    }
}

impl Stream {
    /// What is under way does not arrive.
    pub(super) fn lose(&mut self) {
        self.messages.clear();
    }

    /// Takes what a machine has sent; machines send whole messages.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let frame_len = || LENGTH_PREFIX_LEN + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            let len = self.handshake_len.take().unwrap_or_else(frame_len);
            let (message, rest) = bytes.split_at(len);
            self.messages.push_back(message.to_vec());
            bytes = rest;
        }
    }
}

/// The message in a frame, if it is one: the primitives of the model hide nothing.
pub(super) fn decoded<M: serde::de::DeserializeOwned>(frame: &[u8]) -> Option<M> {
    wire::decode(frame.get(LENGTH_PREFIX_LEN..frame.len() - TAG_LEN)?).ok()
}

/// Of the numbers in a hello it only counts whether the worker will take it for a newer one.
fn timeless_order(message: CoordinatorMessage, newest_epoch: u64) -> CoordinatorMessage {
    match message {
        CoordinatorMessage::Hello(hello) => CoordinatorMessage::Hello(Hello {
            epoch: u64::from(hello.epoch > newest_epoch),
            ticket: 0,
            ..hello
        }),
        CoordinatorMessage::Goal(goal) => {
            CoordinatorMessage::Goal(Goal { start_at: goal.start_at.map(|_| Timestamp::ZERO), ..goal })
        }
        CoordinatorMessage::ReadClock(_) => CoordinatorMessage::ReadClock(0),
        CoordinatorMessage::Finish => CoordinatorMessage::Finish,
    }
}

fn timeless_report(message: WorkerMessage) -> WorkerMessage {
    match message {
        WorkerMessage::Report(report) => {
            WorkerMessage::Report(Report { started_at: None, quiet: None, ..report })
        }
        WorkerMessage::Clock(_) => WorkerMessage::Clock(ClockReading { exchange: 0, at: Timestamp::ZERO }),
        WorkerMessage::Welcome(_) | WorkerMessage::Refused(_) | WorkerMessage::Farewell => message,
    }
}
