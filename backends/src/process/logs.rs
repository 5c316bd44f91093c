//! The bound of a log: what a driver writes to stdout or stderr never fills the disk.
//!
//! A driver writes straight into a file, since a pipe would have somebody read it, and scheduled, during the
//! measurement. The file is cut in two steps, neither of which loses a byte that is written at the same moment:
//! - [`Log::trim`], while the driver writes: the guard gives the blocks of the old part back to the file system (a
//!   hole, `fallocate(2)`). Offsets stay what they are, so whoever follows the file is not disturbed.
//! - [`compact`], after the driver has ended: the rest moves to the start, behind a line that says what is missing.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Size in bytes at which a log is cut.
pub const LOG_MAX_BYTES: u64 = 64 << 20;

/// How many bytes of a log are kept, from its end, when it is cut.
pub const LOG_KEPT_BYTES: u64 = 16 << 20;

/// A log that is still written to by somebody.
pub(super) struct Log {
    file: File,
    /// Everything before this offset has been given back.
    first_byte: u64,
}

impl Log {
    /// The log behind `file`, which is open for writing. `None` when it is no regular file (`/dev/null`).
    pub(super) fn new(file: File) -> io::Result<Option<Self>> {
        let is_file = file.metadata()?.is_file();
        Ok(is_file.then_some(Self { file, first_byte: 0 }))
    }

    /// Gives the old part of a log of more than `max_bytes` bytes back, all but the last `kept_bytes`.
    ///
    /// On a file system without holes the whole log goes, since a full disk is worse.
    pub(super) fn trim(&mut self, max_bytes: u64, kept_bytes: u64) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        if len < self.first_byte {
            // Somebody else truncated it.
            self.first_byte = 0;
        }
        if len - self.first_byte <= max_bytes {
            return Ok(());
        }
        let cut = len.saturating_sub(kept_bytes);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, hole, 0, cut) {
            Ok(()) => self.first_byte = cut,
            Err(_) => {
                self.file.set_len(0)?;
                self.first_byte = 0;
            }
        }
        Ok(())
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Cuts the log at `path` to its last `kept_bytes` bytes if it has more than `max_bytes`. Nobody may write to it.
///
/// # Errors
/// Those of the file system. The log may then still be long, but not longer.
pub(super) fn compact(path: &Path, max_bytes: u64, kept_bytes: u64) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    if len <= max_bytes {
        return Ok(());
    }
    let mut from = len.saturating_sub(kept_bytes);
    let notice = format!("[the first {from} bytes were left out: a log keeps the last {kept_bytes} bytes]\n");
    let mut to = 0;
    let mut chunk = vec![0; 64 << 10];
    write_all_at(&file, notice.as_bytes(), &mut to)?;
    while from < len {
        let count = file.read_at(&mut chunk, from)?;
        if count == 0 {
            break;
        }
        from += count as u64;
        write_all_at(&file, &chunk[..count], &mut to)?;
    }
    file.set_len(to)?;
    (&file).flush()
}

fn write_all_at(file: &File, bytes: &[u8], offset: &mut u64) -> io::Result<()> {
    file.write_all_at(bytes, *offset)?;
    *offset += bytes.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const MIB: u64 = 1 << 20;

    fn appending(path: &Path) -> File {
        OpenOptions::new().append(true).create(true).open(path).expect("a temporary file")
    }

    #[test]
    fn trimming_frees_the_disk_and_keeps_offsets() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let mut writer = appending(&path);
        let mut log = Log::new(appending(&path)).expect("opened").expect("regular");
        for round in 1..=4 {
            writer.write_all(&vec![b'x'; MIB as usize]).expect("written");
            writer.write_all(b"end\n").expect("written");
            log.trim(MIB, 4096).expect("trimmed");
            let metadata = fs::metadata(&path).expect("there");
            // On a file system without holes the log starts anew each time.
            assert!(metadata.len() == round * (MIB + 4) || metadata.len() == 0);
            assert!(metadata.blocks() * 512 <= 16 << 10, "{} blocks", metadata.blocks());
        }
    }

    #[test]
    fn a_short_log_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        fs::write(&path, "0123456789").expect("written");
        Log::new(appending(&path)).expect("opened").expect("regular").trim(10, 4).expect("trimmed");
        compact(&path, 10, 4).expect("compacted");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "0123456789");
    }

    #[test]
    fn compacting_keeps_the_end_and_says_so() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let long = format!("{}{}", "-".repeat(1 << 20), "+".repeat(200_000));
        fs::write(&path, &long).expect("written");
        compact(&path, 1000, 200_001).expect("compacted");
        let text = fs::read_to_string(&path).expect("readable");
        let (notice, kept) = text.split_once('\n').expect("a notice");
        assert!(notice.contains("1048575 bytes were left out"), "{notice}");
        assert_eq!(kept, &long[long.len() - 200_001..]);
    }

    #[test]
    fn devices_are_left_alone() {
        assert!(Log::new(appending(Path::new("/dev/null"))).expect("opened").is_none());
        compact(Path::new("/dev/null"), 0, 0).expect("nothing to do");
    }
}
