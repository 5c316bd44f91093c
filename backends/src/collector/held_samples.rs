//! Holds samples back until the driver has told what went through in them.
//!
//! A stock driver tells its rates about once a second, for the second that has passed. Put into the one sample that
//! is due when the line is read, those bytes would make a spike ten times too high at ten samples a second. So the
//! samples wait for the line and share its bytes in proportion to their durations.

use super::result_file::{Sample, StreamId};
use std::collections::VecDeque;
use std::time::Duration;

/// Longest wait of a sample for a line, measured in time of the samples. A busy driver prints its line late; one
/// that prints none must not keep its samples from the file.
pub(super) const HELD_AGE_MAX: Duration = Duration::from_secs(3);

/// Most samples that are held, about a mebibyte: for the intervals below a millisecond, which nobody needs.
pub(super) const HELD_SAMPLES_MAX: usize = 4096;

/// What the driver has moved over a stretch of time. Times are since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateWindow {
    pub(super) begin: Duration,
    pub(super) end: Duration,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

/// Samples in the order of time, on their way into the file.
#[derive(Debug, Default)]
pub(super) struct HeldSamples {
    held: VecDeque<Held>,
    /// End of the last window: no later window adds to a sample that ends before.
    covered: Duration,
    /// End of the newest sample, where the next one begins.
    newest: Duration,
}

#[derive(Debug)]
struct Held {
    begin: Duration,
    end: Duration,
    sample: Sample,
}

impl HeldSamples {
    /// Takes the next sample, which covers the time since the one before it.
    pub(super) fn push(&mut self, sample: Sample) {
        let begin = self.newest;
        self.newest = Duration::from_millis(sample.t).max(begin);
        self.held.push_back(Held { begin, end: self.newest, sample });
    }

    /// Shares the bytes of `window` among the held samples that it covers, in proportion to the time that it covers
    /// of each. The shares add up to exactly these bytes, as long as any sample is held.
    ///
    /// Where the window covers samples that are written already, their share falls to the held ones.
    pub(super) fn spread(&mut self, window: &RateWindow) {
        self.covered = self.covered.max(window.end);
        let whole = self.held.iter().map(|held| held.overlap_ns(window)).sum::<u128>();
        if whole == 0 {
            // A window without duration, or one of samples that are written: nearest to it is the oldest held one.
            if (window.sent_bytes, window.received_bytes) != (0, 0)
                && let Some(oldest) = self.held.front_mut()
            {
                oldest.add(window.sent_bytes, window.received_bytes);
            }
            return;
        }
        let mut before = 0;
        for held in &mut self.held {
            let after = before + held.overlap_ns(window);
            if after > before {
                // Differences of a rounded running sum, so that what one share loses the next one gets.
                let share = |bytes| part_of(bytes, after, whole) - part_of(bytes, before, whole);
                held.add(share(window.sent_bytes), share(window.received_bytes));
            }
            before = after;
        }
    }

    /// The oldest sample, if no further window is to be awaited for it.
    pub(super) fn pop_settled(&mut self) -> Option<Sample> {
        let oldest = self.held.front()?;
        let settled = oldest.end <= self.covered
            || self.newest.saturating_sub(oldest.end) > HELD_AGE_MAX
            || self.held.len() > HELD_SAMPLES_MAX;
        if settled { self.pop() } else { None }
    }

    /// The oldest sample, as it is.
    pub(super) fn pop(&mut self) -> Option<Sample> {
        self.held.pop_front().map(|held| held.sample)
    }
}

impl Held {
    fn overlap_ns(&self, window: &RateWindow) -> u128 {
        self.end.min(window.end).saturating_sub(self.begin.max(window.begin)).as_nanos()
    }

    fn add(&mut self, sent_bytes: u64, received_bytes: u64) {
        self.sample.send.entry(StreamId::default()).or_default().add(sent_bytes);
        self.sample.receive.entry(StreamId::default()).or_default().add(received_bytes);
    }
}

