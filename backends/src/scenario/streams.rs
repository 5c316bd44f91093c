//! What a script does to the streams of its connection: how many it opens, how much it moves.

use super::format::{Connection, Iterate, IterateValue, Operation};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// An amount that may depend on the clock or be too large to count; `None` then.
type Known = Option<u64>;

/// What one side of a connection does on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StreamUse {
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

/// What a script does on each stream, in the order of the stream ids.
///
/// There may be one for each of many thousand connections, mostly with a single entry, for which a map is large.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct StreamUses(Box<[(u64, StreamUse)]>);

impl StreamUses {
    fn get(&self, stream_id: u64) -> Option<&StreamUse> {
        let at = self.0.binary_search_by_key(&stream_id, |(id, _)| *id).ok()?;
        self.0.get(at).map(|(_, here)| here)
    }
}

/// The sum of a list of operations, which is all that is kept of it.
#[derive(Debug, Default)]
pub(super) struct Script {
    uses: StreamUses,
    /// How many streams it opens at most, saturating; any that it opens for a while counts as endless.
    opened: u64,
}

/// What one side of a connection does on each stream.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Side {
    /// On the streams that this side opens.
    own: StreamUses,
    /// On the streams that the peer opens, by their id.
    peers: Vec<StreamUses>,
    /// How many streams this side opens at most, saturating.
    opened: u64,
}

/// One side of each of a list of connections. Those that do the same, as most of many do, are kept once.
#[derive(Debug)]
pub(super) struct Sides(Vec<Rc<Side>>);

impl Sides {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The side of the connection at `index`, which is below the length.
    pub(super) fn get(&self, index: usize) -> &Side {
        &self.0[index]
    }
}

/// Bytes sent and received by one side of a connection.
pub(super) type Moved = (Known, Known);

impl Side {
    /// What is kept of `connection`.
    fn of(connection: Connection) -> Self {
        Self {
            own: connection.ops.uses,
            peers: connection.peer_streams.into_iter().map(|script| script.uses).collect(),
            opened: connection.ops.opened,
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
        let own = self.own.0.iter().map(|(id, here)| {
            let there =
                usize::try_from(*id).ok().and_then(|id| peer.peers.get(id)).and_then(|uses| uses.get(*id));
            (here, there)
        });
        // Inside peer_streams[i] the stream is called i too; any other id would be a mistake in the scenario.
        let accepted = self.peers.iter().flat_map(|uses| &uses.0).map(|(id, here)| (here, peer.own.get(*id)));
        own.chain(accepted).fold((Some(0), Some(0)), |(sent, received), (here, there)| {
            (add(sent, here.sent), add(received, received_on(here, there)))
        })
    }
}

/// Receiving *all* gets what the peer sends on that stream in total, less what was received before.
fn received_on(here: &StreamUse, there: Option<&StreamUse>) -> Known {
    if here.receives_all { there.map_or(Some(0), |there| there.sent) } else { here.received }
}

/// The sum of the operations that were read so far.
#[derive(Default)]
struct Sum {
    uses: BTreeMap<u64, StreamUse>,
    opened: u64,
}

impl Sum {
    fn add(&mut self, operation: Operation) {
        let nothing = StreamUse::NOTHING;
        match operation {
            Operation::OpenBidirectionalStream(_) | Operation::OpenSendStream(_) => {
                self.opened = self.opened.saturating_add(1);
            }
            Operation::Send(amount) => {
                note(&mut self.uses, amount.stream_id, StreamUse { sent: Some(amount.bytes), ..nothing });
            }
            Operation::Receive(amount) => {
                note(&mut self.uses, amount.stream_id, StreamUse { received: Some(amount.bytes), ..nothing });
            }
            Operation::ReceiveAll(stream) => {
                note(&mut self.uses, stream.stream_id, StreamUse { receives_all: true, ..nothing });
            }
            Operation::Profile(profile) => self.add_all(profile.operations, Some(1)),
            Operation::Scope { threads } => {
                threads.into_iter().for_each(|thread| self.add_all(thread, Some(1)));
            }
            Operation::Iterate(iterate) => {
                let times = repetitions(&iterate);
                self.add_all(iterate.operations, times);
            }
            Operation::Sleep(_)
            | Operation::SendFinish(_)
            | Operation::SendRate(_)
            | Operation::ReceiveFinish(_)
            | Operation::ReceiveRate(_)
            | Operation::Park(_)
            | Operation::Unpark(_)
            | Operation::Trace(_) => {}
        }
    }

    /// What `inner` does, `times` over.
    fn add_all(&mut self, inner: Script, times: Known) {
        for (stream_id, one) in inner.uses.0 {
            note(&mut self.uses, stream_id, one.repeated(times));
        }
        let opened = inner.opened.saturating_mul(times.unwrap_or(u64::MAX));
        self.opened = self.opened.saturating_add(opened);
    }
}

impl<'de> Deserialize<'de> for Script {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Operations;

        impl<'de> Visitor<'de> for Operations {
            type Value = Script;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut operations: A) -> Result<Script, A::Error> {
                let mut sum = Sum::default();
                while let Some(operation) = operations.next_element()? {
                    sum.add(operation);
                }
                let Sum { uses, opened } = sum;
                Ok(Script { uses: StreamUses(uses.into_iter().collect()), opened })
            }
        }

        deserializer.deserialize_seq(Operations)
    }
}

impl<'de> Deserialize<'de> for Sides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Connections;

        impl<'de> Visitor<'de> for Connections {
            type Value = Sides;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut connections: A) -> Result<Sides, A::Error> {
                let (mut all, mut distinct) = (Vec::new(), BTreeSet::new());
                while let Some(connection) = connections.next_element()? {
                    let new = Side::of(connection);
                    let side = distinct.get(&new).cloned().unwrap_or_else(|| Rc::new(new));
                    distinct.insert(Rc::clone(&side));
                    all.push(side);
                }
                Ok(Sides(all))
            }
        }

        deserializer.deserialize_seq(Connections)
    }
}

/// How often the operations run. netbench runs them before it looks at the count, so 0 means once.
fn repetitions(iterate: &Iterate) -> Known {
    match iterate.value {
        IterateValue::Time(_) => None,
        IterateValue::Count { amount } => Some(amount.max(1)),
    }
}

fn note(all: &mut BTreeMap<u64, StreamUse>, stream_id: u64, new: StreamUse) {
    let entry = all.entry(stream_id).or_insert(StreamUse::NOTHING);
    *entry = entry.and(new);
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
