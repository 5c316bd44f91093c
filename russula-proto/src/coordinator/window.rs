//! The quiet window of a group, as its coordinator counts it.

use super::{Coordinator, Output};
use crate::quiet::{KernelCheck, Quiet, Traffic};
use crate::time::Timestamp;
use core::time::Duration;

/// The window of one repetition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    opened_at: Timestamp,
    /// The count of control bytes when it was opened.
    from_bytes: u64,
    /// How long it lasted, and what the connections carried in it.
    closed: Option<(Duration, u64)>,
}

impl Coordinator {
    /// How long this group's window was, and how quiet; `None` before it is closed.
    pub fn quiet(&self) -> Option<(Duration, Quiet)> {
        let (duration, bytes) = self.window?.closed?;
        let checks = self.peers.iter().filter(|peer| peer.is_up()).map(|peer| {
            let [begin, end] = peer.kernel_checks;
            begin.and(end)
        });
        let kernel = checks.reduce(KernelCheck::and).unwrap_or_default();
        Some((duration, Quiet { bytes, kernel }))
    }

    /// What the kernel has counted on the connection to worker `index`, as [`Output::CheckKernel`] asked.
    pub fn handle_kernel_counters(&mut self, index: usize, kernel: Traffic) {
        let is_end = self.window.is_some_and(|window| window.closed.is_some());
        let peer = &mut self.peers[index];
        let Some(link) = peer.link() else { return };
        let agrees = link.traffic() == kernel;
        peer.kernel_checks[usize::from(is_end)] =
            if agrees { KernelCheck::Agrees } else { KernelCheck::Differs };
    }

    /// From now on no connection is to carry a byte.
    pub(crate) fn open_window(&mut self, now: Timestamp) {
        self.window = Some(Window { opened_at: now, from_bytes: self.control_bytes, closed: None });
        self.check_kernel();
    }

    /// Whether this repetition has had no window yet, and nothing has ended that would have closed it.
    pub(crate) fn may_open_window(&self) -> bool {
        self.window.is_none() && !self.has_heard_end
    }

    pub(crate) fn is_window_closed(&self) -> bool {
        self.window.is_some_and(|window| window.closed.is_some())
    }

    /// Something has ended, or is to be: there is something to say again. `message_len` bytes of the control
    /// connections are the message that says so.
    pub(crate) fn close_window(&mut self, message_len: usize, now: Timestamp) {
        if let Some(window) = &mut self.window
            && window.closed.is_none()
        {
            // Others may have ended as well, and only part of their messages is here.
            let links = self.peers.iter().filter_map(|peer| peer.link());
            let partial: usize = links.map(|link| link.partial_len()).sum();
            let bytes = self.control_bytes.saturating_sub((message_len + partial) as u64);
            window.closed = Some((now.since(window.opened_at), bytes.saturating_sub(window.from_bytes)));
        }
    }

    /// Everything that was to be said in the repetition has been said: what the kernel has counted until now
    /// is what we have, so that our count of the window is right.
    pub(super) fn check_kernel(&mut self) {
        for index in 0..self.peers.len() {
            if self.window.is_some() && self.peers[index].is_up() {
                self.outputs.push_back(Output::CheckKernel(index));
            }
        }
    }
}
