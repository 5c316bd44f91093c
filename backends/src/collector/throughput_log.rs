//! Places a driver's throughput lines on the clock of the collector.

use super::held_samples::RateWindow;
use super::throughput::{ThroughputLine, ThroughputTail};
use std::path::PathBuf;
use std::time::Duration;

/// The log that a driver's throughput lines go to. One that cannot be read costs the curve, not the run.
#[derive(Debug)]
pub(super) struct ThroughputLog {
    path: PathBuf,
    tail: Option<ThroughputTail>,
    /// By when everything in the log had been read, since the start of the process.
    read_until: Duration,
    timeline: Timeline,
}

impl ThroughputLog {
    /// Follows the log at `path`, which need not exist yet. What it holds already is an earlier driver's.
    pub(super) fn new(path: PathBuf) -> Self {
        let tail = ThroughputTail::open_at_end(&path).ok();
        Self { path, tail, read_until: Duration::ZERO, timeline: Timeline::default() }
    }

    /// The windows of the lines of one bounded read at `now`, and whether there may be more to read.
    pub(super) fn read(&mut self, now: Duration) -> (Vec<RateWindow>, bool) {
        if self.tail.is_none() {
            self.tail = ThroughputTail::open(&self.path).ok();
        }
        let Some(Ok((lines, more))) = self.tail.as_mut().map(ThroughputTail::read_chunk) else {
            return (Vec::new(), false);
        };
        let windows = lines.iter().map(|line| self.timeline.window(line, self.read_until, now)).collect();
        if !more {
            self.read_until = now;
        }
        (windows, more)
    }
}

/// Turns what lines tell by the driver's clock into windows that follow each other without a gap.
#[derive(Debug, Default)]
struct Timeline {
    /// Where the driver's clock starts, at the earliest.
    ///
    /// It starts a little after the process. A line that was not there when the log was read last has been printed
    /// since, which bounds the start from below by up to an interval; the lines to come make the bound closer.
    clock_start: Duration,
    /// The driver's clock in the line before.
    last_elapsed: Duration,
    /// End of the window before; none before the first.
    last_end: Option<Duration>,
}

impl Timeline {
    /// The window of a line that was printed after `earliest`, and before `now`.
    fn window(&mut self, line: &ThroughputLine, earliest: Duration, now: Duration) -> RateWindow {
        self.clock_start = self.clock_start.max(earliest.saturating_sub(line.elapsed));
        let begin = self.last_end.unwrap_or(self.clock_start).min(now);
        // A line from the future is no line of this driver; its window still ends somewhere.
        let end = self.clock_start.saturating_add(line.elapsed).clamp(begin, now);
        let period_s = line.elapsed.saturating_sub(self.last_elapsed).as_secs_f64();
        self.last_elapsed = line.elapsed;
        self.last_end = Some(end);
        // A float beyond the range of the integer becomes its largest value.
        let bytes = |bytes_per_second: f64| (bytes_per_second * period_s).round() as u64;
        RateWindow {
            begin,
            end,
            sent_bytes: bytes(line.tx_bytes_per_second),
            received_bytes: bytes(line.rx_bytes_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn line(elapsed_ms: u64, rx_bytes_per_second: f64) -> ThroughputLine {
        ThroughputLine { elapsed: ms(elapsed_ms), rx_bytes_per_second, tx_bytes_per_second: 0.0 }
    }

    #[test]
    fn windows_follow_each_other_and_hold_rate_times_elapsed() {
        let mut timeline = Timeline::default();
        let first = timeline.window(&line(1002, 1000.0), ms(1000), ms(1100));
        assert_eq!((first.begin, first.end, first.received_bytes), (ms(0), ms(1002), 1002));
        let second = timeline.window(&line(2503, 2000.0), ms(2500), ms(2600));
        assert_eq!((second.begin, second.end, second.received_bytes), (ms(1002), ms(2503), 3002));
    }

    #[test]
    fn a_driver_that_starts_its_clock_late_is_placed_late() {
        let mut timeline = Timeline::default();
        // The clock starts at 350 ms. All that is known: the line came between 1300 and 1400 ms.
        let first = timeline.window(&line(1000, 1.0), ms(1300), ms(1400));
        assert_eq!((first.begin, first.end), (ms(300), ms(1300)));
        // The next one came after 2350 ms, so the clock started after 340 ms.
        let second = timeline.window(&line(2010, 1.0), ms(2350), ms(2450));
        assert_eq!((second.begin, second.end), (ms(1300), ms(2350)));
    }

    #[test]
    fn lines_that_cannot_be_true_make_no_impossible_window() {
        let mut timeline = Timeline::default();
        for elapsed_ms in [9000, 1000, 0, u64::MAX, 500] {
            let window = timeline.window(&line(elapsed_ms, f64::MAX), ms(100), ms(200));
            assert!(window.begin <= window.end && window.end <= ms(200), "{window:?}");
        }
    }

    #[test]
    fn what_an_earlier_driver_left_in_the_log_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stderr");
        fs::write(&path, "0:00:01 throughput: rx=1Bps tx=1Bps\n0:00:02 throughput: rx=").unwrap();
        let mut log = ThroughputLog::new(path.clone());
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"\n0:00:01 throughput: rx=7Bps tx=0Bps\n").unwrap();
        let (windows, more) = log.read(ms(1100));
        assert_eq!((windows.iter().map(|w| w.received_bytes).collect::<Vec<_>>(), more), (vec![7], false));
        assert_eq!(log.read_until, ms(1100));
    }

    #[test]
    fn a_log_that_is_made_later_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stderr");
        let mut log = ThroughputLog::new(path.clone());
        assert_eq!(log.read(ms(100)), (vec![], false));
        fs::write(&path, "0:00:01 throughput: rx=7Bps tx=0Bps\n").unwrap();
        assert_eq!(log.read(ms(1100)).0.len(), 1);
    }
}