/// `bytes * part / whole`, rounded down. `part` is at most `whole`, so the result is at most `bytes`.
fn part_of(bytes: u64, part: u128, whole: u128) -> u64 {
    // Saturating: the product fits as long as the window lasts less than 500 years.
    let share = u128::from(bytes).saturating_mul(part) / whole;
    u64::try_from(share).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(ends_ms: impl IntoIterator<Item = u64>) -> HeldSamples {
        let mut samples = HeldSamples::default();
        ends_ms.into_iter().for_each(|t| samples.push(Sample { t, ..Sample::default() }));
        samples
    }

    fn window_ms(begin: u64, end: u64, received_bytes: u64) -> RateWindow {
        let (begin, end) = (Duration::from_millis(begin), Duration::from_millis(end));
        RateWindow { begin, end, sent_bytes: 0, received_bytes }
    }

    /// All that is held: end in milliseconds and received bytes, `None` if nothing was told.
    fn received(mut samples: HeldSamples) -> Vec<(u64, Option<u64>)> {
        let rest = std::iter::from_fn(|| samples.pop());
        rest.map(|s| (s.t, s.receive.get(&StreamId::default()).map(|stat| stat.total))).collect()
    }

    #[test]
    fn bytes_are_shared_in_proportion_to_the_covered_time() {
        let mut samples = holding([100, 200, 400, 500]);
        samples.spread(&window_ms(50, 450, 4000));
        assert_eq!(
            received(samples),
            [(100, Some(500)), (200, Some(1000)), (400, Some(2000)), (500, Some(500))]
        );
    }

    #[test]
    fn two_windows_meet_within_a_sample() {
        let mut samples = holding([100, 200]);
        samples.spread(&window_ms(0, 130, 1300));
        assert_eq!(samples.pop_settled().map(|sample| sample.t), Some(100));
        assert_eq!(samples.pop_settled(), None, "the second one is covered in part");
        samples.push(Sample { t: 300, ..Sample::default() });
        samples.spread(&window_ms(130, 300, 1700));
        assert_eq!(received(samples), [(200, Some(1000)), (300, Some(1000))]);
    }

    #[test]
    fn shares_add_up_exactly_whatever_the_numbers() {
        for count in [1_u64, 3, 7, 10, 13] {
            for bytes in [0, 1, 2, 99, 1_000_003, u64::MAX] {
                let mut samples = holding((1..=count).map(|n| n * 77));
                samples.spread(&window_ms(5, count * 77 - 3, bytes));
                let shares = received(samples);
                assert!(
                    shares.iter().all(|(_, share)| share.is_some()),
                    "a known 0 is told, too: {shares:?}"
                );
                let sum = shares.iter().filter_map(|(_, share)| *share).map(u128::from).sum::<u128>();
                assert_eq!(sum, u128::from(bytes), "{count} samples");
            }
        }
    }

    #[test]
    fn what_no_line_covers_is_written_as_it_is_after_a_while() {
        let mut samples = holding((1..=30).map(|n| n * 100));
        assert_eq!(samples.pop_settled(), None);
        samples.push(Sample { t: 3100, ..Sample::default() });
        assert_eq!(samples.pop_settled(), None, "the age is just at its limit");
        samples.push(Sample { t: 3200, ..Sample::default() });
        assert_eq!(samples.pop_settled().map(|sample| (sample.t, sample.receive.len())), Some((100, 0)));
        assert_eq!(samples.pop_settled(), None);
        // The line comes after all: what was meant for the written sample is not lost.
        samples.spread(&window_ms(0, 3200, 3100));
        assert!(received(samples).iter().all(|(_, share)| *share == Some(100)));
    }

    #[test]
    fn the_number_of_held_samples_is_bounded() {
        let mut samples = HeldSamples::default();
        for _ in 0..10 * HELD_SAMPLES_MAX {
            samples.push(Sample { t: 1, ..Sample::default() });
            while samples.pop_settled().is_some() {}
            assert!(samples.held.len() <= HELD_SAMPLES_MAX);
        }
    }

    #[test]
    fn bytes_of_no_time_and_of_written_samples_are_not_lost() {
        let mut samples = holding([100, 200]);
        samples.spread(&window_ms(100, 100, 5));
        samples.pop();
        samples.spread(&window_ms(0, 100, 7));
        samples.spread(&window_ms(100, 100, 0));
        assert_eq!(received(samples), [(200, Some(7))]);
    }
}
