//! Ctrl-C as an event.

use backends::signals::{EndSignals, Patience};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that ask this process to end, as a source that becomes readable, and how many came.
#[derive(Debug)]
pub struct Interrupts {
    pub(super) source: EndSignals,
}

impl Interrupts {
    /// From now on these signals do not end the process by themselves; see [`EndSignals`].
    ///
    /// # Errors
    /// What the system says to it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { source: EndSignals::new()? })
    }

    /// Becomes readable with the next signal, for whoever waits for something else meanwhile.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// The same for hosts that have something to do when nobody else listens.
    ///
    /// # Errors
    /// If the process has too many files open.
    pub fn patience(&self) -> io::Result<Patience> {
        self.source.patience()
    }

    /// How many signals came so far.
    pub(super) fn count(&mut self) -> u32 {
        self.source.total()
    }
}
