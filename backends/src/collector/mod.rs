//! Collects the result file of a driver process: samples while it runs, exact totals from the kernel at its end.
//!
//! For the worker's event loop: no thread, no wait. The loop asks for the instant of the next sample, calls
//! [`Collector::sample`] when it has come, and hands the process's outcome to [`Collector::finish`].

#[cfg(test)]
mod fixture;
mod held_samples;
mod proc_sample;
mod result_file;
mod result_reader;
mod result_repair;
mod result_writer;
mod sampling;
mod throughput;
mod throughput_log;
mod usage;

pub use proc_sample::{ProcSample, ProcSampler};
pub use result_file::{
    Bucket, Header, Histogram, InvalidStreamId, Sample, StartTime, Stat, StreamId, Totals,
};
pub use result_reader::{RESULT_FILE_BYTES_MAX, ResultFile, ResultFileError, read};
pub use result_repair::repair;
pub use result_writer::ResultWriter;

use russula_proto::Outcome;
use sampling::Sampling;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use throughput_log::ThroughputLog;

/// The result file of one driver process in the making.
#[derive(Debug)]
pub struct Collector {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// This collector writes the file.
    Sampling(Box<Sampling>),
    /// The driver writes the file itself.
    Adopted(Header),
}

impl Collector {
    /// Creates the result file at `path` for the process `header.pid`, which was started at `started`.
    ///
    /// A sample is due every `interval`; without one (or with zero) the file gets its header and its last line only.
    /// `throughput_log` is where the driver's throughput lines go; it need not exist yet.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::InvalidInput`] if `header.pid` can be no process id.
    pub fn start(
        path: &Path,
        header: Header,
        interval: Option<Duration>,
        throughput_log: Option<PathBuf>,
        started: Instant,
    ) -> io::Result<Self> {
        let pid = u32::try_from(header.pid).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no process id", header.pid))
        })?;
        let writer = ResultWriter::create(path, &header)?;
        let sampler = ProcSampler::from_start(pid, started);
        let sampling =
            Sampling::new(writer, sampler, throughput_log.map(ThroughputLog::new), interval, started);
        Ok(Self { path: path.to_owned(), kind: Kind::Sampling(Box::new(sampling)) })
    }

    /// For a driver that writes its result file at `path` itself: nothing is sampled, and [`Self::finish`] adds
    /// the kernel's totals. `header` is used if the driver died before it wrote its own.
    pub fn adopt(path: &Path, header: Header) -> Self {
        Self { path: path.to_owned(), kind: Kind::Adopted(header) }
    }

    /// When [`Self::sample`] is to be called next; `None` if never.
    pub fn next_sample(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Sampling(sampling) => sampling.next_sample(),
            Kind::Adopted(_) => None,
        }
    }

    /// Samples the process. The next sample is the first multiple of the interval after `now`, so a late call loses
    /// samples and shifts none.
    ///
    /// The sample is written as soon as it is complete: with a throughput log, once the driver has told what went
    /// through in it, or three seconds later.
    ///
    /// A process that has ended gives no line, and no error: its outcome is on its way to [`Self::finish`].
    ///
    /// # Errors
    /// What the file system says. The collector can be used further.
    pub fn sample(&mut self, now: Instant) -> io::Result<()> {
        match &mut self.kind {
            Kind::Sampling(sampling) => sampling.sample(now),
            Kind::Adopted(_) => Ok(()),
        }
    }

    /// Writes what is left: the samples that are not complete, as they are, and the last line, with the real
    /// duration and the kernel's totals of the process.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self, outcome: &Outcome) -> io::Result<()> {
        let last = Sample {
            t: outcome.duration_us / 1000,
            totals: Some(Totals {
                cpu_us: Some(outcome.cpu_us),
                max_rss_bytes: Some(outcome.max_rss_bytes),
                voluntary_switches: Some(outcome.voluntary_switches),
                involuntary_switches: Some(outcome.involuntary_switches),
                ..Totals::default()
            }),
            ..Sample::default()
        };
        match self.kind {
            Kind::Sampling(mut sampling) => sampling.finish(last, Duration::from_micros(outcome.duration_us)),
            Kind::Adopted(header) => {
                repair(&self.path, &header).map_err(io::Error::other)?;
                ResultWriter::append(&self.path)?.write(&last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russula_proto::{Exit, Text};
    use std::fs;

    const TICK: Duration = Duration::from_millis(100);

    fn header(pid: u32) -> Header {
        Header { pid: pid.into(), driver: "tcp".into(), scenario: "s".into(), ..Header::default() }
    }

    fn outcome() -> Outcome {
        Outcome {
            exit: Exit::Code(0),
            duration_us: 1_234_567,
            cpu_us: 42,
            max_rss_bytes: 4096,
            voluntary_switches: 7,
            involuntary_switches: 8,
            stderr_tail: Text::default(),
        }
    }

    fn expected_totals() -> Totals {
        Totals {
            cpu_us: Some(42),
            max_rss_bytes: Some(4096),
            voluntary_switches: Some(7),
            involuntary_switches: Some(8),
            ..Totals::default()
        }
    }

    #[test]
    fn without_an_interval_there_is_a_header_and_a_last_line() {
        let dir = tempfile::tempdir().unwrap();
        for interval in [None, Some(Duration::ZERO)] {
            let path = dir.path().join("client.json");
            let mut collector =
                Collector::start(&path, header(std::process::id()), interval, None, Instant::now()).unwrap();
            assert_eq!(collector.next_sample(), None);
            collector.sample(Instant::now()).unwrap();
            collector.finish(&outcome()).unwrap();
            let file = read(&path).unwrap();
            assert_eq!(file.header, header(std::process::id()));
            assert_eq!(
                file.samples,
                [Sample { t: 1234, totals: Some(expected_totals()), ..Sample::default() }]
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn samples_follow_the_true_clock_and_skip_what_was_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let started = Instant::now();
        let mut collector =
            Collector::start(&path, header(std::process::id()), Some(TICK), None, started).unwrap();
        assert_eq!(collector.next_sample(), Some(started + TICK));
        collector.sample(started + TICK).unwrap();
        assert_eq!(collector.next_sample(), Some(started + 2 * TICK));
        collector.sample(started + TICK * 57 / 10).unwrap();
        assert_eq!(collector.next_sample(), Some(started + 6 * TICK));
        // An early call writes a line and moves nothing.
        collector.sample(started + TICK * 58 / 10).unwrap();
        assert_eq!(collector.next_sample(), Some(started + 6 * TICK));
        collector.finish(&outcome()).unwrap();

        let file = read(&path).unwrap();
        assert_eq!(file.samples.iter().map(|sample| sample.t).collect::<Vec<_>>(), [100, 570, 580, 1234]);
        assert!(file.samples[0].memory > 100_000 && file.samples[0].memory < 10_000_000_000);
    }

    #[test]
    fn an_ended_process_gives_no_line_and_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let started = Instant::now();
        let mut collector = Collector::start(&path, header(child.id()), Some(TICK), None, started).unwrap();
        child.wait().unwrap();
        if cfg!(target_os = "linux") {
            collector.sample(started + TICK).unwrap();
        }
        collector.finish(&outcome()).unwrap();
        assert_eq!(read(&path).unwrap().samples.len(), 1);
    }

    /// A collector of this very process, whose throughput log is `stderr` beside `path`.
    fn start_with_log(path: &Path, started: Instant) -> (Collector, PathBuf) {
        let log = path.with_file_name("stderr");
        let header = header(std::process::id());
        (Collector::start(path, header, Some(TICK), Some(log.clone()), started).unwrap(), log)
    }

    fn append(log: &Path, line: &str) {
        let mut file = fs::File::options().create(true).append(true).open(log).unwrap();
        io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }

    /// Received bytes by line; `None` where the line tells nothing of them.
    fn received(samples: &[Sample]) -> Vec<Option<u64>> {
        let stat = |sample: &Sample| sample.receive.get(&StreamId::default()).map(|stat| stat.total);
        samples.iter().map(stat).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_bytes_of_a_rate_line_are_spread_over_the_samples_that_it_covers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let started = Instant::now();
        let (mut collector, log) = start_with_log(&path, started);
        for tick in 1..=21 {
            match tick {
                10 => append(&log, "0:00:00.950000 throughput: rx=1MBps tx=0Bps"),
                20 => append(&log, "0:00:01.950000 throughput: rx=3MBps tx=7Bps"),
                _ => {}
            }
            collector.sample(started + tick * TICK).unwrap();
            let written = read(&path).unwrap().samples.len();
            assert_eq!(
                written,
                if tick < 10 {
                    0
                } else if tick < 20 {
                    9
                } else {
                    19
                },
                "at tick {tick}"
            );
        }
        collector.finish(&Outcome { duration_us: 2_134_567, ..outcome() }).unwrap();

        let file = read(&path).unwrap();
        assert!(file.samples.windows(2).all(|pair| pair[0].t < pair[1].t), "the order stays");
        let mut expected = vec![Some(100_000); 9];
        expected.push(Some(200_000));
        expected.extend([Some(300_000); 9]);
        expected.extend([Some(150_000), None, None]);
        assert_eq!(received(&file.samples), expected);
        let sent = file.samples.iter().flat_map(|s| s.send.values()).map(|stat| stat.total).sum::<u64>();
        assert_eq!(sent, 7, "shares of an odd number add up to it");
        assert_eq!(file.totals(), expected_totals(), "rates give no totals");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn samples_that_wait_for_a_rate_line_are_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let started = Instant::now();
        let run = || {
            let (mut collector, _) = start_with_log(&path, started);
            (1..=40).for_each(|tick| collector.sample(started + tick * TICK).unwrap());
            collector
        };
        let collector = run();
        assert_eq!(read(&path).unwrap().samples.len(), 9, "three seconds are waited");
        collector.finish(&Outcome { duration_us: 4_010_000, ..outcome() }).unwrap();
        assert_eq!(read(&path).unwrap().samples.len(), 41);
        drop(run());
        assert_eq!(read(&path).unwrap().samples.len(), 40, "given up without an outcome");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_line_that_is_read_at_the_end_covers_up_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let started = Instant::now();
        let (mut collector, log) = start_with_log(&path, started);
        collector.sample(started + 5 * TICK).unwrap();
        append(&log, "0:00:01 throughput: rx=1KBps tx=0Bps");
        collector.finish(&Outcome { duration_us: 1_000_000, ..outcome() }).unwrap();
        assert_eq!(received(&read(&path).unwrap().samples), [Some(500), Some(500)]);
    }

    #[test]
    fn a_file_of_the_driver_is_repaired_and_completed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        let mut writer = ResultWriter::create(&path, &header(1)).unwrap();
        let own = Totals { sent_bytes: Some(11), ..Totals::default() };
        writer.write(&Sample { t: 5, totals: Some(own), ..Sample::default() }).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"t\":6,\"tot");
        fs::write(&path, bytes).unwrap();

        let mut collector = Collector::adopt(&path, header(2));
        assert_eq!(collector.next_sample(), None);
        collector.sample(Instant::now()).unwrap();
        collector.finish(&outcome()).unwrap();
        let file = read(&path).unwrap();
        assert_eq!((file.header.pid, file.samples.len(), file.truncated), (1, 2, false));
        assert_eq!(file.totals(), Totals { sent_bytes: Some(11), ..expected_totals() });
    }

    #[test]
    fn a_file_that_the_driver_never_wrote_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.json");
        Collector::adopt(&path, header(2)).finish(&outcome()).unwrap();
        assert_eq!(read(&path).unwrap().header.pid, 2);
    }
}
