//! What a worker says to its caller.

use super::{ConnectionId, Rejection};
use crate::time::Timestamp;
use core::fmt;

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write [`Worker::outgoing`](super::Worker::outgoing) of this connection to its socket.
    Transmit(ConnectionId),
    /// Close this connection.
    Close(ConnectionId),
    /// Start this program.
    Start {
        /// Its index.
        program: u16,
        /// The repetition that it is started for.
        repetition: u32,
    },
    /// Read the kernel's counters of this connection, if there are such, and pass them to
    /// [`Worker::handle_kernel_counters`](super::Worker::handle_kernel_counters) before anything else.
    CheckKernel(ConnectionId),
    /// Ask the program to end: a signal that it can handle.
    Terminate,
    /// End the program: a signal that it cannot handle.
    Kill,
    /// Something happened that a log should show.
    Event(Event),
    /// The worker has ended.
    Finished(Finish),
    /// Nothing more until the next input or this time.
    Wait(Option<Timestamp>),
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Finish {
    /// The coordinator said that the run is over.
    #[error("the run is over")]
    RunOver,
    /// The worker's host told it to end.
    #[error("the worker was told to end")]
    Requested,
    /// The coordinator went away and did not come back.
    #[error("the coordinator is gone and did not come back within the orphan timeout")]
    Orphaned,
}

/// What happened, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The workflow's state changed.
    State {
        /// The repetition.
        repetition: u32,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
    },
    /// A coordinator has opened the exchange.
    Attached(ConnectionId),
    /// The coordinator's connection is gone.
    Detached(ConnectionId),
    /// A connection was closed for a fault of its own; how many there were of the kind.
    Rejected(ConnectionId, Rejection, u64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { repetition, from, to } => write!(f, "repetition {repetition}: {from} -> {to}"),
            Self::Attached(id) => write!(f, "connection {}: coordinator attached", id.0),
            Self::Detached(id) => write!(f, "connection {}: coordinator gone", id.0),
            Self::Rejected(id, why, count) => {
                write!(f, "connection {}: closed ({} {count}): {why}", id.0, why.kind())
            }
        }
    }
}
