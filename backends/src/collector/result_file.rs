//! The netbench result format: what one line of a result file holds.
//!
//! A result file is a [`Header`] line followed by [`Sample`] lines, each one JSON object. The format is that of
//! `s2n-netbench-collector` (`netbench/src/stats.rs` there); [`Totals`] is an addition of this project, which the
//! stock tools skip because they ignore keys that they do not know. Values at their default are left out.

use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first line of a result file: what was measured. A line without `start_time` is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Process id of the driver.
    #[serde(default)]
    pub pid: u64,
    /// Name or path of the driver's program; the stock report takes its legend from the last path component.
    #[serde(default)]
    pub driver: String,
    /// Path of the scenario file.
    #[serde(default)]
    pub scenario: String,
    /// When the driver was started, by the wall clock.
    pub start_time: StartTime,
    /// The scenario's trace names; the keys of [`Sample::profiles`] are indices into this list.
    #[serde(default, skip_serializing_if = "is_default")]
    pub traces: Vec<String>,
}

/// A wall-clock time, in the form in which serde writes a [`SystemTime`].
///
/// The default, 1970, stands for an unknown one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StartTime {
    /// Whole seconds since 1970-01-01 00:00 UTC.
    pub secs_since_epoch: u64,
    /// Nanoseconds within that second, 0 to 999,999,999.
    #[serde(default)]
    pub nanos_since_epoch: u32,
}

impl From<SystemTime> for StartTime {
    /// A time before 1970 becomes 1970: the format has no sign.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { secs_since_epoch: since_epoch.as_secs(), nanos_since_epoch: since_epoch.subsec_nanos() }
    }
}

/// One further line: what happened since the line before it, and gauges read at its end.
///
/// A line without `t` is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since the start of the driver, read from a monotonic clock.
    pub t: u64,
    /// Processor time over real time since the last line, in percent: 100 is one processor kept busy.
    #[serde(default, skip_serializing_if = "is_default", serialize_with = "finite")]
    pub cpu: f32,
    /// Context switches of all threads, voluntary and involuntary, since the last line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub context_switches: u64,
    /// Resident memory in bytes, now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory: u64,
    /// Virtual memory in bytes, now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub virtual_memory: u64,
    /// Connections established since the last line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections: u64,
    /// Streams accepted since the last line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accept: u64,
    /// Connects since the last line, `total` in microseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connect_time: Stat,
    /// Send operations since the last line, `total` in bytes.
    ///
    /// From a stock driver, only rates are known, for about a second at a time: `total` is the share of this line in
    /// what they stand for, and `count` the number of rates. Where there is no entry, nothing is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub send: BTreeMap<StreamId, Stat>,
    /// Receive operations since the last line, `total` in bytes; as for `send`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub receive: BTreeMap<StreamId, Stat>,
    /// Durations of profiled operations since the last line in microseconds, by index of the trace name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub profiles: BTreeMap<u64, Histogram>,
    /// What is known exactly, from the start of the driver until now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub totals: Option<Totals>,
}

/// A number of events and the sum of their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stat {
    /// Number of events.
    #[serde(skip_serializing_if = "is_default")]
    pub count: u64,
    /// Sum of their values; the unit is that of the field which holds the `Stat`.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
}

impl Stat {
    /// Counts one event of this value. Sums stay at the largest number instead of wrapping.
    pub fn add(&mut self, value: u64) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(value);
    }

    /// Counts all events of `other`, too.
    pub fn add_all(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.total = self.total.saturating_add(other.total);
    }

    /// Mean of the values, in the unit of `total`, if there are any.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }
}

/// How the durations of a profiled operation are distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Number of operations and their summed duration in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub stat: Stat,
    /// Non-empty buckets in ascending order.
    #[serde(skip_serializing_if = "is_default")]
    pub buckets: Vec<Bucket>,
}

/// Operations that took at least `lower` and less than `upper` microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// Shortest duration, inclusive.
    pub lower: u64,
    /// Longest duration, exclusive.
    pub upper: u64,
    /// Number of operations.
    pub count: u64,
}

/// Exact figures from the start of the driver on. Each is absent where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Payload bytes that the scenario's operations have sent.
    #[serde(skip_serializing_if = "is_default")]
    pub sent_bytes: Option<u64>,
    /// Payload bytes that the scenario's operations have received.
    #[serde(skip_serializing_if = "is_default")]
    pub received_bytes: Option<u64>,
    /// User and system time in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_us: Option<u64>,
    /// Peak resident memory in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub max_rss_bytes: Option<u64>,
    /// Times the process gave up the processor by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub voluntary_switches: Option<u64>,
    /// Times the processor was taken from the process.
    #[serde(skip_serializing_if = "is_default")]
    pub involuntary_switches: Option<u64>,
}

