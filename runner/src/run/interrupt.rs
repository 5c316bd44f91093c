//! Ctrl-C as an event.

use backends::signals::EndSignals;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that ask this process to end, as a source that becomes readable, and how many came.
#[derive(Debug)]
pub struct Interrupts {
    pub(super) source: EndSignals,
    count: u32,
}

impl Interrupts {
    /// From now on these signals do not end the process by themselves; see [`EndSignals`].
    ///
    /// # Errors
    /// What the system says to it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { source: EndSignals::new()?, count: 0 })
    }

    /// Becomes readable with the next signal, for whoever waits for something else meanwhile.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// Forgets the signals that came so far.
    pub fn drain(&mut self) {
        self.source.take();
    }

    /// How many signals came so far.
    pub(super) fn count(&mut self) -> u32 {
        self.count = self.count.saturating_add(self.source.take());
        self.count
    }
}
