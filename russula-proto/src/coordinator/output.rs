//! What a coordinator says to its caller.

use super::{ClockOffset, Failure, PeerError};
use crate::outcome::Ending;
use crate::quiet::Quiet;
use crate::time::Timestamp;
use crate::wire::{Stage, Welcome};
use crate::workflow::Milestone;

/// What the caller is to do. `usize` is a worker's index in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the worker; then [`Coordinator::handle_connected`](super::Coordinator::handle_connected) or [`Coordinator::handle_connection_failed`](super::Coordinator::handle_connection_failed).
    Dial(usize),
    /// Write [`Coordinator::outgoing`](super::Coordinator::outgoing) of this worker to its socket.
    Transmit(usize),
    /// Close this worker's socket, or give up dialing it.
    Close(usize),
    /// Read the kernel's counters of this worker's connection, if there are such, and pass them to
    /// [`Coordinator::handle_kernel_counters`](super::Coordinator::handle_kernel_counters) before anything else.
    CheckKernel(usize),
    /// Something happened.
    Event(Event),
    /// Nothing more until the next input or this time.
    Wait(Option<Timestamp>),
}

/// What happened, for the caller and for the log.
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
    /// A worker has answered.
    Connected(usize),
    /// A worker's connection is gone; it is dialed again.
    Disconnected(usize, PeerError),
    /// A worker is somewhere else than before.
    Worker(usize, Stage),
    /// The group has reached a milestone that was asked for. [`Milestone::Done`] comes also after a failure.
    Reached(Milestone),
    /// The repetition has failed; whatever runs is being stopped, and `Reached(Done)` follows.
    Failed(Failure),
    /// All connections are closed after [`Coordinator::finish`](super::Coordinator::finish).
    Finished,
}

/// What is known of a worker.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// Whether there is a connection on which the worker has answered.
    pub is_connected: bool,
    /// Whether the worker was given up: it is not dialed again, and no later repetition can succeed.
    pub is_given_up: bool,
    /// Whether the worker has confirmed that the run is over for it.
    pub has_left: bool,
    /// How far it is in this repetition.
    pub stage: Stage,
    /// How its part in this repetition ended.
    pub ending: Option<&'a Ending>,
    /// How far its clock is ahead, as far as it was measured for this repetition.
    pub clock: Option<ClockOffset>,
    /// When its program ran in this repetition, on the coordinator's clock; needs the clock.
    pub started_at: Option<Timestamp>,
    /// How quiet it was for the worker while its program ran.
    pub quiet: Option<Quiet>,
    /// What it said of itself.
    pub welcome: Option<&'a Welcome>,
    /// When it last said something.
    pub last_contact: Option<Timestamp>,
    /// What last went wrong with it.
    pub last_error: Option<&'a PeerError>,
}
