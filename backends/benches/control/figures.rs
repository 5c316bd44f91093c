//! Figures from repeated measurements.

use std::fmt;
use std::time::Duration;

/// Durations of the same exchange over the floor and over ours, measured in turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) floor: Vec<Duration>,
    pub(crate) ours: Vec<Duration>,
}

/// Measured durations, in order.
#[derive(Clone, Debug)]
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    /// # Panics
    /// If there are none.
    pub(crate) fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut durations: Vec<Duration> = durations.into_iter().collect();
        assert!(!durations.is_empty(), "at least one measurement");
        durations.sort();
        Self(durations)
    }

    pub(crate) fn of_floor(blocks: &[Block]) -> Self {
        Self::of(blocks.iter().flat_map(|block| block.floor.iter().copied()))
    }

    pub(crate) fn of_ours(blocks: &[Block]) -> Self {
        Self::of(blocks.iter().flat_map(|block| block.ours.iter().copied()))
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    fn in_unit(&self, unit: Duration) -> String {
        let [min, median, max] = self.in_units(unit);
        format!("{median:.1} ({min:.1} to {max:.1})")
    }

    /// Minimum, median and maximum.
    pub(crate) fn in_units(&self, unit: Duration) -> [f64; 3] {
        let one = |duration: Duration| duration.as_secs_f64() / unit.as_secs_f64();
        [self.0[0], self.median(), self.0[self.0.len() - 1]].map(one)
    }

    /// Median, minimum and maximum in milliseconds.
    pub(crate) fn in_ms(&self) -> String {
        self.in_unit(Duration::from_millis(1))
    }

    /// Median, minimum and maximum in microseconds.
    pub(crate) fn in_us(&self) -> String {
        self.in_unit(Duration::from_micros(1))
    }
}

/// A quotient of medians, with that of every block of measurements.
#[derive(Clone, Debug)]
pub(crate) struct Ratio {
    pub(crate) overall: f64,
    blocks: Vec<f64>,
}

impl Ratio {
    pub(crate) fn of(blocks: &[Block]) -> Self {
        let quotient =
            |floor: Figures, ours: Figures| ours.median().as_secs_f64() / floor.median().as_secs_f64();
        let of_block = |block: &Block| {
            quotient(Figures::of(block.floor.iter().copied()), Figures::of(block.ours.iter().copied()))
        };
        let mut each: Vec<f64> = blocks.iter().map(of_block).collect();
        each.sort_by(f64::total_cmp);
        Self { overall: quotient(Figures::of_floor(blocks), Figures::of_ours(blocks)), blocks: each }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.blocks[0], self.blocks[self.blocks.len() - 1]);
        let text = format!("{:.2} ({min:.2} to {max:.2})", self.overall);
        f.pad(&text)
    }
}
