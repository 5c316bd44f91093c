//! Waiting for something that takes its time: how often to look, and until when.

use std::time::Duration;
use tokio::time::Instant;

/// Looks get rarer up to this multiple of the first interval, so that a long wait does not mean many calls.
const SLOWEST: u32 = 5;

/// The pace of looking at something, with a deadline that has a name.
#[derive(Debug)]
pub struct Pace {
    name: &'static str,
    limit: Duration,
    until: Instant,
    interval: Duration,
    slowest: Duration,
}

/// Something took longer than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline '{name}' passed after {} s", limit.as_secs_f64())]
pub struct DeadlinePassed {
    /// What was waited for.
    pub name: &'static str,
    /// For how long.
    pub limit: Duration,
}

impl Pace {
    /// Looks from `interval` apart, for at most `limit`; `name` is what the user sees.
    pub fn new(name: &'static str, limit: Duration, interval: Duration) -> Self {
        Self { name, limit, until: Instant::now() + limit, interval, slowest: interval * SLOWEST }
    }

    /// Waits until it is time for the next look.
    ///
    /// # Errors
    /// If the deadline would have passed by then.
    pub async fn wait(&mut self) -> Result<(), DeadlinePassed> {
        let next = Instant::now() + self.interval;
        if next > self.until {
            return Err(DeadlinePassed { name: self.name, limit: self.limit });
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
        let mut pace = Pace::new("hosts running", Duration::from_millis(50), Duration::from_millis(1));
        let mut looks = 0;
        let passed = loop {
            match pace.wait().await {
                Ok(()) => looks += 1,
                Err(passed) => break passed,
            }
        };
        assert!((5..50).contains(&looks), "{looks} looks");
        assert_eq!(passed.to_string(), "the deadline 'hosts running' passed after 0.05 s");
    }
}
