//! The quiet window of a client, counted by the model.

use super::model::{Model, Part};
use russula_proto::{KernelCheck, Quiet};
use std::collections::BTreeMap;

/// What the model has counted.
#[derive(Default)]
pub(super) struct Windows {
    /// Bytes of the coordinators' connections that are gone.
    pub(super) past_bytes: u64,
    open: Option<Window>,
    /// The bytes of each window, where the model can tell.
    closed: BTreeMap<Part, Option<u64>>,
}

struct Window {
    part: Part,
    from: u64,
    is_exact: bool,
}

/// The bytes of an input that brings messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) messages: usize,
    /// Length of the last message.
    pub(super) last_len: u64,
    /// What follows it.
    pub(super) rest_len: u64,
}

impl Windows {
    /// It cannot be told how many of the bytes of an input were read.
    pub(super) fn lose_count(&mut self) {
        if let Some(window) = &mut self.open {
            window.is_exact = false;
        }
    }
}

impl Model {
    /// The worker's workflow has changed its state, when `attached_bytes` had crossed the coordinator's connection.
    pub(super) fn note_state(&mut self, repetition: u32, from: &str, to: &str, attached_bytes: u64) {
        let bytes = self.windows.past_bytes + attached_bytes;
        if to == QUIET_STATE {
            let window = Window { part: (self.era, repetition), from: bytes, is_exact: true };
            assert!(self.windows.open.replace(window).is_none(), "one window at a time");
        }
        if from == QUIET_STATE {
            let window = self.windows.open.take().expect("the state was entered before it is left");
            // With more messages than one the model cannot tell which of them it was.
            let is_exact = window.is_exact && self.chunk.messages <= 1;
            // The message that ends a window may have begun it as well; then there is nothing in between.
            let before_last = bytes - self.chunk.last_len - self.chunk.rest_len;
            let counted = || before_last.saturating_sub(window.from);
            self.windows.closed.insert(window.part, is_exact.then(counted));
        }
    }

    pub(super) fn check_quiet(&self, part: Part, quiet: Quiet) {
        let counted = self.windows.closed.get(&part).expect("a window is closed before it is reported");
        if let Some(bytes) = counted {
            assert_eq!(quiet.bytes, *bytes, "bytes in the quiet window of {part:?}");
            assert_ne!(quiet.kernel, KernelCheck::Differs, "the kernel was right");
        }
    }
}

/// The state of a client in its window.
const QUIET_STATE: &str = "RunningAwaitComplete";
