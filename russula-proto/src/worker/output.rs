//! What a worker says to its caller.

use super::ConnectionId;
use crate::link::LinkError;
use crate::time::Timestamp;
use crate::wire::Refusal;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// A connection was meant for another worker.
    Refused(ConnectionId, Refusal),
    /// A connection does not keep to the protocol.
    Broken(ConnectionId, LinkError),
    /// A connection did not say who it is in time, or made room for a newer one.
    Dropped(ConnectionId),
    /// A message that makes no sense at this point; the connection is closed.
    OutOfOrder(ConnectionId),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { repetition, from, to } => write!(f, "repetition {repetition}: {from} -> {to}"),
            Self::Attached(id) => write!(f, "connection {}: coordinator attached", id.0),
            Self::Detached(id) => write!(f, "connection {}: coordinator gone", id.0),
            Self::Refused(id, refusal) => write!(f, "connection {}: refused: {refusal}", id.0),
            Self::Broken(id, error) => write!(f, "connection {}: closed: {error}", id.0),
            Self::Dropped(id) => write!(f, "connection {}: closed: it did not say who it is", id.0),
            Self::OutOfOrder(id) => write!(f, "connection {}: closed: a message out of order", id.0),
        }
    }
}
