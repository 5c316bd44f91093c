//! Collects the result file of a driver process: samples while it runs, exact totals from the kernel at its end.
//!
//! For the worker's event loop: no thread, no wait. The loop asks for the instant of the next sample, calls
//! [`Collector::sample`] when it has come, and hands the process's outcome to [`Collector::finish`].

mod proc_sample;
mod result_file;
mod result_reader;
mod result_writer;
mod throughput;

pub use proc_sample::{ProcSample, ProcSampler};
pub use result_file::{
    Bucket, Header, Histogram, InvalidStreamId, Sample, StartTime, Stat, StreamId, Totals,
};
pub use result_reader::{RESULT_FILE_BYTES_MAX, ResultFile, ResultFileError, read, repair};
pub use result_writer::ResultWriter;
pub use throughput::{LINE_BYTES_MAX, READ_BYTES_MAX, ThroughputLine, ThroughputTail};

use russula_proto::Outcome;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Reads of the throughput log after the end of the driver; a driver that flooded it loses the rest of the curve.
const FINAL_READS_MAX: usize = 16;

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

#[derive(Debug)]
struct Sampling {
    writer: ResultWriter,
    sampler: ProcSampler,
    throughput: Option<ThroughputLog>,
    started: Instant,
    interval: Option<Duration>,
    next_tick: u32,
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
        let interval = interval.filter(|interval| !interval.is_zero());
        let mut sampler = ProcSampler::new(pid);
        if interval.is_some() {
            // The baseline of the first sample; a process that is gone already has none.
            let _ = sampler.sample(started);
        }
        let sampling = Sampling {
            writer: ResultWriter::create(path, &header)?,
            sampler,
            throughput: throughput_log.map(ThroughputLog::new),
            started,
            interval,
            next_tick: 1,
        };
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

    /// Samples the process and writes a line. The next sample is the first multiple of the interval after `now`,
    /// so a late call loses samples and shifts none.
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

    /// Writes the last line, with the real duration and the kernel's totals of the process.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self, outcome: &Outcome) -> io::Result<()> {
        let mut last = Sample {
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
            Kind::Sampling(mut sampling) => {
                if let Some(log) = &mut sampling.throughput {
                    log.read_rest(&mut last);
                }
                sampling.writer.write(&last)
            }
            Kind::Adopted(header) => {
                repair(&self.path, &header).map_err(io::Error::other)?;
                ResultWriter::append(&self.path)?.write(&last)
            }
        }
    }
}

impl Sampling {
    fn next_sample(&self) -> Option<Instant> {
        self.started.checked_add(self.interval?.checked_mul(self.next_tick)?)
    }

    fn sample(&mut self, now: Instant) -> io::Result<()> {
        let Some(interval) = self.interval else { return Ok(()) };
        let elapsed = now.saturating_duration_since(self.started);
        let ticks_passed = elapsed.as_nanos() / interval.as_nanos();
        self.next_tick =
            u32::try_from(ticks_passed).unwrap_or(u32::MAX).saturating_add(1).max(self.next_tick);

        let process = match self.sampler.sample(now) {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut sample = Sample {
            t: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            cpu: process.cpu_percent,
            context_switches: process.context_switches,
            memory: process.resident_bytes,
            virtual_memory: process.virtual_bytes,
            ..Sample::default()
        };
        if let Some(log) = &mut self.throughput {
            log.read_into(&mut sample);
        }
        self.writer.write(&sample)
    }
}

/// The driver's throughput lines on their way into samples. A log that cannot be read costs the curve, not the run.
#[derive(Debug)]
struct ThroughputLog {
    path: PathBuf,
    tail: Option<ThroughputTail>,
    last_line: Duration,
}

impl ThroughputLog {
    fn new(path: PathBuf) -> Self {
        Self { path, tail: None, last_line: Duration::ZERO }
    }

    /// Adds the lines of one bounded read; whether there may be more to read.
    fn read_into(&mut self, sample: &mut Sample) -> bool {
        if self.tail.is_none() {
            self.tail = ThroughputTail::open(&self.path).ok();
        }
        let Some(Ok((lines, more))) = self.tail.as_mut().map(ThroughputTail::read_chunk) else {
            return false;
        };
        for line in lines {
            let period_s = line.elapsed.saturating_sub(self.last_line).as_secs_f64();
            self.last_line = line.elapsed;
            // A float beyond the range of the integer becomes its largest value.
            let sent = (line.tx_bytes_per_second * period_s).round() as u64;
            let received = (line.rx_bytes_per_second * period_s).round() as u64;
            sample.send.entry(StreamId::default()).or_default().add(sent);
            sample.receive.entry(StreamId::default()).or_default().add(received);
        }
        more
    }

    fn read_rest(&mut self, sample: &mut Sample) {
        for _ in 0..FINAL_READS_MAX {
            if !self.read_into(sample) {
                return;
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

    #[cfg(target_os = "linux")]
    #[test]
    fn throughput_lines_become_bytes_but_no_totals() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = (dir.path().join("client.json"), dir.path().join("stderr"));
        let started = Instant::now();
        let pid = std::process::id();
        let mut collector =
            Collector::start(&path, header(pid), Some(TICK), Some(log.clone()), started).unwrap();
        collector.sample(started + TICK).unwrap();
        fs::write(&log, "0:00:01 throughput: rx=10Bps tx=1KBps\n0:00:03 throughput: rx=10Bps tx=1KBps\n")
            .unwrap();
        collector.sample(started + 2 * TICK).unwrap();
        collector.sample(started + 3 * TICK).unwrap();
        let more = "0:00:04 throughput: rx=5Bps tx=0Bps\n";
        let whole = fs::read_to_string(&log).unwrap() + more;
        fs::write(&log, whole).unwrap();
        collector.finish(&outcome()).unwrap();

        let file = read(&path).unwrap();
        let received =
            file.samples.iter().map(|s| s.receive.get(&StreamId::default()).copied()).collect::<Vec<_>>();
        let stat = |count, total| Some(Stat { count, total });
        assert_eq!(received, [None, stat(2, 30), None, stat(1, 5)]);
        assert_eq!(file.samples[1].send[&StreamId::default()], Stat { count: 2, total: 3000 });
        assert_eq!(file.totals(), expected_totals());
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
