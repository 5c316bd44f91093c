//! Time as the core knows it: a reading that the caller passes in.

use core::fmt;
use core::ops::Add;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Microseconds since a moment of the caller's choice, on a clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The caller's moment zero.
    pub const ZERO: Self = Self(0);

    /// A reading of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since moment zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Timestamp {
    /// The reading `micros` microseconds later, or earlier if that is negative; saturates.
    pub const fn offset_by(self, micros: i64) -> Self {
        Self(self.0.saturating_add_signed(micros))
    }

    /// Microseconds from `other` to `self`, negative if `other` is later; saturates.
    pub const fn micros_after(self, other: Self) -> i64 {
        let distance = self.0.abs_diff(other.0);
        let distance = if distance > i64::MAX as u64 { i64::MAX } else { distance as i64 };
        if self.0 >= other.0 { distance } else { -distance }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// The reading after `duration`; saturates at the end of the clock's range, 584,000 years.
    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
