//! A connection of the worker, and who is at the other end of it.

use super::INDEX;
use super::quiet::Chunk;
use crate::strangers::Differs;
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::wire::{self, CoordinatorMessage, LENGTH_PREFIX_LEN, Refusal, WorkerMessage};
use russula_proto::{Group, Link, Timestamp};
use std::collections::VecDeque;

/// What the worker should think of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Stranger,
    Attached,
    /// What it has said is out of order: nothing that it says any more counts.
    Rejected,
    /// The same, and it is told why.
    Refused(Refusal),
}

pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) standing: Standing,
    pub(super) differs: Differs,
    /// Bytes have arrived that the peer did not send.
    pub(super) is_disturbed: bool,
    /// The peer has closed its side.
    pub(super) is_ended: bool,
    /// Since when it stands so.
    pub(super) since: Timestamp,
    /// How often another coordinator had taken the worker over when this one came.
    pub(super) era: u32,
    /// Bytes that the worker wants to send.
    pub(super) is_announced: bool,
    /// What the peer has said and has not arrived: where in its stream it ends, and its length.
    under_way: VecDeque<(u64, CoordinatorMessage, usize)>,
    queued: u64,
    arrived: u64,
    taken: u64,
    noise: u64,
}

impl Connection {
    pub(super) fn new(differs: Differs, group: Group, number: u64, since: Timestamp) -> Self {
        let link =
            Link::dialed(&differs.toy_key(), &differs.identity(group, INDEX), [number as u8 & 0x7f; 32]);
        let queued = link.outgoing().len() as u64;
        Self {
            link,
            standing: Standing::Stranger,
            differs,
            is_disturbed: false,
            is_ended: false,
            since,
            era: 0,
            is_announced: false,
            under_way: VecDeque::new(),
            queued,
            arrived: 0,
            taken: 0,
            noise: 0,
        }
    }

    pub(super) fn is_attached(&self) -> bool {
        self.standing == Standing::Attached
    }

    /// Whether the worker should have verified all its bytes so far.
    pub(super) fn is_intact(&self) -> bool {
        self.differs == Differs::Nothing && !self.is_disturbed
    }

    /// Bytes in both directions.
    pub(super) fn total(&self) -> u64 {
        self.arrived + self.noise + self.taken
    }

    pub(super) fn received(&self) -> u64 {
        self.arrived + self.noise
    }

    pub(super) fn sent(&self) -> u64 {
        self.taken
    }

    pub(super) fn say(&mut self, message: CoordinatorMessage) {
        let len = LENGTH_PREFIX_LEN + wire::encode(&message).len() + russula_proto::noise::TAG_LEN;
        if self.link.is_open() && self.link.outgoing().len() + len <= MAX_OUTGOING_LEN {
            self.link.send(&message);
            self.queued += len as u64;
            self.under_way.push_back((self.queued, message, len));
        }
    }

    /// Bytes that are to arrive at the worker, and the messages that are complete with them.
    pub(super) fn give(&mut self, len: usize) -> (Vec<u8>, Vec<CoordinatorMessage>, Chunk) {
        let waiting = self.link.outgoing();
        let bytes = waiting[..len.min(waiting.len())].to_vec();
        self.link.handle_sent(bytes.len());
        self.arrived += bytes.len() as u64;
        let (mut messages, mut chunk) = (vec![], Chunk::default());
        while self.under_way.front().is_some_and(|(end, ..)| *end <= self.arrived) {
            let Some((end, message, len)) = self.under_way.pop_front() else { break };
            messages.push(message);
            chunk = Chunk { messages: messages.len(), last_len: len as u64, rest_len: self.arrived - end };
        }
        if self.is_disturbed {
            return (bytes, vec![], Chunk::default());
        }
        (bytes, messages, chunk)
    }

    pub(super) fn disturb(&mut self, len: usize) {
        self.is_disturbed |= len > 0;
        self.noise += len as u64;
    }

    /// The peer reads what the worker says.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Vec<WorkerMessage> {
        self.taken += bytes.len() as u64;
        let mut messages = vec![];
        while !bytes.is_empty() {
            let message = self.link.receive::<WorkerMessage>(&mut bytes);
            messages.extend(message.expect("what a worker says verifies and can be decoded"));
        }
        messages
    }
}
