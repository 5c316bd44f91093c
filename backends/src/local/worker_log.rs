//! The log of a worker, which shows at the same time whether a worker still writes to it.
//!
//! The lock belongs to the open file (`flock(2)`), which the worker has as its stderr, so it lasts until the worker has
//! ended, whatever became of the process that started it.

use super::worker_process::{ListenError, wait_readable};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at whether the earlier worker has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Opens the log of a worker that is about to be started. The worker of an orchestrator that died may still be stopping
/// its driver there; its end is waited for until `deadline`, or until `cancel` becomes readable.
pub(super) fn open(path: &Path, deadline: Instant, cancel: BorrowedFd) -> Result<File, ListenError> {
    let failed = |error: &dyn std::fmt::Display| {
        ListenError::Worker(format!("its log {} cannot be written: {error}", path.display()))
    };
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let file = opened.map_err(|error| failed(&error))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(ListenError::Worker(format!(
                    "an earlier worker, which writes to {}, does not end",
                    path.display()
                )));
            }
            // A file system without locks cannot tell.
            Ok(()) | Err(_) => return Ok(file),
        }
        match wait_readable([cancel], deadline.min(Instant::now() + LOOK_INTERVAL)) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(ListenError::Cancelled),
            Err(error) => return Err(failed(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Write, pipe};
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn a_log_is_taken_when_the_worker_that_has_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.log");
        let (cancel, mut canceller) = pipe().unwrap();
        let log = open(&path, soon(), cancel.as_fd()).unwrap();
        let mut worker = Command::new("cat").stdin(Stdio::piped()).stderr(log).spawn().unwrap();
        let Err(ListenError::Worker(reason)) = open(&path, soon(), cancel.as_fd()) else { panic!() };
        assert!(reason.starts_with("an earlier worker, which writes to"), "{reason}");
        drop(worker.stdin.take());
        open(&path, Instant::now() + Duration::from_secs(20), cancel.as_fd()).unwrap();
        worker.wait().unwrap();
        let _log = open(&path, soon(), cancel.as_fd()).unwrap();
        canceller.write_all(b"x").unwrap();
        let late = Instant::now() + Duration::from_secs(20);
        assert!(matches!(open(&path, late, cancel.as_fd()), Err(ListenError::Cancelled)));
    }
}
