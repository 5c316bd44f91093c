//! The clock that the core's [`Timestamp`]s are read from.

use crate::entropy;
use russula_proto::Timestamp;
use std::time::{Duration, Instant, SystemTime};

/// A monotonic clock with a moment zero of its own.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// A clock whose moment zero is now.
    pub fn start() -> Self {
        Self { zero: Instant::now() }
    }

    /// The reading at this moment.
    pub fn now(&self) -> Timestamp {
        let micros = u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX);
        Timestamp::from_micros(micros)
    }

    /// When the reading is `at`; `None` if the system cannot tell a time so far ahead.
    pub fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.zero.checked_add(Duration::from_micros(at.as_micros()))
    }

    /// The time from now until `at`; zero if it has passed. Rounded up, so that whoever waits so long
    /// does not wake before it.
    pub fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now()) + Duration::from_micros(1)
    }
}

/// A number for the session of a worker or a coordinator: it only has to differ from that of the one before.
///
/// It is no secret. So where the system gives no random bytes, the time and the id of this process have to do.
pub fn session() -> u64 {
    match entropy::bytes() {
        Ok([a, b, c, d, e, f, g, h, ..]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        Err(_) => session_without_entropy(),
    }
}

fn session_without_entropy() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since_epoch.as_nanos() % u128::from(u64::MAX)).unwrap_or_default();
    nanos ^ (u64::from(std::process::id()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_an_instant_the_reading_has_come() {
        let clock = Clock::start();
        let at = clock.now() + Duration::from_micros(100);
        let instant = clock.instant(at).expect("soon");
        while Instant::now() < instant {}
        assert!(clock.now() >= at);
        assert!(
            clock.instant(Timestamp::ZERO).is_some_and(|zero| zero <= instant - Duration::from_micros(100))
        );
    }

    #[test]
    fn two_sessions_differ() {
        assert_ne!(session(), session());
    }
}
