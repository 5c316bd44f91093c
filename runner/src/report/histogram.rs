//! Distributions of durations: buckets from any source are added up, drawn and asked for quantiles.

use backends::collector::{Bucket, Histogram, Stat};
use std::collections::BTreeMap;

/// Bars of a histogram for each factor of ten: fine enough to tell two modes apart, and several to each of the
/// powers of two that collectors use.
const BARS_PER_DECADE: f64 = 10.0;

/// Where the logarithmic axis begins: a bucket from 0 µs cannot be drawn on it.
const SMALLEST_US: f64 = 0.5;

/// Count of durations by bucket. A bucket holds what is at least its lower and less than its upper bound.
///
/// Unlike a [`Histogram`] of a result file it can hold buckets that overlap, as those of different drivers do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MergedHistogram {
    /// Count and sum of all durations in microseconds, exact.
    pub(crate) stat: Stat,
    /// Counts by lower and upper bound.
    buckets: BTreeMap<(u64, u64), u64>,
}

/// One bar of a drawn histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    /// Left end in microseconds, more than 0.
    pub(crate) lower_us: f64,
    /// Right end in microseconds.
    pub(crate) upper_us: f64,
    /// Part of all durations that lies between them, from 0 to 1.
    pub(crate) share: f64,
}

impl MergedHistogram {
    /// Adds all durations of a line of a result file.
    pub(crate) fn add(&mut self, other: &Histogram) {
        self.stat.add_all(other.stat);
        for Bucket { lower, upper, count } in &other.buckets {
            self.add_bucket((*lower, *upper.max(lower)), *count);
        }
    }

    /// Adds all durations of `other`.
    pub(crate) fn merge(&mut self, other: &MergedHistogram) {
        self.stat.add_all(other.stat);
        for (bounds, count) in &other.buckets {
            self.add_bucket(*bounds, *count);
        }
    }

    fn add_bucket(&mut self, bounds: (u64, u64), count: u64) {
        let sum = self.buckets.entry(bounds).or_default();
        *sum = sum.saturating_add(count);
    }

    /// The duration in microseconds that a `part` (0 to 1) of all durations does not exceed. It is as exact as
    /// the buckets: within one, durations are taken to be spread evenly.
    pub(crate) fn quantile_us(&self, part: f64) -> Option<f64> {
        let total: f64 = self.buckets.values().map(|count| *count as f64).sum();
        if total <= 0.0 {
            return None;
        }
        let wanted = part.clamp(0.0, 1.0) * total;
        let mut below = 0.0;
        let mut last_upper = 0.0;
        for ((lower, upper), count) in self.buckets.iter().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            last_upper = *upper as f64;
            if below + count >= wanted {
                let within = (wanted - below) / count;
                return Some(*lower as f64 + (*upper as f64 - *lower as f64) * within);
            }
            below += count;
        }
        Some(last_upper)
    }

    /// The distribution on a logarithmic grid, without gaps, from the first to the last bar that is not empty.
    ///
    /// All bars are equally wide on a logarithmic axis and the same for every histogram, so that drivers can be
    /// laid over each other whatever buckets they counted in; a bucket wider than a bar is spread evenly.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let mut shares: BTreeMap<i32, f64> = BTreeMap::new();
        let total: f64 = self.buckets.values().map(|count| *count as f64).sum();
        for ((lower, upper), count) in self.buckets.iter().filter(|(_, count)| **count > 0) {
            let left = grid_position((*lower as f64).max(SMALLEST_US));
            let right = grid_position((*upper as f64).max(SMALLEST_US));
            let share = *count as f64 / total;
            if right <= left {
                *shares.entry(left.floor() as i32).or_default() += share;
                continue;
            }
            for bar in (left.floor() as i32)..(right.ceil() as i32) {
                let covered = right.min(f64::from(bar) + 1.0) - left.max(f64::from(bar));
                *shares.entry(bar).or_default() += share * covered / (right - left);
            }
        }
        let (Some((&first, _)), Some((&last, _))) = (shares.first_key_value(), shares.last_key_value())
        else {
            return Vec::new();
        };
        (first..=last)
            .map(|bar| Bar {
                lower_us: grid_value(bar),
                upper_us: grid_value(bar + 1),
                share: shares.get(&bar).copied().unwrap_or(0.0),
            })
            .collect()
    }
}

fn grid_position(value_us: f64) -> f64 {
    value_us.log10() * BARS_PER_DECADE
}

fn grid_value(bar: i32) -> f64 {
    10_f64.powf(f64::from(bar) / BARS_PER_DECADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(u64, u64, u64)]) -> MergedHistogram {
        let buckets = buckets.iter().map(|&(lower, upper, count)| Bucket { lower, upper, count });
        let mut merged = MergedHistogram::default();
        merged.add(&Histogram { stat: Stat::default(), buckets: buckets.collect() });
        merged
    }

    #[test]
    fn quantiles_lie_within_the_right_bucket() {
        let histogram = histogram(&[(0, 100, 50), (100, 200, 40), (200, 1000, 10)]);
        assert_eq!(histogram.quantile_us(0.0), Some(0.0));
        assert_eq!(histogram.quantile_us(0.5), Some(100.0));
        assert_eq!(histogram.quantile_us(0.7), Some(150.0));
        assert_eq!(histogram.quantile_us(0.95), Some(600.0));
        assert_eq!(histogram.quantile_us(1.0), Some(1000.0));
        assert_eq!(MergedHistogram::default().quantile_us(0.5), None);
    }

    #[test]
    fn bars_hold_everything_and_have_no_gaps() {
        for buckets in [
            vec![(0, 1, 3), (1, 2, 5), (1024, 2048, 2)],
            vec![(0, 0, 1)],
            vec![(7, 7, 4), (8, 9, 1)],
            vec![(0, u64::MAX, 1)],
            vec![(100, 50, 1)],
            vec![(10, 20, 1), (15, 25, 1)],
        ] {
            let bars = histogram(&buckets).bars();
            let sum: f64 = bars.iter().map(|bar| bar.share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{buckets:?}: {sum}");
            assert!(bars.windows(2).all(|pair| pair[0].upper_us == pair[1].lower_us));
            assert!(bars.iter().all(|bar| bar.lower_us > 0.0));
        }
        assert_eq!(MergedHistogram::default().bars(), []);
        assert_eq!(histogram(&[(1, 2, 0)]).bars(), []);
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut sum = histogram(&[(1, 2, u64::MAX)]);
        sum.merge(&histogram(&[(1, 2, 1)]));
        assert_eq!(sum.quantile_us(1.0), Some(2.0));
    }
}
