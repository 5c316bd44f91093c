//! Reads result files of any origin, as far as they can be read.

use super::result_file::{Header, Sample, Totals};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest result file that is read. A line of 1 KiB every 100 ms gives this much in seven hours.
pub const RESULT_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest line that is read in one piece, in bytes. A line names every stream of an interval, some 40 bytes each.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A result file as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultFile {
    /// The first line; the default if the file lacks it.
    pub header: Header,
    /// Whether there is no header; its line is lost, or one of those that were skipped.
    pub lacks_header: bool,
    /// The lines after it, in the order of the file.
    pub samples: Vec<Sample>,
    /// Whether the last line was cut off, which is what a killed writer leaves.
    pub truncated: bool,
    /// Lines, without a truncated one, that are no samples, such as output of the driver that got between them.
    pub skipped_lines: usize,
}

impl ResultFile {
    /// Lines of the file that are not blank, of whatever kind.
    pub fn lines(&self) -> usize {
        usize::from(!self.lacks_header) + self.samples.len() + self.unreadable_lines()
    }

    /// Lines of the file that are neither its header nor a sample: those that were skipped and a truncated one.
    pub fn unreadable_lines(&self) -> usize {
        self.skipped_lines + usize::from(self.truncated)
    }

    /// All totals of the file as one: where several lines tell a figure, the last one is taken.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for later in self.samples.iter().filter_map(|sample| sample.totals.as_ref()) {
            totals.merge(later);
        }
        totals
    }
}

/// Why a result file gives no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultFileError {
    /// The file could not be read or written.
    #[error("cannot access the result file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The file is larger than [`RESULT_FILE_BYTES_MAX`].
    #[error("the result file {} has more than {RESULT_FILE_BYTES_MAX} bytes; sample less often", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file has no line at all: its driver died before it began to write.
    #[error("the result file {} is empty; expected a header line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The first line is not a header, and no other line is of the format.
    #[error("the first line of {} is no netbench result header, and nothing after it is a result", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Lines of the file that are not blank, at least 1.
        lines: usize,
        /// What is wrong with the first line.
        source: serde_json::Error,
    },
}

/// Reads a result file. Lines of neither kind are skipped and counted; no bytes make this panic.
///
/// # Errors
/// The file cannot be read, is too large, or has no line of the format.
pub fn read(path: &Path) -> Result<ResultFile, ResultFileError> {
    let in_file = |source| ResultFileError::Io { path: path.to_owned(), source };
    let mut input = BufReader::new(File::open(path).map_err(in_file)?.take(RESULT_FILE_BYTES_MAX + 1));
    let mut reading = Reading::default();
    let mut line = Vec::new();
    while read_line(&mut input, &mut line).map_err(in_file)? {
        reading.take_line(&line);
    }
    if input.get_ref().limit() == 0 {
        return Err(ResultFileError::TooLarge { path: path.to_owned() });
    }
    reading.into_result(path)
}

/// A result file that is being read.
#[derive(Default)]
struct Reading {
    file: ResultFile,
    has_header: bool,
    /// Lines that are not blank.
    lines: usize,
    /// Why the first line is no header.
    first_line_error: Option<serde_json::Error>,
    /// What the last line is, if it is neither header nor sample.
    bad_end: Option<BadEnd>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BadEnd {
    WholeLine,
    CutLine,
}

impl Reading {
    fn take_line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.lines += 1;
        self.file.skipped_lines += usize::from(self.bad_end.take().is_some());
        let no_sample = match serde_json::from_slice(line) {
            Ok(sample) => return self.file.samples.push(sample),
            Err(error) => error,
        };
        // Output of the driver may stand before the header, too.
        let error = match serde_json::from_slice(line) {
            Ok(header) if !self.has_header => {
                self.file.header = header;
                self.has_header = true;
                return;
            }
            Ok(_) => no_sample,
            Err(no_header) => no_header,
        };
        if self.lines == 1 {
            self.first_line_error = Some(error);
        }
        self.bad_end = Some(if line.ends_with(b"\n") { BadEnd::WholeLine } else { BadEnd::CutLine });
    }

