//! How the guard learns that a driver writes to its logs, without being woken by every line.

use super::logs::{LOG_KEPT_BYTES, LOG_MAX_BYTES, Log};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The time between two looks at logs that cannot be watched (the limit on inotify instances, `inotify(7)`).
const UNWATCHED_LOG_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The logs of a driver, watched for the next write to any of them.
pub(super) struct LogWatch {
    logs: Vec<Log>,
    /// Readable after a write. `None` when writes cannot be watched.
    inotify: Option<OwnedFd>,
}

impl LogWatch {
    /// Watches the regular files among `logs`. What cannot be watched is looked at from time to time instead.
    pub(super) fn new(logs: [BorrowedFd; 2]) -> Self {
        let open = |log: BorrowedFd| Log::new(File::from(log.try_clone_to_owned().ok()?)).ok()?;
        let mut watch = Self {
            logs: logs.into_iter().filter_map(open).collect(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
        };
        watch.arm();
        watch
    }

    /// Whether there is no log to watch.
    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Becomes readable with the next write.
    pub(super) fn written(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// When to look at the logs although [`LogWatch::written`] says nothing; `None` is never.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.inotify.is_none().then_some(UNWATCHED_LOG_CHECK_INTERVAL)
    }

    /// Bounds the size of the logs and waits for the next write again.
    pub(super) fn trim(&mut self) {
        if let Some(inotify) = &self.inotify {
            // Only that something was written counts; a watch that fired is gone (ONESHOT).
            let _ = rustix::io::read(inotify, &mut [0; 4096]);
        }
        // Armed first: a write after the look at the size then wakes the guard once more.
        self.arm();
        for log in &mut self.logs {
            // What fails now (a full disk) is tried again after the next write.
            let _ = log.trim(LOG_MAX_BYTES, LOG_KEPT_BYTES);
        }
    }

    fn arm(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let watch_next_write = |log: &Log| {
            let path = format!("/proc/self/fd/{}", log.as_fd().as_raw_fd());
            inotify::add_watch(inotify, path, WatchFlags::MODIFY | WatchFlags::ONESHOT)
        };
        if !self.logs.iter().all(|log| watch_next_write(log).is_ok()) {
            self.inotify = None;
        }
    }
}
