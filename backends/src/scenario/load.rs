//! From a path to the parsed file.

use super::error::Problem;
use super::explain::explain;
use super::format::File;
use super::{MAX_FILE_BYTES, MAX_NAME_LEN};
use serde_json::error::Category;
use std::fs;
use std::io::{BufReader, ErrorKind, Read, Take};
use std::path::Path;

/// A file over this size that does not parse is not read once more to find the wrong place, which takes many
/// times its size in memory.
const MAX_EXPLAINED_BYTES: usize = 16 * 1024 * 1024;

/// The name of a scenario whose file name has no usable character.
const FALLBACK_NAME: &str = "scenario";

/// Reads and parses the file at `path`, of at most [`MAX_FILE_BYTES`], without ever holding all of its text.
pub(super) fn load(path: &Path) -> Result<File, Problem> {
    match serde_json::from_reader(BufReader::new(open(path)?)) {
        Ok(file) => Ok(file),
        // What is wrong is explained by means of the whole text.
        Err(_) => parse(&read(path)?),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut json = Vec::new();
    open(path)?.read_to_end(&mut json).map_err(not_read)?;
    if json.len() as u64 > MAX_FILE_BYTES {
        return Err(Problem::TooLarge { found_bytes: json.len() as u64 });
    }
    Ok(json)
}

/// The file, which ends one byte above the limit even if it is still growing.
fn open(path: &Path) -> Result<Take<fs::File>, Problem> {
    let metadata = fs::metadata(path).map_err(not_read)?;
    if metadata.is_dir() {
        return Err(Problem::NotAFile { found: "a directory" });
    }
    // A pipe would be gone after one reader, and the same file has to reach every host.
    if !metadata.is_file() {
        return Err(Problem::NotAFile { found: "a pipe, socket or device" });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(Problem::TooLarge { found_bytes: metadata.len() });
    }
    Ok(fs::File::open(path).map_err(not_read)?.take(MAX_FILE_BYTES + 1))
}

/// Parses the text of a scenario.
pub(super) fn parse(json: &[u8]) -> Result<File, Problem> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::Empty);
    }
    serde_json::from_slice(json).map_err(|error| match error.classify() {
        Category::Eof => Problem::CutOff { line: error.line(), column: error.column() },
        // The parser calls a number in the place of an operation an error of syntax, too.
        Category::Syntax | Category::Io => {
            explained(json).unwrap_or_else(|| Problem::NotJson { detail: error.to_string() })
        }
        Category::Data => explained(json)
            .unwrap_or_else(|| Problem::Malformed { at: "the file".into(), detail: error.to_string() }),
    })
}

/// The name of the scenario in `path`; see [`Scenario::name`](super::Scenario::name).
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = stem.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    // A leading dot hides a directory or leads out of it, a leading dash looks like an option.
    let name: String = name.trim_start_matches(['.', '-']).chars().take(MAX_NAME_LEN).collect();
    if name.is_empty() { FALLBACK_NAME.into() } else { name }
}

fn not_read(error: std::io::Error) -> Problem {
    if error.kind() == ErrorKind::NotFound { Problem::Missing(error) } else { Problem::Unreadable(error) }
}

/// What is wrong with a file that is JSON; `None` if it is none, or too large to be read once more.
fn explained(json: &[u8]) -> Option<Problem> {
    let small = json.len() <= MAX_EXPLAINED_BYTES;
    let value = small.then(|| serde_json::from_slice(json).ok()).flatten()?;
    explain(&value)
}
