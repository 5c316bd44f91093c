//! Reads a netbench result file: JSON lines, the first about the process, each further one about an interval.
//!
//! A result file may come from a driver that crashed, from a disk that was full or from another collector.
//! What can be read is used; what cannot is said in [`Series::notes`], so that it can be shown.

use super::{
    histogram::Histogram,
    samples::{Sample, Samples},
};
use crate::units;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// Longest line that is read, in bytes. A line names every stream of an interval, which is some 40 bytes each.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// A count of something and the sum of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Stat {
    /// How many values.
    pub(crate) count: u64,
    /// Their sum; microseconds for times, bytes for data.
    pub(crate) total: u64,
}

impl Stat {
    /// Adds the values of `other`.
    pub(crate) fn add(&mut self, other: Stat) {
        self.count = self.count.saturating_add(other.count);
        self.total = self.total.saturating_add(other.total);
    }

    /// Mean of the values, if there are any.
    pub(crate) fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }
}

/// What the kernel counted for the whole process, an extension of the netbench format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ProcessTotals {
    /// Times that the process gave up the processor.
    pub(crate) voluntary_switches: Option<u64>,
    /// Times that the processor was taken from it.
    pub(crate) involuntary_switches: Option<u64>,
    /// Bytes that it has sent by its own count, which it tells in lines before the last one.
    sent_bytes: Option<u64>,
    /// Bytes that it has received, likewise.
    received_bytes: Option<u64>,
}

/// The content of one result file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// When the measurement began, in seconds since 1970.
    pub(crate) start_s: Option<f64>,
    /// What was measured, in the order of time.
    pub(crate) samples: Vec<Sample>,
    /// Whether bytes were reported at all; where they were not, 0 bytes in a sample mean nothing.
    pub(crate) has_throughput: bool,
    /// Time to open a connection, in microseconds.
    pub(crate) connect_time: Stat,
    /// Durations of the scenario's profiled operations, by trace id, in microseconds.
    pub(crate) profiles: BTreeMap<u64, Histogram>,
    /// The last totals in the file.
    pub(crate) totals: Option<ProcessTotals>,
    /// Names of the trace ids as the driver knows them.
    pub(crate) traces: Vec<String>,
    /// What could not be read, in words for the reader of the report.
    pub(crate) notes: Vec<String>,
}

impl Series {
    /// Reads the file at `path` and joins its intervals to at most `max_samples`.
    pub(crate) fn read(path: &Path, max_samples: usize) -> io::Result<Self> {
        Self::parse(BufReader::new(File::open(path)?), max_samples)
    }

    fn parse(mut input: impl BufRead, max_samples: usize) -> io::Result<Self> {
        let mut series = Series::default();
        let mut samples = Samples::new(max_samples);
        let mut seen = Seen::default();
        let mut line = Vec::new();
        while read_line(&mut input, &mut line)? {
            seen.lines += 1;
            seen.ends_within_line = !line.ends_with(b"\n");
            if line.trim_ascii().is_empty() {
                seen.lines -= 1;
                continue;
            }
            match serde_json::from_slice::<Line>(&line) {
                Ok(interval) if interval.t.is_some_and(|t| t.is_finite() && t >= 0.0) => {
                    seen.intervals += 1;
                    seen.last_is_unreadable = false;
                    seen.take_totals(interval.totals.as_ref());
                    series.totals = interval.totals.or(series.totals);
                    if interval.has_only_totals() {
                        continue;
                    }
                    let begin_ms = seen.time_ms;
                    // A clock that steps back makes an interval without duration, never a negative one.
                    seen.time_ms = interval.t.unwrap_or_default().max(begin_ms);
                    samples.push(series.take_interval(interval, begin_ms, seen.time_ms));
                }
                Ok(Line { t: None, start_time: Some(start), traces, .. }) => {
                    series.start_s = Some(start.seconds());
                    series.traces = traces;
                    seen.last_is_unreadable = false;
                }
                Ok(_) | Err(_) => {
                    seen.unreadable += 1;
                    seen.last_is_unreadable = true;
                }
            }
        }
        series.samples = samples.into_vec();
        if seen.has_rates_only() {
            forget_partly_known_end(&mut series.samples);
        } else {
            // What is 0 is left out, so all is known.
            series.samples.iter_mut().for_each(|sample| sample.bytes_known_ms = sample.duration_ms());
        }
        series.notes.extend(seen.note());
        Ok(series)
    }

