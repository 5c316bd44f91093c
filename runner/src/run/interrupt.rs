//! Ctrl-C as an event.

use mio::net::UnixStream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// SIGINT, SIGTERM and SIGHUP of this process, as a source that becomes readable.
#[derive(Debug)]
pub struct Interrupts {
    pub(super) source: UnixStream,
    count: u32,
}

impl Interrupts {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says to it.
    pub fn new() -> io::Result<Self> {
        let (source, sender) = std::os::unix::net::UnixStream::pair()?;
        source.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { source: UnixStream::from_std(source), count: 0 })
    }

    /// Becomes readable with the next signal, for whoever waits for something else meanwhile.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// How many signals came so far.
    pub(super) fn count(&mut self) -> u32 {
        let mut bytes = [0; 16];
        while let Ok(len @ 1..) = self.source.read(&mut bytes) {
            self.count += u32::try_from(len).unwrap_or(u32::MAX);
        }
        self.count
    }
}
