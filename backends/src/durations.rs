//! Durations on a command line, within what makes sense.

use std::time::Duration;

/// A time between two samples: 0, or 10 ms to an hour.
///
/// # Errors
/// What was expected.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let range = Duration::from_millis(10)..=Duration::from_secs(3600);
    if interval.is_zero() || range.contains(&interval) {
        Ok(interval)
    } else {
        Err("expected 0 (off) or a duration from 10ms to 1h".into())
    }
}

/// A time limit: 1 ms to 7 days.
///
/// # Errors
/// What was expected.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    let limit = parse_duration(text)?;
    let range = Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600);
    if range.contains(&limit) { Ok(limit) } else { Err("expected a duration from 1ms to 7days".into()) }
}

/// By how much starts may be apart: 1 us to an hour.
///
/// # Errors
/// What was expected.
pub fn parse_skew(text: &str) -> Result<Duration, String> {
    let skew = parse_duration(text)?;
    let range = Duration::from_micros(1)..=Duration::from_secs(3600);
    if range.contains(&skew) { Ok(skew) } else { Err("expected a duration from 1us to 1h".into()) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected for example 100ms, 5s or 2m"))
}