    fn into_result(mut self, path: &Path) -> Result<ResultFile, ResultFileError> {
        let path = || path.to_owned();
        if !self.has_header && self.file.samples.is_empty() {
            return Err(match self.first_line_error {
                Some(source) => ResultFileError::Header { path: path(), lines: self.lines, source },
                None => ResultFileError::Empty { path: path() },
            });
        }
        self.file.lacks_header = !self.has_header;
        self.file.truncated = self.bad_end == Some(BadEnd::CutLine);
        self.file.skipped_lines += usize::from(self.bad_end == Some(BadEnd::WholeLine));
        Ok(self.file)
    }
}

/// Reads up to and including the next line feed, [`LINE_BYTES_MAX`] at most; `false` at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)? > 0)
}

#[cfg(test)]
mod tests {
    use super::super::ResultWriter;
    use super::super::fixture::{HEADER, file_with, other_header};
    use super::*;

    #[test]
    fn what_the_writer_writes_is_read_back() {
        let (_dir, path) = file_with(b"left over from another run");
        let mut writer = ResultWriter::create(&path, &other_header()).unwrap();
        let first = Totals { cpu_us: Some(1), sent_bytes: Some(2), ..Totals::default() };
        let last = Totals { cpu_us: Some(3), ..Totals::default() };
        writer.write(&Sample { t: 1, totals: Some(first), ..Sample::default() }).unwrap();
        writer.write(&Sample { t: 2, totals: Some(last), ..Sample::default() }).unwrap();
        let file = read(&path).unwrap();
        assert_eq!(file.header, other_header());
        assert_eq!((file.samples.len(), file.truncated, file.skipped_lines), (2, false, 0));
        assert_eq!(file.totals(), Totals { cpu_us: Some(3), sent_bytes: Some(2), ..Totals::default() });
    }

    #[test]
    fn a_cut_last_line_is_told_from_a_foreign_line() {
        let (_dir, path) = file_with(format!("{HEADER}\nhello\n{{\"t\":1}}\n{{\"t\":").as_bytes());
        let file = read(&path).unwrap();
        assert_eq!((file.samples.len(), file.skipped_lines, file.truncated), (1, 1, true));
        let (_dir, path) = file_with(format!("{HEADER}\nhello\n").as_bytes());
        let file = read(&path).unwrap();
        assert_eq!((file.samples.len(), file.skipped_lines, file.truncated), (0, 1, false));
    }

    #[test]
    fn what_is_no_line_of_the_format_is_counted() {
        let (_dir, path) =
            file_with(format!("{HEADER}\nnot json\n\n{{\"t\":100}}\n{{\"t\":-1}}\n[]\n{{}}\n").as_bytes());
        let file = read(&path).unwrap();
        assert_eq!((file.samples.len(), file.unreadable_lines(), file.lines()), (1, 4, 6));
        let (_dir, path) = file_with(b"{\"pid\":\n{\"t\":1}\n");
        let file = read(&path).unwrap();
        assert_eq!((file.lacks_header, file.unreadable_lines(), file.lines()), (true, 1, 2));
        let (_dir, path) = file_with(format!("listening\n{HEADER}\n{{\"t\":1}}\n").as_bytes());
        let file = read(&path).unwrap();
        assert_eq!((file.lacks_header, file.header.pid, file.unreadable_lines()), (false, 9, 1));
        let (_dir, path) = file_with(&[0xff, 0xfe, 0, b'\n', b'{', b'}']);
        assert!(matches!(read(&path), Err(ResultFileError::Header { lines: 2, .. })));
    }

    #[test]
    fn a_line_without_end_is_read_in_bounded_pieces() {
        let mut bytes = format!("{HEADER}\n").into_bytes();
        bytes.resize(bytes.len() + LINE_BYTES_MAX as usize + 10, b'x');
        let (_dir, path) = file_with(&bytes);
        let file = read(&path).unwrap();
        assert_eq!((file.unreadable_lines(), file.lines()), (2, 3));
    }

    #[test]
    fn an_empty_file_and_a_bad_header_are_named() {
        let (_dir, path) = file_with(b"\n\n");
        assert!(matches!(read(&path), Err(ResultFileError::Empty { .. })));
        let (_dir, path) = file_with(b"{\"pid\":");
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ResultFileError::Header { .. }));
        assert!(error.to_string().contains("client.json"));
        assert!(matches!(read(Path::new("/nonexistent/x")), Err(ResultFileError::Io { .. })));
    }
}
