//! Connections that a worker has closed, and why.

use crate::link::LinkError;
use crate::wire::Refusal;
use alloc::collections::BTreeMap;

/// Why a worker closed a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its bytes are wrong, or end too early.
    #[error("{0}")]
    Link(LinkError),
    /// It did not say who it is in time.
    #[error("it did not say who it is in time")]
    Silent,
    /// It had not said yet who it is and made room for a newer one.
    #[error("it did not say who it is, and there were too many of that kind")]
    Evicted,
    /// A message that makes no sense at this point.
    #[error("a message out of order")]
    OutOfOrder,
    /// It is a coordinator's, but not one that this worker works for.
    #[error("refused: {0}")]
    Refused(Refusal),
}

impl Rejection {
    /// The kind, as it is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(LinkError::Handshake) => "handshake",
            Self::Link(LinkError::Length(_)) => "length",
            Self::Link(LinkError::Forged) => "forged",
            Self::Link(LinkError::Decode(_)) => "decode",
            Self::Link(LinkError::HandshakeEnded) => "handshake ended",
            Self::Link(LinkError::Truncated) => "truncated",
            Self::Silent => "silent",
            Self::Evicted => "evicted",
            Self::OutOfOrder => "out of order",
            Self::Refused(Refusal::Stale) => "stale",
            Self::Refused(Refusal::Scenario { .. } | Refusal::Drivers { .. }) => "refused",
        }
    }
}

/// How many connections were closed, by kind. There are only a few kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections(BTreeMap<&'static str, u64>);

impl Rejections {
    /// Counts one more; returns how many of its kind there are.
    pub(super) fn count(&mut self, rejection: &Rejection) -> u64 {
        let count = self.0.entry(rejection.kind()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Every kind that there was, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// How many of all kinds.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
