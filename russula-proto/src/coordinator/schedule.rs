//! The timers of all peers in order, so that finding the next one does not depend on their number.

use crate::time::Timestamp;
use alloc::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeSet<(Timestamp, usize)>);

impl Schedule {
    pub(super) fn insert(&mut self, at: Timestamp, index: usize) {
        self.0.insert((at, index));
    }

    pub(super) fn remove(&mut self, at: Timestamp, index: usize) {
        self.0.remove(&(at, index));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<usize> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, index)| index)
    }
}