impl Totals {
    /// Takes over every figure that `later` knows.
    pub fn merge(&mut self, later: &Self) {
        self.sent_bytes = later.sent_bytes.or(self.sent_bytes);
        self.received_bytes = later.received_bytes.or(self.received_bytes);
        self.cpu_us = later.cpu_us.or(self.cpu_us);
        self.max_rss_bytes = later.max_rss_bytes.or(self.max_rss_bytes);
        self.voluntary_switches = later.voluntary_switches.or(self.voluntary_switches);
        self.involuntary_switches = later.involuntary_switches.or(self.involuntary_switches);
    }
}

/// A stream of a connection, written `connection:stream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    /// Number of the connection within the driver, from 0.
    pub connection: u64,
    /// Number of the stream within the connection, from 0.
    pub stream: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.connection, self.stream)
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for StreamId {
    type Error = InvalidStreamId;

    fn try_from(text: String) -> Result<Self, InvalidStreamId> {
        let numbers = text.split_once(':').and_then(|(connection, stream)| {
            Some(Self { connection: connection.parse().ok()?, stream: stream.parse().ok()? })
        });
        numbers.ok_or(InvalidStreamId(text))
    }
}

/// A stream key that is not `connection:stream`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a stream: expected two numbers as in `0:1`")]
pub struct InvalidStreamId(String);

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// JSON has no infinity; serde_json would write `null`, at which the stock report fails.
fn finite<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f32(if value.is_finite() { *value } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_left_out() {
        assert_eq!(serde_json::to_string(&Sample { t: 7, ..Sample::default() }).unwrap(), r#"{"t":7}"#);
        let header = Header { pid: 1, driver: "d".into(), scenario: "s".into(), ..Header::default() };
        assert_eq!(
            serde_json::to_string(&header).unwrap(),
            r#"{"pid":1,"driver":"d","scenario":"s","start_time":{"secs_since_epoch":0,"nanos_since_epoch":0}}"#
        );
    }

    #[test]
    fn a_full_line_survives_the_round_trip() {
        let mut sample = Sample { t: 100, cpu: 12.5, memory: 4096, ..Sample::default() };
        sample.send.insert(StreamId { connection: 3, stream: 4 }, Stat { count: 1, total: 2 });
        let buckets = vec![Bucket { lower: 4, upper: 8, count: 1 }];
        sample.profiles.insert(2, Histogram { stat: Stat { count: 1, total: 5 }, buckets });
        sample.totals = Some(Totals { sent_bytes: Some(2), ..Totals::default() });
        let line = serde_json::to_string(&sample).unwrap();
        assert!(line.contains(r#""send":{"3:4":{"count":1,"total":2}}"#), "{line}");
        assert!(line.contains(r#""totals":{"sent_bytes":2}"#), "{line}");
        assert_eq!(serde_json::from_str::<Sample>(&line).unwrap(), sample);
    }

    #[test]
    fn unknown_keys_are_ignored_and_missing_ones_default() {
        let sample: Sample = serde_json::from_str(r#"{"t":5,"cycles":9,"allocs":{"count":1}}"#).unwrap();
        assert_eq!(sample, Sample { t: 5, ..Sample::default() });
    }

    #[test]
    fn what_tells_a_line_from_any_other_json_is_required() {
        for line in ["{}", "[]", r#"{"cpu":1}"#, r#"{"t":-1}"#, r#"{"start_time":{"secs_since_epoch":1}}"#] {
            assert!(serde_json::from_str::<Sample>(line).is_err(), "{line}");
        }
        for line in ["{}", "[]", r#"{"t":1}"#, r#"{"pid":1,"start_time":{}}"#] {
            assert!(serde_json::from_str::<Header>(line).is_err(), "{line}");
        }
        let header: Header = serde_json::from_str(r#"{"start_time":{"secs_since_epoch":1}}"#).unwrap();
        assert_eq!(header.start_time, StartTime { secs_since_epoch: 1, nanos_since_epoch: 0 });
    }

    #[test]
    fn stats_are_added_without_overflow() {
        let mut stat = Stat { count: 1, total: u64::MAX };
        stat.add_all(Stat { count: 3, total: 1 });
        assert_eq!(stat, Stat { count: 4, total: u64::MAX });
        assert_eq!(Stat { count: 4, total: 6 }.mean(), Some(1.5));
        assert_eq!(Stat::default().mean(), None);
    }

    #[test]
    fn a_bad_stream_key_is_an_error() {
        for key in ["", ":", "1", "1:", "a:b", "1:2:3", "-1:0"] {
            let line = format!(r#"{{"t":1,"send":{{"{key}":{{}}}}}}"#);
            assert!(serde_json::from_str::<Sample>(&line).is_err(), "{key}");
        }
    }

    #[test]
    fn infinity_is_written_as_a_number() {
        let sample = Sample { cpu: f32::INFINITY, ..Sample::default() };
        assert_eq!(serde_json::to_string(&sample).unwrap(), r#"{"t":0,"cpu":0.0}"#);
    }

    #[test]
    fn later_totals_win_key_by_key() {
        let mut totals = Totals { sent_bytes: Some(1), cpu_us: Some(5), ..Totals::default() };
        totals.merge(&Totals { cpu_us: Some(6), ..Totals::default() });
        assert_eq!(totals, Totals { sent_bytes: Some(1), cpu_us: Some(6), ..Totals::default() });
    }
}
