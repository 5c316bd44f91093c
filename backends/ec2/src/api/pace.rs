//! Waiting for something that takes its time: how often to look, and until when.

use std::time::Duration;
use tokio::time::Instant;

/// Looks get rarer up to this multiple of the first interval, so that a long wait does not mean many calls.
const SLOWEST: u32 = 5;

/// The pace of looking at something, with a deadline that has a name.
#[derive(Debug)]
pub struct Pace {
    deadline: Deadline,
    until: Instant,
    interval: Duration,
    slowest: Duration,
}

/// How long something may take, under a name that the user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// What is waited for.
    pub name: &'static str,
    /// For how long.
    pub limit: Duration,
}

/// Something took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline '{}' passed after {} s", _0.name, _0.limit.as_secs_f64())]
pub struct DeadlinePassed(pub Deadline);

impl Deadline {
    /// It has passed.
    pub fn passed(self) -> DeadlinePassed {
        DeadlinePassed(self)
    }
}

impl Pace {
    /// Looks from `interval` apart, for at most `limit`; `name` is what the user sees.
    pub fn new(name: &'static str, limit: Duration, interval: Duration) -> Self {
        let deadline = Deadline { name, limit };
        Self { deadline, until: Instant::now() + limit, interval, slowest: interval * SLOWEST }
    }

    /// Does not wait.
    ///
    /// # Errors
    /// If the deadline has passed.
    pub fn check(&self) -> Result<(), DeadlinePassed> {
        if Instant::now() < self.until { Ok(()) } else { Err(self.deadline.passed()) }
    }

    /// Waits until it is time for the next look.
    ///
    /// # Errors
    /// If the deadline would have passed by then.
    pub async fn wait(&mut self) -> Result<(), DeadlinePassed> {
        let next = Instant::now() + self.interval;
        if next > self.until {
            return Err(self.deadline.passed());
        }
        tokio::time::sleep_until(next).await;
        self.interval = (self.interval * 5 / 4).min(self.slowest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_get_rarer_and_end_with_the_deadlines_name() {
        let mut pace = Pace::new("hosts running", Duration::from_secs(1), Duration::from_millis(10));
        let mut intervals = vec![];
        let passed = loop {
            intervals.push(pace.interval);
            match pace.wait().await {
                Ok(()) => {}
                Err(passed) => break passed,
            }
        };
        assert!(intervals.is_sorted() && intervals[0] < intervals[1], "{intervals:?}");
        assert_eq!(intervals.last(), Some(&Duration::from_millis(50)), "{intervals:?}");
        assert_eq!(passed.to_string(), "the deadline 'hosts running' passed after 1 s");
    }
}
