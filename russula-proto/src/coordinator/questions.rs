//! Whose clock is read, and when: only a few workers are asked at once, so that no answer waits behind those of all the
//! others. What it waits for would be taken for a long way, and the offset be known as badly.

use super::Coordinator;
use crate::time::Timestamp;
use alloc::collections::BTreeSet;

/// Workers that are asked at once, at the least.
const AT_ONCE_MIN: usize = 8;

/// The part of a group that is asked at once where that is more, so that a large group that is far away has been asked
/// within a few seconds.
const AT_ONCE_SHARE: usize = 8;

/// The questions for clocks that are under way, or have to wait.
#[derive(Debug, Default)]
pub(super) struct Questions {
    next_number: u32,
    /// Workers whose answer is to come.
    under_way: BTreeSet<usize>,
    /// Workers that are asked when others have answered.
    waiting: BTreeSet<usize>,
}

impl Questions {
    /// Nobody is to be asked any more.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
        self.waiting.clear();
    }

    /// Worker `index` does not answer any more.
    pub(super) fn forget(&mut self, index: usize) {
        self.under_way.remove(&index);
        self.waiting.remove(&index);
    }
}

impl Coordinator {
    /// Asks worker `index` for its clock if that is due and it is its turn; returns whether there is something to
    /// transmit.
    pub(super) fn ask_clock(&mut self, index: usize, now: Timestamp) -> bool {
        if !self.peers[index].is_to_be_asked() {
            return false;
        }
        if !self.has_room_for_question() {
            self.questions.waiting.insert(index);
            return false;
        }
        self.peers[index].ask_clock(self.questions.next_number, now);
        self.questions.next_number = self.questions.next_number.wrapping_add(1);
        self.questions.waiting.remove(&index);
        self.questions.under_way.insert(index);
        true
    }

    /// Worker `index` has answered, or never will; it is the turn of others.
    pub(super) fn end_question(&mut self, index: usize, now: Timestamp) {
        self.questions.forget(index);
        while self.has_room_for_question()
            && let Some(next) = self.questions.waiting.pop_first()
        {
            self.tell(next, now);
        }
    }

    fn has_room_for_question(&self) -> bool {
        self.questions.under_way.len() < AT_ONCE_MIN.max(self.peers.len() / AT_ONCE_SHARE)
    }
}
