//! What a result file says over time, bounded for the page.
//!
//! A result file may come from a driver that crashed, from a disk that was full or from another collector.
//! What can be read is used; what cannot is said in [`Series::notes`], so that it can be shown.

use super::{
    histogram::MergedHistogram,
    samples::{Sample, Samples},
};
use crate::units;
use backends::collector::{
    self, RESULT_FILE_BYTES_MAX, ResultFile, ResultFileError, StartTime, Stat, StreamId, Totals,
};
use std::{collections::BTreeMap, io, path::Path};

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
    pub(crate) profiles: BTreeMap<u64, MergedHistogram>,
    /// What is known of the whole process.
    pub(crate) totals: Totals,
    /// Names of the trace ids as the driver knows them.
    pub(crate) traces: Vec<String>,
    /// What could not be read, in words for the reader of the report.
    pub(crate) notes: Vec<String>,
}

impl Series {
    /// Reads the file at `path` and joins its intervals to at most `max_samples`.
    ///
    /// # Errors
    /// What the file system says. A file without any result is a series with a note.
    pub(crate) fn read(path: &Path, max_samples: usize) -> io::Result<Self> {
        let note = match collector::read(path) {
            Ok(file) => return Ok(Self::of(file, max_samples)),
            Err(ResultFileError::Io { source, .. }) => return Err(source),
            Err(ResultFileError::Empty { .. }) => "is empty".to_owned(),
            Err(ResultFileError::Header { lines, .. }) => unreadable(lines, lines),
            Err(ResultFileError::TooLarge { .. }) => {
                format!("is larger than {} and not shown", units::memory(RESULT_FILE_BYTES_MAX))
            }
        };
        Ok(Self { notes: vec![note], ..Self::default() })
    }

    fn of(file: ResultFile, max_samples: usize) -> Self {
        let mut series = Self {
            start_s: seconds_since_1970(file.header.start_time),
            totals: file.totals(),
            notes: note(&file).into_iter().collect(),
            ..Self::default()
        };
        let has_rates_only = has_rates_only(&file, &series.totals);
        let mut samples = Samples::new(max_samples);
        let mut time_ms = 0.0_f64;
        for line in file.samples {
            if has_only_totals(&line) {
                continue;
            }
            let begin_ms = time_ms;
            // A clock that steps back makes an interval without duration, never a negative one.
            time_ms = begin_ms.max(line.t as f64);
            samples.push(series.take_interval(line, begin_ms, time_ms));
        }
        series.samples = samples.into_vec();
        if has_rates_only {
            forget_partly_known_end(&mut series.samples);
        } else {
            // What is 0 is left out, so all is known.
            series.samples.iter_mut().for_each(|sample| sample.bytes_known_ms = sample.duration_ms());
        }
        series.traces = file.header.traces;
        series
    }

    fn take_interval(&mut self, line: collector::Sample, begin_ms: f64, end_ms: f64) -> Sample {
        let tells_bytes = !line.send.is_empty() || !line.receive.is_empty();
        self.has_throughput |= tells_bytes;
        self.connect_time.add_all(line.connect_time);
        for (id, histogram) in &line.profiles {
            self.profiles.entry(*id).or_default().add(histogram);
        }
        let bytes = |streams: &BTreeMap<StreamId, Stat>| {
            streams.values().fold(0_u64, |sum, stat| sum.saturating_add(stat.total))
        };
        Sample {
            begin_ms,
            end_ms,
            sent_bytes: bytes(&line.send),
            received_bytes: bytes(&line.receive),
            bytes_known_ms: if tells_bytes { end_ms - begin_ms } else { 0.0 },
            cpu_percent: (was_sampled(&line) && line.cpu.is_finite()).then(|| line.cpu.into()),
            memory_bytes: Some(line.memory).filter(|bytes| *bytes > 0),
        }
    }
}

/// What a reader has to know about the file.
fn note(file: &ResultFile) -> Option<String> {
    match file.unreadable_lines() {
        0 => file.samples.is_empty().then(|| "has no measurements".to_owned()),
        1 if file.truncated => Some("ends in the middle of a line; everything before it is shown".to_owned()),
        count => Some(unreadable(count, file.lines())),
    }
}

fn unreadable(count: usize, lines: usize) -> String {
    let grouped = |number: usize| units::grouped(number as u64);
    format!("{} of {} lines are not in the netbench result format", grouped(count), grouped(lines))
}

/// A host that does not know the time says that it is 1970.
fn seconds_since_1970(start: StartTime) -> Option<f64> {
    (start != StartTime::default())
        .then(|| start.secs_since_epoch as f64 + f64::from(start.nanos_since_epoch) / 1e9)
}

/// Whether a process was looked at. No process has no memory; one that has ended has none of both.
fn was_sampled(line: &collector::Sample) -> bool {
    line.cpu != 0.0 || line.memory > 0
}

/// Whether it ends the file with what is known of the whole process, and tells nothing of an interval.
fn has_only_totals(line: &collector::Sample) -> bool {
    let measured = line.connect_time != Stat::default()
        || !line.send.is_empty()
        || !line.receive.is_empty()
        || !line.profiles.is_empty();
    line.totals.is_some() && !was_sampled(line) && !measured
}

/// Whether the bytes come from rates that the driver tells now and then, so that a sample without bytes is one
/// that no rate covers. A collector that writes totals writes those of the bytes, too, if the driver counts them.
fn has_rates_only(file: &ResultFile, totals: &Totals) -> bool {
    file.samples.iter().any(|line| line.totals.is_some())
        && totals.sent_bytes.or(totals.received_bytes).is_none()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HEADER: &str = r#"{"pid":1,"driver":"tcp","scenario":"s","start_time":{"secs_since_epoch":100,"nanos_since_epoch":500000000},"traces":["request"]}"#;

    fn parse(text: &str) -> Series {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("writable");
        Series::read(file.path(), 2_000).expect("the file is there")
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
        assert_eq!(series.totals.voluntary_switches, Some(3));
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
        assert_eq!(series.totals.voluntary_switches, Some(3));

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
    fn a_file_that_does_not_know_its_start_is_shown() {
        let lost = parse("{\"pid\":\n{\"t\":100}\n");
        assert_eq!((lost.start_s, lost.samples.len()), (None, 1));
        assert_eq!(lost.notes, ["1 of 2 lines are not in the netbench result format"]);

        // As a repair leaves it.
        let repaired = parse("{\"pid\":0,\"start_time\":{\"secs_since_epoch\":0}}\n{\"t\":100}\n");
        assert_eq!((repaired.start_s, repaired.samples.len()), (None, 1));
        assert_eq!(repaired.notes, Vec::<String>::new());
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
}
