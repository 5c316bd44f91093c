//! Follows the throughput lines that a stock driver prints with `TRACE=throughput`.
//!
//! The driver prints `0:00:01.001923 throughput: rx=998Bps tx=526.05MBps` about once a second (`trace.rs` of the
//! netbench library), on stderr. The rates are rounded to a few digits, so they draw a curve and sum up to nothing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

/// Most bytes that one call takes from the log; a driver that floods its output is read with delay.
pub(super) const READ_BYTES_MAX: usize = 64 * 1024;

/// Longest line that can be a throughput line; longer ones are dropped unread.
pub(super) const LINE_BYTES_MAX: usize = 512;

/// What one line tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ThroughputLine {
    /// Since the driver's first look at its clock.
    pub(super) elapsed: Duration,
    /// Received, rounded by the driver.
    pub(super) rx_bytes_per_second: f64,
    /// Sent, rounded by the driver.
    pub(super) tx_bytes_per_second: f64,
}

/// Reads what is appended to a log.
#[derive(Debug)]
pub(super) struct ThroughputTail {
    file: File,
    lines: LineBuffer,
}

impl ThroughputTail {
    /// Opens the log, from its beginning.
    ///
    /// # Errors
    /// What the file system says, also if the file does not exist yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, lines: LineBuffer::default() })
    }

    /// Opens the log, from its present end.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(super) fn open_at_end(path: &Path) -> io::Result<Self> {
        let mut tail = Self::open(path)?;
        tail.file.seek(SeekFrom::End(0))?;
        Ok(tail)
    }

    /// The throughput lines that were completed since the last call, from [`READ_BYTES_MAX`] bytes at most, and
    /// whether there may be more to read.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn read_chunk(&mut self) -> io::Result<(Vec<ThroughputLine>, bool)> {
        let mut bytes = Vec::with_capacity(READ_BYTES_MAX);
        (&mut self.file).take(READ_BYTES_MAX as u64).read_to_end(&mut bytes)?;
        let mut found = Vec::new();
        self.lines.push(&bytes, |line| found.extend(parse(line)));
        Ok((found, bytes.len() == READ_BYTES_MAX))
    }
}

/// Cuts a stream of bytes into lines; holds [`LINE_BYTES_MAX`] bytes at most.
#[derive(Debug, Default)]
struct LineBuffer {
    partial: Vec<u8>,
    /// The current line is too long, so that its end is not mistaken for a line.
    overlong: bool,
}

impl LineBuffer {
    fn push(&mut self, bytes: &[u8], mut on_line: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.overlong |= self.partial.len() + text.len() > LINE_BYTES_MAX;
            if !self.overlong {
                self.partial.extend_from_slice(text);
            }
            if complete {
                if let (false, Ok(line)) = (self.overlong, str::from_utf8(&self.partial)) {
                    on_line(line);
                }
                self.partial.clear();
                self.overlong = false;
            }
        }
    }
}

fn parse(line: &str) -> Option<ThroughputLine> {
    let (time, rates) = line.trim().split_once(" throughput: ")?;
    let (rx, tx) = rates.split_once(' ')?;
    Some(ThroughputLine {
        elapsed: parse_time(time)?,
        rx_bytes_per_second: parse_rate(rx.strip_prefix("rx=")?)?,
        tx_bytes_per_second: parse_rate(tx.strip_prefix("tx=")?)?,
    })
}

/// `h:mm:ss` or `h:mm:ss.micros`, as a `Timestamp` of s2n-quic-core is shown.
fn parse_time(text: &str) -> Option<Duration> {
    let (whole, micros) = text.split_once('.').unwrap_or((text, "0"));
    if micros.len() > 6 {
        return None;
    }
    let mut parts = whole.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let seconds = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros.parse().ok()?))
}

