//! What is going to happen, in order.

use super::HostId;
use super::network::WireId;
use crate::model::End;
use russula_proto::{Exit, Timestamp};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// A dial reaches the host.
    Dials(WireId),
    /// The answer to a dial reaches who dialed: whether it was accepted.
    Answers(WireId, bool),
    /// So many of the bytes that are under way reach this end.
    Arrives(WireId, End, usize),
    /// The end of the stream reaches this end.
    Closes(WireId, End),
    /// This end learns that the connection is no more.
    Resets(WireId, End),
    /// The program of this generation runs.
    Runs(HostId, u64),
    /// The start of the program of this generation fails.
    StartFails(HostId, u64),
    /// The program of this generation ends.
    Exits(HostId, u64, ExitAs),
}

impl Happening {
    /// The connection that it happens on, and the end that it reaches.
    pub(super) fn reaches(self) -> Option<(WireId, End)> {
        match self {
            Self::Dials(wire) => Some((wire, End::Worker)),
            Self::Answers(wire, _) => Some((wire, End::Dialer)),
            Self::Arrives(wire, end, _) | Self::Closes(wire, end) | Self::Resets(wire, end) => {
                Some((wire, end))
            }
            Self::Runs(..) | Self::StartFails(..) | Self::Exits(..) => None,
        }
    }
}

/// An [`Exit`] that has an order, which a queue asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExitAs {
    Code(i32),
    Signal(i32),
}

impl From<Exit> for ExitAs {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<ExitAs> for Exit {
    fn from(exit: ExitAs) -> Self {
        match exit {
            ExitAs::Code(code) => Self::Code(code),
            ExitAs::Signal(signal) => Self::Signal(signal),
        }
    }
}

/// Happenings by their moment, those of one moment in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, happening)));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The first happening, if its moment has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Happening> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((.., happening))| happening)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
