//! What the clock of a worker says at a moment of ours.
//!
//! The coordinator asks, the worker answers with its reading. It was taken somewhere between the question and
//! the answer, so the offset is known up to half of that time (as in RFC 5905, section 8, with one time stamp
//! at the server). Of several exchanges the one with the shortest round trip knows it best.

use crate::time::Timestamp;
use crate::wire::ClockReading;
use core::hash::{Hash, Hasher};

/// How far a worker's clock is ahead of the coordinator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// The worker's reading minus the coordinator's at the same moment, in microseconds.
    pub offset_us: i64,
    /// The offset is at most so much larger or smaller than that, in microseconds.
    pub bound_us: u64,
}

impl ClockOffset {
    /// What an exchange tells: asked at `asked`, answered at `answered`, both by our clock.
    fn of(asked: Timestamp, reading: Timestamp, answered: Timestamp) -> Self {
        let round_trip_us = answered.as_micros().saturating_sub(asked.as_micros());
        let middle = Timestamp::from_micros(asked.as_micros() + round_trip_us / 2);
        // A reading is cut to whole microseconds, and so are ours.
        Self { offset_us: reading.micros_after(middle), bound_us: round_trip_us.div_ceil(2) + 1 }
    }

    /// The worker's reading at our `at`.
    pub fn to_worker(self, at: Timestamp) -> Timestamp {
        at.offset_by(self.offset_us)
    }

    /// Our reading when the worker's is `at`.
    pub fn from_worker(self, at: Timestamp) -> Timestamp {
        at.offset_by(self.offset_us.saturating_neg())
    }
}

/// The exchanges with one worker before a start.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    exchanges_left: u8,
    /// Number of the question that is under way, and when it was asked.
    asked: Option<(u32, Timestamp)>,
    best: Option<ClockOffset>,
}

impl Measurement {
    /// A series of `exchanges`.
    pub(super) fn begin(exchanges: u8) -> Self {
        Self { exchanges_left: exchanges, ..Self::default() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.exchanges_left == 0
    }

    /// What the exchanges so far have told.
    pub(super) fn best(&self) -> Option<ClockOffset> {
        self.best
    }

    /// Whether the next question is to be asked.
    pub(super) fn is_due(&self) -> bool {
        !self.is_done() && self.asked.is_none()
    }

    pub(super) fn ask(&mut self, number: u32, now: Timestamp) {
        self.asked = Some((number, now));
    }

    /// What decides about the questions to come, without the readings.
    pub(super) fn hash_state(&self, hasher: &mut impl Hasher) {
        let Self { exchanges_left, asked, best } = self;
        (exchanges_left, asked.is_some(), best.is_some()).hash(hasher);
    }

    /// The connection is gone, and a question with it.
    pub(super) fn forget_question(&mut self) {
        self.asked = None;
    }

    /// Nothing more is to be asked; whether something was.
    pub(super) fn give_up(&mut self) -> bool {
        self.asked = None;
        core::mem::take(&mut self.exchanges_left) > 0
    }

    /// Takes an answer; whether it is that to the question under way.
    pub(super) fn handle(&mut self, reading: ClockReading, now: Timestamp) -> bool {
        let Some((number, asked)) = self.asked else { return false };
        if number != reading.exchange {
            return false;
        }
        let offset = ClockOffset::of(asked, reading.at, now);
        if self.best.is_none_or(|best| offset.bound_us < best.bound_us) {
            self.best = Some(offset);
        }
        self.asked = None;
        self.exchanges_left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn the_shortest_round_trip_counts() {
        let mut clocks = Measurement::begin(2);
        clocks.ask(1, at(100));
        assert!(
            !clocks.handle(ClockReading { exchange: 2, at: at(0) }, at(110)),
            "not the one that was asked"
        );
        assert!(clocks.handle(ClockReading { exchange: 1, at: at(1155) }, at(210)));
        assert_eq!(clocks.best(), Some(ClockOffset { offset_us: 1000, bound_us: 56 }));
        assert!(clocks.is_due());
        clocks.ask(3, at(300));
        assert!(clocks.handle(ClockReading { exchange: 3, at: at(1306) }, at(310)));
        assert_eq!(clocks.best(), Some(ClockOffset { offset_us: 1001, bound_us: 6 }));
        assert!(clocks.is_done() && !clocks.is_due());
    }

    proptest! {
        /// Whatever the two ways take, and whichever clock is ahead.
        #[test]
        fn the_true_offset_is_within_the_bound(sent in 0u64..1 << 40, out in 0u64..1 << 20, back in 0u64..1 << 20, offset in -(1i64 << 39)..1 << 39) {
            let sent = at(sent + (1 << 40));
            let read = at(sent.as_micros() + out).offset_by(offset);
            let clock = ClockOffset::of(sent, read, at(sent.as_micros() + out + back));
            prop_assert!(clock.offset_us.abs_diff(offset) <= clock.bound_us);
            prop_assert_eq!(clock.from_worker(clock.to_worker(sent)), sent);
        }
    }
}
