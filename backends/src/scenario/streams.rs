//! What a script does to the streams of its connection: how many it opens, how much it moves.

use super::format::{Connection, Iterate, IterateValue, Operation};
use std::collections::BTreeMap;

/// An amount that may depend on the clock or be too large to count; `None` then.
type Known = Option<u64>;

/// What one side of a connection does on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamUse {
    /// Bytes sent.
    sent: Known,
    /// Bytes that are received in stated amounts.
    received: Known,
    /// Whether it also receives whatever the peer sends until it finishes.
    receives_all: bool,
}

impl StreamUse {
    const NOTHING: Self = Self { sent: Some(0), received: Some(0), receives_all: false };

    fn and(self, other: Self) -> Self {
        Self {
            sent: add(self.sent, other.sent),
            received: add(self.received, other.received),
            receives_all: self.receives_all || other.receives_all,
        }
    }

    /// `times` is `None` where it depends on the clock.
    fn repeated(self, times: Known) -> Self {
        Self { sent: multiply(self.sent, times), received: multiply(self.received, times), ..self }
    }
}

/// What a script does on each stream, by stream id.
pub(super) type StreamUses = BTreeMap<u64, StreamUse>;

/// What one side of a connection does on each stream.
#[derive(Debug)]
pub(super) struct Side {
    /// On the streams that this side opens.
    own: StreamUses,
    /// On the streams that the peer opens, by their id.
    peers: Vec<StreamUses>,
    /// How many streams this side opens at most, saturating.
    opened: u64,
}

/// Bytes sent and received by one side of a connection.
pub(super) type Moved = (Known, Known);

impl Side {
    /// Reads what a side does off its scripts.
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            own: uses(&connection.ops),
            peers: connection.peer_streams.iter().map(|ops| uses(ops)).collect(),
            opened: opened(&connection.ops),
        }
    }

    /// Whether a transport without streams of its own needs `MULTIPLEX=true` to carry this side; see
    /// [`needs_multiplex`](super::Scenario::needs_multiplex).
    pub(super) fn needs_multiplex(&self) -> bool {
        self.opened.saturating_add(self.peers.len() as u64) > 1
    }

    /// Bytes that this side sends and receives when `peer` is at the other end.
    ///
    /// A stream has the same id on both sides: it indexes the `peer_streams` of the side that did not open
    /// it.
    pub(super) fn moved(&self, peer: &Self) -> Moved {
        let own = self.own.iter().map(|(id, here)| {
            let there =
                usize::try_from(*id).ok().and_then(|id| peer.peers.get(id)).and_then(|uses| uses.get(id));
            (here, there)
        });
        // Inside peer_streams[i] the stream is called i too; any other id would be a mistake in the scenario.
        let accepted = self.peers.iter().flatten().map(|(id, here)| (here, peer.own.get(id)));
        own.chain(accepted).fold((Some(0), Some(0)), |(sent, received), (here, there)| {
            (add(sent, here.sent), add(received, received_on(here, there)))
        })
    }
}

/// Receiving *all* gets what the peer sends on that stream in total, less what was received before.
fn received_on(here: &StreamUse, there: Option<&StreamUse>) -> Known {
    if here.receives_all { there.map_or(Some(0), |there| there.sent) } else { here.received }
}

fn uses(ops: &[Operation]) -> StreamUses {
    let mut all = StreamUses::new();
    for op in ops {
        match op {
            Operation::Send(amount) => {
                let sent = StreamUse { sent: Some(amount.bytes), ..StreamUse::NOTHING };
                note(&mut all, amount.stream_id, sent);
            }
            Operation::Receive(amount) => {
                let received = StreamUse { received: Some(amount.bytes), ..StreamUse::NOTHING };
                note(&mut all, amount.stream_id, received);
            }
            Operation::ReceiveAll(stream) => {
                note(&mut all, stream.stream_id, StreamUse { receives_all: true, ..StreamUse::NOTHING });
            }
            Operation::Profile(profile) => merge(&mut all, uses(&profile.operations)),
            Operation::Scope { threads } => threads.iter().for_each(|ops| merge(&mut all, uses(ops))),
            Operation::Iterate(iterate) => {
                let times = repetitions(iterate);
                let repeated =
                    uses(&iterate.operations).into_iter().map(|(id, one)| (id, one.repeated(times)));
                merge(&mut all, repeated.collect());
            }
            Operation::OpenBidirectionalStream(_)
            | Operation::OpenSendStream(_)
            | Operation::Sleep(_)
            | Operation::SendFinish(_)
            | Operation::SendRate(_)
            | Operation::ReceiveFinish(_)
            | Operation::ReceiveRate(_)
            | Operation::Park(_)
            | Operation::Unpark(_)
            | Operation::Trace(_) => {}
        }
    }
    all
}

/// How many streams a script opens at most; any that it opens for a while counts as endless.
fn opened(ops: &[Operation]) -> u64 {
    let one = |op: &Operation| match op {
        Operation::OpenBidirectionalStream(_) | Operation::OpenSendStream(_) => 1,
        Operation::Profile(profile) => opened(&profile.operations),
        Operation::Scope { threads } => threads.iter().fold(0u64, |sum, ops| sum.saturating_add(opened(ops))),
        Operation::Iterate(iterate) => {
            opened(&iterate.operations).saturating_mul(repetitions(iterate).unwrap_or(u64::MAX))
        }
        Operation::Sleep(_)
        | Operation::Send(_)
        | Operation::SendFinish(_)
        | Operation::SendRate(_)
        | Operation::Receive(_)
        | Operation::ReceiveAll(_)
        | Operation::ReceiveFinish(_)
        | Operation::ReceiveRate(_)
        | Operation::Park(_)
        | Operation::Unpark(_)
        | Operation::Trace(_) => 0,
    };
    ops.iter().fold(0, |sum: u64, op| sum.saturating_add(one(op)))
}

/// How often the operations run. netbench runs them before it looks at the count, so 0 means once.
fn repetitions(iterate: &Iterate) -> Known {
    match iterate.value {
        IterateValue::Time(_) => None,
        IterateValue::Count { amount } => Some(amount.max(1)),
    }
}

fn note(all: &mut StreamUses, stream_id: u64, new: StreamUse) {
    let entry = all.entry(stream_id).or_insert(StreamUse::NOTHING);
    *entry = entry.and(new);
}

fn merge(all: &mut StreamUses, more: StreamUses) {
    for (stream_id, new) in more {
        note(all, stream_id, new);
    }
}

fn add(a: Known, b: Known) -> Known {
    a?.checked_add(b?)
}

/// Nothing stays nothing, however often.
fn multiply(amount: Known, times: Known) -> Known {
    match (amount, times) {
        (Some(0), _) => Some(0),
        (Some(amount), Some(times)) => amount.checked_mul(times),
        (None, _) | (_, None) => None,
    }
}