    fn take_interval(&mut self, line: Line, begin_ms: f64, end_ms: f64) -> Sample {
        let was_sampled = line.was_sampled();
        let Line { cpu, memory, connect_time, send, receive, profiles, .. } = line;
        let tells_bytes = send.is_some() || receive.is_some();
        self.has_throughput |= tells_bytes;
        self.connect_time.add(connect_time.unwrap_or_default());
        for (id, histogram) in profiles {
            self.profiles.entry(id).or_default().add(&histogram);
        }
        let bytes = |streams: Option<BTreeMap<String, Stat>>| {
            let stats = streams.unwrap_or_default().into_values();
            stats.fold(0_u64, |sum, stat| sum.saturating_add(stat.total))
        };
        Sample {
            begin_ms,
            end_ms,
            sent_bytes: bytes(send),
            received_bytes: bytes(receive),
            bytes_known_ms: if tells_bytes { end_ms - begin_ms } else { 0.0 },
            cpu_percent: Some(cpu.unwrap_or_default()).filter(|percent| was_sampled && percent.is_finite()),
            memory_bytes: Some(memory).filter(|bytes| *bytes > 0),
        }
    }
}

/// A driver's rates hold for a second or so that ends within a sample: the bytes of that sample are known in part
/// until the next rate, and so are those of the last one for good. Its line would drop for no reason.
fn forget_partly_known_end(samples: &mut [Sample]) {
    let mut known = samples.iter_mut().rev().filter(|sample| sample.bytes_known_ms > 0.0);
    // A single point is better than none.
    if let (Some(last), Some(_)) = (known.next(), known.next()) {
        last.bytes_known_ms = 0.0;
    }
}

/// Both kinds of line in one, told apart by whether there is a `t`. The netbench collector leaves out what is
/// 0 (`netbench/src/stats.rs`).
#[derive(Deserialize)]
struct Line {
    start_time: Option<StartTime>,
    #[serde(default)]
    traces: Vec<String>,
    t: Option<f64>,
    cpu: Option<f64>,
    #[serde(default)]
    memory: u64,
    connect_time: Option<Stat>,
    send: Option<BTreeMap<String, Stat>>,
    receive: Option<BTreeMap<String, Stat>>,
    #[serde(default)]
    profiles: BTreeMap<u64, Histogram>,
    totals: Option<ProcessTotals>,
}

impl Line {
    /// Whether a process was looked at. No process has no memory; one that has ended has none of both.
    fn was_sampled(&self) -> bool {
        self.cpu.is_some() || self.memory > 0
    }

    /// Whether it ends the file with what is known of the whole process, and tells nothing of an interval.
    fn has_only_totals(&self) -> bool {
        let measured = self.connect_time.is_some()
            || self.send.is_some()
            || self.receive.is_some()
            || !self.profiles.is_empty();
        self.totals.is_some() && !self.was_sampled() && !measured
    }
}

#[derive(Deserialize)]
struct StartTime {
    secs_since_epoch: u64,
    #[serde(default)]
    nanos_since_epoch: u32,
}

impl StartTime {
    fn seconds(&self) -> f64 {
        self.secs_since_epoch as f64 + f64::from(self.nanos_since_epoch) / 1e9
    }
}

/// What reading has come across so far.
#[derive(Default)]
struct Seen {
    lines: u64,
    intervals: u64,
    unreadable: u64,
    last_is_unreadable: bool,
    ends_within_line: bool,
    time_ms: f64,
    has_totals: bool,
    has_total_bytes: bool,
}

impl Seen {
    fn take_totals(&mut self, totals: Option<&ProcessTotals>) {
        self.has_totals |= totals.is_some();
        self.has_total_bytes |= totals.is_some_and(|t| t.sent_bytes.or(t.received_bytes).is_some());
    }

