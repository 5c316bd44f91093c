//! Files that a reader sees as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `content` beside `path` and renames it, so that there is never half a file under that name.
///
/// # Errors
/// The system's word for why it could not be written; what was at `path` is still there then.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // The process id keeps two programs apart that write the same file at the same time.
    let new = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written =
        File::create(&new).and_then(|mut file| file.write_all(content)).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk half of it may be there. The error that counts is the first one.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Whether a process that died while it replaced a file may have left this one.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(".new")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("summary.json");
        for content in ["long at first", "short"] {
            replace(&path, content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), content);
        }
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("summary.json");
        fs::create_dir(&path).expect("a directory that no file can take the place of");
        replace(&path, b"text").expect_err("a directory is in the way");
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 1);
    }
}
