//! The quiet window: from the moment the last client has confirmed that it runs until the first one ends, the
//! control connections carry no bytes.
//!
//! Both sides count every byte of the control connections themselves, and what they counted is compared with
//! the counters of the kernel, where there are such.

use serde::{Deserialize, Serialize};

/// Payload bytes of a connection in both directions, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that the socket has taken.
    pub sent_bytes: u64,
    /// Bytes that the socket has given.
    pub received_bytes: u64,
}

impl Traffic {
    /// Bytes in both directions.
    pub const fn total(self) -> u64 {
        self.sent_bytes + self.received_bytes
    }
}

/// How quiet it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Bytes that were sent and received, by our own count.
    pub bytes: u64,
    /// What the kernel says to that count.
    pub kernel: KernelCheck,
}

/// Whether the kernel's counters of a socket agree with ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelCheck {
    /// Nobody asked it, or it could not say.
    #[default]
    NotChecked,
    /// The same numbers at both ends of the window.
    Agrees,
    /// Other numbers.
    Differs,
}

impl KernelCheck {
    /// Both of two checks: one that differs decides, and without a check there is no agreement.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Differs, _) | (_, Self::Differs) => Self::Differs,
            (Self::NotChecked, _) | (_, Self::NotChecked) => Self::NotChecked,
            (Self::Agrees, Self::Agrees) => Self::Agrees,
        }
    }
}
