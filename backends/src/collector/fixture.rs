//! What the tests of the reader and of the repair share.

use super::Header;
use std::fs;
use std::path::PathBuf;

/// The first line of a result file.
pub(super) const HEADER: &str = r#"{"pid":9,"driver":"tcp","scenario":"s.json","start_time":{"secs_since_epoch":1,"nanos_since_epoch":2}}"#;

/// A result file with these bytes, and the directory that keeps it.
pub(super) fn file_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.json");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// A header that differs from [`HEADER`].
pub(super) fn other_header() -> Header {
    Header { pid: 3, driver: "other".into(), scenario: "x".into(), ..Header::default() }
}