/// `526.05MBps`: bytes with a decimal prefix, as the humansize crate shows them.
fn parse_rate(text: &str) -> Option<f64> {
    let text = text.strip_suffix("Bps")?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.strip_prefix(digits)? {
        "" => 1.0,
        "K" | "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Printed by `s2n-netbench-driver-server-tcp` 0.1.0.
    const STOCK: &str = "0:00:01.001129 throughput: rx=0Bps tx=0Bps\n\
                         0:00:02.030063 throughput: rx=971Bps tx=3.63GBps\n";

    fn lines_of(bytes: &[u8], chunk: usize) -> Vec<ThroughputLine> {
        let mut buffer = LineBuffer::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(chunk) {
            buffer.push(piece, |line| found.extend(parse(line)));
            assert!(buffer.partial.len() <= LINE_BYTES_MAX);
        }
        found
    }

    #[test]
    fn stock_lines_are_understood_in_any_split() {
        for chunk in 1..STOCK.len() {
            let lines = lines_of(STOCK.as_bytes(), chunk);
            assert_eq!(lines.len(), 2);
            assert_eq!(lines[1].elapsed, Duration::from_micros(2_030_063));
            assert_eq!(lines[1].rx_bytes_per_second, 971.0);
            assert!((lines[1].tx_bytes_per_second - 3.63e9).abs() < 1.0);
        }
    }

    #[test]
    fn a_whole_second_has_no_fraction() {
        let line = parse("1:02:03 throughput: rx=1KBps tx=2.5MBps").unwrap();
        assert_eq!(line.elapsed, Duration::from_secs(3723));
        assert_eq!((line.rx_bytes_per_second, line.tx_bytes_per_second), (1e3, 2.5e6));
    }

    #[test]
    fn anything_else_is_no_line() {
        for line in [
            "",
            " throughput: ",
            "0:00:01 throughput: rx=1Bps",
            "0:00:01 throughput: rx=infBps tx=1Bps",
            "0:00:01 throughput: rx=nanBps tx=1Bps",
            "0:00:01 throughput: rx=-1Bps tx=1Bps",
            "0:00:01 throughput: rx=1XBps tx=1Bps",
            "0:00:61 throughput: rx=1Bps tx=1Bps",
            "0:00:01:00 throughput: rx=1Bps tx=1Bps",
            "99999999999999999999:00:01 throughput: rx=1Bps tx=1Bps",
            "18446744073709551615:00:01 throughput: rx=1Bps tx=1Bps",
            "0:00:01.1234567 throughput: rx=1Bps tx=1Bps",
            "error: Broken pipe",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn garbage_and_overlong_lines_around_a_line_do_not_hide_it() {
        let mut bytes = vec![0xff; 3 * LINE_BYTES_MAX];
        bytes.extend_from_slice(b" 0:00:01 throughput: rx=1Bps tx=1Bps\n\xff\xfe\n");
        bytes.extend_from_slice(b"0:00:02 throughput: rx=2Bps tx=2Bps\n");
        for chunk in [1, 7, LINE_BYTES_MAX, bytes.len()] {
            let lines = lines_of(&bytes, chunk);
            assert_eq!(lines.iter().map(|line| line.rx_bytes_per_second).collect::<Vec<_>>(), [2.0]);
        }
    }

    #[test]
    fn a_growing_log_is_followed_and_a_flood_is_read_in_bounded_steps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(ThroughputTail::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut log = File::create(&path).unwrap();
        let mut tail = ThroughputTail::open(&path).unwrap();
        assert_eq!(tail.read_chunk().unwrap(), (vec![], false));

        let (first, rest) = STOCK.split_at(30);
        log.write_all(first.as_bytes()).unwrap();
        assert_eq!(tail.read_chunk().unwrap(), (vec![], false));
        log.write_all(rest.as_bytes()).unwrap();
        assert_eq!(tail.read_chunk().unwrap().0.len(), 2);
        assert_eq!(tail.read_chunk().unwrap(), (vec![], false));

        log.write_all(&vec![b'x'; 2 * READ_BYTES_MAX]).unwrap();
        log.write_all(format!("\n{STOCK}").as_bytes()).unwrap();
        assert_eq!(tail.read_chunk().unwrap(), (vec![], true));
        assert_eq!(tail.read_chunk().unwrap(), (vec![], true));
        let (lines, more) = tail.read_chunk().unwrap();
        assert_eq!((lines.len(), more), (2, false));
    }
}
