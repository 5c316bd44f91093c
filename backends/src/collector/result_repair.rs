//! Repairs result files whose driver died.

use super::result_file::{Header, Sample};
use super::result_reader::{RESULT_FILE_BYTES_MAX, ResultFileError};
use super::result_writer::ResultWriter;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Makes a result file valid for `s2n-netbench report-tree`, which aborts all of its work at one bad file.
///
/// What is no whole line of the format is removed; a missing header is put in place from `header`; a missing or
/// empty file is created with it. A file that is valid stays untouched.
///
/// # Errors
/// The file cannot be read or written, or is too large.
pub fn repair(path: &Path, header: &Header) -> Result<(), ResultFileError> {
    let original = match read_bytes(path) {
        Err(ResultFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let in_file = |source| ResultFileError::Io { path: path.to_owned(), source };
    match repaired(&original) {
        None => ResultWriter::create(path, header).map(drop).map_err(in_file),
        Some(Repaired { needs_header, lines }) => {
            let mut bytes = Vec::with_capacity(original.len() + 1);
            if needs_header {
                serde_json::to_writer(&mut bytes, header).map_err(|source| in_file(source.into()))?;
                bytes.push(b'\n');
            }
            for line in lines {
                bytes.extend_from_slice(line);
                bytes.push(b'\n');
            }
            replace(path, &original, &bytes).map_err(in_file)
        }
    }
}

/// The lines of a file that can stay.
struct Repaired<'a> {
    needs_header: bool,
    lines: Vec<&'a [u8]>,
}

/// `None` if no line can stay.
fn repaired(original: &[u8]) -> Option<Repaired<'_>> {
    let mut lines = lines_of(original).peekable();
    let first = lines.next_if(|line| is_stock_header(line));
    let needs_header = first.is_none();
    let mut kept: Vec<&[u8]> = first.into_iter().collect();
    kept.extend(lines.filter(|line| serde_json::from_slice::<Sample>(line).is_ok()));
    if kept.is_empty() { None } else { Some(Repaired { needs_header, lines: kept }) }
}

/// Writes as little as possible: cutting the end off works on a full disk, too.
fn replace(path: &Path, original: &[u8], wanted: &[u8]) -> io::Result<()> {
    if original == wanted {
        Ok(())
    } else if original.starts_with(wanted) {
        File::options().write(true).open(path)?.set_len(wanted.len() as u64)
    } else if let Some(missing) = wanted.strip_prefix(original) {
        File::options().append(true).open(path)?.write_all(missing)
    } else {
        // A rename, so that there is a whole file under this name at any moment.
        let mut name = path.as_os_str().to_owned();
        name.push(".repairing");
        let temporary = PathBuf::from(name);
        fs::write(&temporary, wanted)?;
        fs::rename(&temporary, path)
    }
}

/// The stock tools require every field but `traces`, where our [`Header`] requires `start_time` only.
fn is_stock_header(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Required {
        #[serde(rename = "pid")]
        _pid: u64,
        #[serde(rename = "driver")]
        _driver: String,
        #[serde(rename = "scenario")]
        _scenario: String,
        #[serde(rename = "start_time")]
        _start_time: std::time::SystemTime,
    }
    serde_json::from_slice::<Required>(line).is_ok() && serde_json::from_slice::<Header>(line).is_ok()
}

/// The lines that have anything in them.
fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ResultFileError> {
    let in_file = |source| ResultFileError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(in_file)?.take(RESULT_FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(in_file)?;
    if bytes.len() as u64 > RESULT_FILE_BYTES_MAX {
        return Err(ResultFileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{HEADER, file_with, other_header};
    use super::super::{ResultFile, read};
    use super::*;

    #[test]
    fn a_cut_at_any_byte_is_readable_after_the_repair() {
        let whole = format!("{HEADER}\n{{\"t\":1,\"cpu\":2.5}}\n{{\"t\":2}}\n");
        for cut in 0..=whole.len() {
            let (_dir, path) = file_with(&whole.as_bytes()[..cut]);
            repair(&path, &other_header()).unwrap();
            let file = read(&path).unwrap();
            assert!(!file.truncated && file.skipped_lines == 0, "cut at {cut}");
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.last(), Some(&b'\n'), "cut at {cut}");
            if cut >= HEADER.len() {
                assert_eq!(file.header.driver, "tcp", "cut at {cut}");
                assert!(bytes.starts_with(HEADER.as_bytes()));
            } else {
                assert_eq!(file.header, other_header(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_whole_file_stays_untouched() {
        let whole = format!("{HEADER}\n{{\"t\":1,\"unknown\":[]}}\n");
        let (_dir, path) = file_with(whole.as_bytes());
        repair(&path, &other_header()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole.as_bytes());
    }

    #[test]
    fn a_missing_file_is_created_with_the_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.json");
        repair(&path, &other_header()).unwrap();
        assert_eq!(read(&path).unwrap(), ResultFile { header: other_header(), ..ResultFile::default() });
    }

    #[test]
    fn lines_of_a_file_without_header_are_kept() {
        let (_dir, path) = file_with(b"{}\nthread main panicked\n{\"t\":4}\n{\"cpu\":1}\n");
        repair(&path, &other_header()).unwrap();
        let file = read(&path).unwrap();
        assert_eq!(file.header, other_header());
        assert_eq!(file.samples, [Sample { t: 4, ..Sample::default() }]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        // A linear congruential generator: the same garbage in every run.
        let mut state = 1_u64;
        for _ in 0..500 {
            let mut bytes =
                format!("{HEADER}\n{{\"t\":1,\"send\":{{\"0:0\":{{\"count\":1}}}}}}\n").into_bytes();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8;
            }
            let (_dir, path) = file_with(&bytes);
            if let Ok(file) = read(&path) {
                let _ = file.totals();
            }
            repair(&path, &other_header()).unwrap();
            let file = read(&path).unwrap();
            assert!(!file.truncated && file.skipped_lines == 0);
        }
    }
}
