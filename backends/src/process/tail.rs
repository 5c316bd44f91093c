//! The last lines of a log.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How the rate lines of a driver (`TRACE=throughput`) are told from its messages.
const RATE_LINE: &str = " throughput: ";

/// How many times more bytes are read than asked for, so that messages between rate lines are still found.
const READ_FACTOR: u64 = 16;

/// The last lines of the file at `path`, at most `max_bytes` bytes, without the rate lines of a driver.
///
/// Only the end of the file is read (16 times `max_bytes` at most). What is not UTF-8 is replaced (U+FFFD); a text
/// that is too long keeps its end, cut at a character boundary. Something that is no regular file (`/dev/null`) has
/// no lines.
///
/// # Errors
/// Those of opening and reading the file.
pub fn tail(path: &Path, max_bytes: usize) -> io::Result<String> {
    tail_after(path, 0, max_bytes)
}

/// As [`tail`], of what was written after the first `skip_bytes` bytes of the file.
pub(super) fn tail_after(path: &Path, skip_bytes: u64, max_bytes: usize) -> io::Result<String> {
    // Asked before it is opened: opening a named pipe would wait for a writer.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(String::new());
    }
    let mut file = File::open(path)?;
    let window = READ_FACTOR.saturating_mul(u64::try_from(max_bytes).unwrap_or(u64::MAX));
    // A file that is shorter than what is to be skipped was truncated in the meantime: all of it is new.
    let first = if skip_bytes <= metadata.len() { skip_bytes } else { 0 };
    let start = metadata.len().saturating_sub(window).max(first);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes)?;
    Ok(last_messages(&bytes, start > first, max_bytes))
}

fn last_messages(bytes: &[u8], starts_inside_a_line: bool, max_bytes: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let whole_lines = match text.split_once('\n') {
        // Half a line cannot be told from half a rate line. It counts only if there is nothing else.
        Some((_, rest)) if starts_inside_a_line && !rest.is_empty() => rest,
        Some(_) | None => &text,
    };
    let messages: String =
        whole_lines.split_inclusive('\n').filter(|line| !line.contains(RATE_LINE)).collect();
    let mut start = messages.len().saturating_sub(max_bytes);
    while !messages.is_char_boundary(start) {
        start += 1;
    }
    messages[start..].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_with(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn rate_lines_are_left_out() {
        let file = file_with(b"one\n0:00:01.001923 throughput: rx=998Bps tx=526.05MBps\ntwo");
        assert_eq!(tail(file.path(), 100).expect("readable"), "one\ntwo");
    }

    #[test]
    fn a_message_before_many_rate_lines_is_found() {
        let rates = "0:00:01.001923 throughput: rx=998Bps tx=526.05MBps\n".repeat(10);
        let file = file_with(format!("{rates}message\n{rates}").as_bytes());
        assert_eq!(tail(file.path(), 64).expect("readable"), "message\n");
    }

    #[test]
    fn the_end_is_kept_at_a_character_boundary() {
        let file = file_with("é".repeat(10_000).as_bytes());
        assert_eq!(tail(file.path(), 7).expect("readable"), "ééé");
        assert_eq!(tail(file.path(), 0).expect("readable"), "");
    }

    #[test]
    fn replaced_bytes_count_as_they_are_told() {
        let file = file_with(&[0xFF; 100]);
        assert_eq!(tail(file.path(), 8).expect("readable"), "\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn what_was_there_before_is_skipped() {
        let file = file_with(b"old\nnew\n");
        assert_eq!(tail_after(file.path(), 4, 100).expect("readable"), "new\n");
        assert_eq!(tail_after(file.path(), 100, 100).expect("readable"), "old\nnew\n");
    }

    #[test]
    fn a_device_has_no_lines() {
        assert_eq!(tail(Path::new("/dev/zero"), 100).expect("readable"), "");
    }
}