    /// Whether the bytes come from rates that the driver tells now and then, so that a sample without bytes is one
    /// that no rate covers. A collector that writes totals writes those of the bytes, too, if the driver counts them.
    fn has_rates_only(&self) -> bool {
        self.has_totals && !self.has_total_bytes
    }

    fn note(&self) -> Option<String> {
        if self.lines == 0 {
            return Some("is empty".to_owned());
        }
        if self.unreadable == 1 && self.last_is_unreadable && self.ends_within_line && self.lines > 1 {
            return Some("ends in the middle of a line; everything before it is shown".to_owned());
        }
        if self.unreadable > 0 {
            let (unreadable, lines) = (units::grouped(self.unreadable), units::grouped(self.lines));
            return Some(format!("{unreadable} of {lines} lines are not in the netbench result format"));
        }
        (self.intervals == 0).then(|| "has no measurements".to_owned())
    }
}

/// Reads up to and including the next line feed; `false` at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"pid":1,"driver":"tcp","scenario":"s","start_time":{"secs_since_epoch":100,"nanos_since_epoch":500000000},"traces":["request"]}"#;

    fn parse(text: &str) -> Series {
        Series::parse(text.as_bytes(), 2_000).expect("reading from memory does not fail")
    }

    #[test]
    fn lines_become_samples_with_the_time_since_the_line_before() {
        let series = parse(&format!(
            "{HEADER}\n{}\n{}\n",
            r#"{"t":100,"cpu":12.5,"memory":4096,"send":{"0:0":{"count":2,"total":10},"0:1":{"total":5}},"new":[1]}"#,
            r#"{"t":350,"connect_time":{"count":2,"total":300},"totals":{"sent_bytes":15,"voluntary_switches":3}}"#,
        ));
        assert_eq!(series.notes, Vec::<String>::new());
        assert_eq!(series.start_s, Some(100.5));
        assert_eq!(series.traces, ["request"]);
        assert!(series.has_throughput);
        assert_eq!(series.samples.len(), 2);
        let first = series.samples[0];
        assert_eq!((first.sent_bytes, first.received_bytes, first.cpu_percent), (15, 0, Some(12.5)));
        let second = series.samples[1];
        assert_eq!((second.begin_ms, second.end_ms, second.memory_bytes), (100.0, 350.0, None));
        assert_eq!(series.connect_time.mean(), Some(150.0));
        assert_eq!(series.totals.and_then(|t| t.voluntary_switches), Some(3));
    }

    #[test]
    fn a_last_line_with_totals_only_is_no_point() {
        // The driver counts its bytes, and was idle in the second interval.
        let series = parse(&format!(
            "{HEADER}\n{}\n{}\n{}\n",
            r#"{"t":100,"cpu":50,"memory":9,"send":{"0:0":{"total":1000}},"totals":{"sent_bytes":1000}}"#,
            r#"{"t":200,"memory":9,"totals":{"sent_bytes":1000}}"#,
            r#"{"t":207,"totals":{"cpu_us":50000,"voluntary_switches":3}}"#,
        ));
        assert_eq!(series.notes, Vec::<String>::new());
        let points: Vec<_> = series
            .samples
            .iter()
            .map(|s| (s.end_ms, s.bytes_per_second(s.sent_bytes), s.cpu_percent, s.memory_bytes))
            .collect();
        assert_eq!(
            points,
            [(100.0, Some(10_000.0), Some(50.0), Some(9)), (200.0, Some(0.0), Some(0.0), Some(9))]
        );
        assert_eq!(series.totals.and_then(|t| t.voluntary_switches), Some(3));

        let unsampled = parse(&format!("{HEADER}\n{{\"t\":207,\"totals\":{{}}}}\n"));
        assert_eq!((unsampled.samples.len(), unsampled.notes), (0, vec![]));
    }

    #[test]
    fn what_no_rate_of_a_driver_covers_is_unknown_and_not_zero() {
        // The last rate ends 30 ms after 300 ms; nothing is known from then on.
        let series = parse(&format!(
            "{HEADER}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            r#"{"t":100,"memory":9,"receive":{"0:0":{"count":1}}}"#,
            r#"{"t":200,"memory":9,"receive":{"0:0":{"count":1,"total":500}}}"#,
            r#"{"t":300,"memory":9,"receive":{"0:0":{"count":1,"total":500}}}"#,
            r#"{"t":400,"memory":9,"receive":{"0:0":{"count":1,"total":150}}}"#,
            r#"{"t":500,"memory":9}"#,
            r#"{"t":512,"totals":{"cpu_us":50000}}"#,
        ));
        let rates: Vec<_> = series.samples.iter().map(|s| s.bytes_per_second(s.received_bytes)).collect();
        assert_eq!(rates, [Some(0.0), Some(5000.0), Some(5000.0), None, None]);
        assert!(series.samples.iter().all(|s| s.cpu_percent == Some(0.0) && s.memory_bytes == Some(9)));
    }

    #[test]
    fn a_file_without_totals_leaves_out_what_is_zero() {
        let series =
            parse(&format!("{HEADER}\n{{\"t\":100,\"send\":{{\"0:0\":{{\"total\":5}}}}}}\n{{\"t\":200}}\n"));
        let rates: Vec<_> = series.samples.iter().map(|s| s.bytes_per_second(s.sent_bytes)).collect();
        assert_eq!(rates, [Some(50.0), Some(0.0)]);
    }

    #[test]
    fn a_cut_last_line_is_told_from_garbage() {
        let cut = parse(&format!("{HEADER}\n{{\"t\":100}}\n{{\"t\":20"));
        assert_eq!(cut.samples.len(), 1);
        assert_eq!(cut.notes, ["ends in the middle of a line; everything before it is shown"]);

        let garbage = parse(&format!("{HEADER}\nnot json\n{{\"t\":100}}\n{{\"t\":-1}}\n[]\n{{}}\n"));
        assert_eq!(garbage.samples.len(), 1);
        assert_eq!(garbage.notes, ["4 of 6 lines are not in the netbench result format"]);
    }

    #[test]
    fn a_file_without_measurements_says_so() {
        assert_eq!(parse("").notes, ["is empty"]);
        assert_eq!(parse("\n\n").notes, ["is empty"]);
        assert_eq!(parse(HEADER).notes, ["has no measurements"]);
        assert_eq!(parse("\u{0}\u{1}").notes, ["1 of 1 lines are not in the netbench result format"]);
    }

    #[test]
    fn profiles_are_summed_over_lines() {
        let line = r#"{"t":TIME,"profiles":{"0":{"stat":{"count":2,"total":30},"buckets":[{"lower":8,"upper":16,"count":2}]}}}"#;
        let lines: Vec<_> = ["1", "2"].iter().map(|time| line.replace("TIME", time)).collect();
        let series = parse(&format!("{HEADER}\n{}\n", lines.join("\n")));
        let profile = &series.profiles[&0];
        assert_eq!(profile.stat, Stat { count: 4, total: 60 });
        assert_eq!(profile.quantile_us(0.5), Some(12.0));
    }

    #[test]
    fn time_never_runs_backwards() {
        let series = parse(&format!("{HEADER}\n{{\"t\":100}}\n{{\"t\":50}}\n{{\"t\":200}}\n"));
        let times: Vec<_> = series.samples.iter().map(|s| (s.begin_ms, s.end_ms)).collect();
        assert_eq!(times, [(0.0, 100.0), (100.0, 200.0)]);
    }

    #[test]
    fn a_line_without_end_is_read_in_bounded_pieces() {
        let mut text = HEADER.as_bytes().to_vec();
        text.push(b'\n');
        text.resize(text.len() + MAX_LINE_BYTES as usize + 10, b'x');
        let series = Series::parse(&text[..], 10).expect("reading from memory does not fail");
        assert_eq!(series.notes, ["2 of 3 lines are not in the netbench result format"]);
    }
}
