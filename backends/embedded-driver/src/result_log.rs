//! The driver's own result file, written by a thread of its own so that a busy script does not delay a line.

use crate::error::DriverError;
use crate::statistics::Statistics;
use backends::collector::{Header, ProcSampler, ResultWriter, Sample};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A result file in the making.
pub(crate) struct ResultLog {
    path: PathBuf,
    writing: Writing,
}

enum Writing {
    /// Nothing is to be written before the end, so nothing runs.
    AtEnd(Log),
    /// A thread writes a line every interval, and the last one once the sender is dropped.
    Sampling { stop: Sender<()>, thread: JoinHandle<io::Result<()>> },
}

impl ResultLog {
    /// Creates the file and begins to sample, if there is an interval.
    pub(crate) fn start(
        path: &Path,
        driver: &str,
        scenario: &Path,
        traces: &[String],
        interval: Option<Duration>,
        statistics: Arc<Statistics>,
    ) -> Result<Self, DriverError> {
        let in_file = |source| DriverError::Result { path: path.to_owned(), source };
        let pid = std::process::id();
        let header = Header {
            pid: pid.into(),
            driver: driver.to_owned(),
            scenario: scenario.display().to_string(),
            start_time: std::time::SystemTime::now().into(),
            traces: traces.to_vec(),
        };
        let started = Instant::now();
        let mut sampler = ProcSampler::new(pid);
        // The baseline of the first line; where there is no /proc, the lines lack what would come from there.
        let _ = sampler.sample(started);
        let writer = ResultWriter::create(path, &header).map_err(in_file)?;
        let mut log = Log { writer, sampler, statistics, started };
        let writing = match interval {
            None => Writing::AtEnd(log),
            Some(interval) => {
                let (stop, stopped) = channel();
                let thread = std::thread::Builder::new()
                    .name("sampler".into())
                    .spawn(move || log.sample_until(&stopped, interval))
                    .map_err(in_file)?;
                Writing::Sampling { stop, thread }
            }
        };
        Ok(Self { path: path.to_owned(), writing })
    }

    /// Writes the last line.
    pub(crate) fn finish(self) -> Result<(), DriverError> {
        let result = match self.writing {
            Writing::AtEnd(mut log) => log.write_line(),
            Writing::Sampling { stop, thread } => {
                drop(stop);
                thread.join().unwrap_or_else(|_| Err(io::Error::other("the sampler has panicked")))
            }
        };
        result.map_err(|source| DriverError::Result { path: self.path, source })
    }
}

struct Log {
    writer: ResultWriter,
    sampler: ProcSampler,
    statistics: Arc<Statistics>,
    started: Instant,
}

impl Log {
    /// A line at each multiple of `interval` since the start, and one at the end.
    fn sample_until(&mut self, stopped: &Receiver<()>, interval: Duration) -> io::Result<()> {
        let mut next = self.started + interval;
        loop {
            match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => self.write_line()?,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return self.write_line(),
            }
            let now = Instant::now();
            while next <= now {
                next += interval;
            }
        }
    }

    fn write_line(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.started);
        let mut sample =
            Sample { t: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), ..Sample::default() };
        if let Ok(process) = self.sampler.sample(now) {
            sample.cpu = process.cpu_percent;
            sample.context_switches = process.context_switches;
            sample.memory = process.resident_bytes;
            sample.virtual_memory = process.virtual_bytes;
        }
        self.statistics.take_into(&mut sample);
        self.writer.write(&sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backends::collector::{Totals, read};

    fn start(path: &Path, interval: Option<Duration>) -> ResultLog {
        let statistics = Arc::new(Statistics::default());
        statistics.count_accepted_connection();
        ResultLog::start(path, "driver", Path::new("s.json"), &["lbl".into()], interval, statistics).unwrap()
    }

    #[test]
    fn without_an_interval_there_is_one_line_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.json");
        let log = start(&path, None);
        assert_eq!(read(&path).unwrap().samples.len(), 0);
        log.finish().unwrap();
        let file = read(&path).unwrap();
        assert_eq!(
            (file.header.driver.as_str(), &file.header.traces[..]),
            ("driver", &["lbl".to_owned()][..])
        );
        assert_eq!(file.samples.len(), 1);
        assert_eq!(file.samples[0].connections, 1);
        let totals = Totals { sent_bytes: Some(0), received_bytes: Some(0), ..Totals::default() };
        assert_eq!(file.totals(), totals);
    }

    #[test]
    fn lines_come_while_the_driver_is_busy_and_one_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.json");
        let log = start(&path, Some(Duration::from_millis(5)));
        let limit = Instant::now() + Duration::from_secs(10);
        while read(&path).unwrap().samples.len() < 3 {
            assert!(Instant::now() < limit, "no lines");
        }
        log.finish().unwrap();
        let samples = read(&path).unwrap().samples;
        assert!(samples.windows(2).all(|pair| pair[0].t <= pair[1].t));
        assert_eq!(samples.iter().map(|sample| sample.connections).sum::<u64>(), 1);
        if cfg!(target_os = "linux") {
            assert!(samples.iter().all(|sample| sample.memory > 100_000));
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let statistics = Arc::new(Statistics::default());
        let path = Path::new("/nonexistent/result.json");
        let error = ResultLog::start(path, "driver", Path::new("s"), &[], None, statistics).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/result.json"));
    }
}
