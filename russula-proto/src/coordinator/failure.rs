//! What can fail a repetition, by blame: a worker's program, a peer that misbehaves, a path, a deadline.

use super::Phase;
use crate::link::LinkError;
use crate::outcome::{DETAIL_MAX, Ending};
use crate::text::Text;
use crate::wire::Refusal;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Why a repetition failed. The session with the other workers survives each of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A worker's program failed.
    #[error("worker {index}: the driver {ending}")]
    Worker {
        /// The worker.
        index: usize,
        /// How its part ended.
        ending: Ending,
    },
    /// A worker is gone for good.
    #[error("worker {index} is lost: {error}")]
    Lost {
        /// The worker.
        index: usize,
        /// How it was noticed.
        error: PeerError,
    },
    /// A worker was started anew in the middle of a repetition, or worked for another coordinator, and has lost
    /// its program.
    #[error("worker {index} has lost its driver: it was restarted, or taken over by another coordinator")]
    Restarted {
        /// The worker.
        index: usize,
    },
    /// A worker works on something else.
    #[error("worker {index} refuses: {refusal}")]
    Refused {
        /// The worker.
        index: usize,
        /// What does not match.
        refusal: Refusal,
    },
    /// A peer that has the key does not keep to the protocol.
    #[error("worker {index}: {error}")]
    Protocol {
        /// The worker.
        index: usize,
        /// What is wrong with its bytes.
        error: LinkError,
    },
    /// A peer sent a message at a point where it makes no sense.
    #[error("worker {index} sent a message out of order")]
    OutOfOrder {
        /// The worker.
        index: usize,
    },
    /// A deadline passed.
    #[error("the deadline '{phase}' passed after {}: {waiting}", Seconds(*limit))]
    Deadline {
        /// What was waited for.
        phase: Phase,
        /// For how long.
        limit: Duration,
        /// Who was waited for.
        waiting: Waiting,
    },
}

impl Failure {
    /// Whether it is a deadline that passed.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }

    /// The worker to blame, if there is one.
    pub fn worker(&self) -> Option<usize> {
        match self {
            Self::Worker { index, .. }
            | Self::Lost { index, .. }
            | Self::Restarted { index }
            | Self::Refused { index, .. }
            | Self::Protocol { index, .. }
            | Self::OutOfOrder { index } => Some(*index),
            Self::Deadline { .. } => None,
        }
    }

    pub(super) fn peer_error(&self) -> PeerError {
        match self {
            Self::Lost { error, .. } => error.clone(),
            Self::Refused { refusal, .. } => PeerError::Refused(refusal.clone()),
            Self::Protocol { error, .. } => PeerError::Protocol(*error),
            Self::OutOfOrder { .. } => PeerError::OutOfOrder,
            Self::Worker { .. } | Self::Restarted { .. } | Self::Deadline { .. } => PeerError::Closed,
        }
    }
}

/// What went wrong with a peer or with the path to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The system's word for a connection that could not be made, or broke.
    #[error("{0}")]
    Connection(Text<DETAIL_MAX>),
    /// It neither accepted nor answered within the time for one attempt.
    #[error("no answer")]
    NoAnswer,
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// Its host is gone.
    #[error("{0}")]
    Host(Text<DETAIL_MAX>),
    /// It works on something else, or another connection came first.
    #[error("{0}")]
    Refused(Refusal),
    /// Its bytes are wrong.
    #[error("{0}")]
    Protocol(LinkError),
    /// A message out of order.
    #[error("a message out of order")]
    OutOfOrder,
    /// It did not stop its program in time.
    #[error("its program could not be stopped in time")]
    NotStopped,
}

/// The workers that a deadline waited for; the first few by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many there are.
    pub count: usize,
    /// The first of them, each with what last went wrong with it.
    pub first: Vec<(usize, Option<PeerError>)>,
}

impl Waiting {
    /// Most workers that are named.
    pub const NAMED_MAX: usize = 8;

    pub(super) fn of(workers: impl Iterator<Item = (usize, Option<PeerError>)>) -> Self {
        let mut waiting = Self { count: 0, first: Vec::new() };
        for worker in workers {
            waiting.count += 1;
            if waiting.first.len() < Self::NAMED_MAX {
                waiting.first.push(worker);
            }
        }
        waiting
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("waiting for ")?;
        for (nth, (index, error)) in self.first.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}worker {index}")?;
            if let Some(error) = error {
                write!(f, " ({error})")?;
            }
        }
        let unnamed = self.count - self.first.len();
        if unnamed > 0 { write!(f, " and {unnamed} more") } else { Ok(()) }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "workers ready",
            Self::Start => "programs running",
            Self::Run => "programs done",
            Self::Stop => "programs stopped",
        })
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}
