//! How well the programs of a group started together.

use super::Coordinator;
use crate::time::Timestamp;

/// The start skew of a group in one repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartSkew {
    /// Programs that have started, on workers whose clocks are known.
    pub started: usize,
    /// From the first start to the last, in microseconds.
    pub spread_us: u64,
    /// The largest bound of those workers' clocks: each start was at most so much earlier or later, in
    /// microseconds.
    pub bound_us: u64,
    /// How much later than the instant that was named the last one started, in microseconds. `None` if another
    /// process named it, which had another clock.
    pub lateness_us: Option<i64>,
}

impl Coordinator {
    /// How well the programs started together; `None` if they were not to, or none has started.
    pub fn start_skew(&self) -> Option<StartSkew> {
        self.start_at?;
        let start_at = self.start_at();
        let starts = self.peers().filter_map(|peer| Some((peer.started_at?, peer.clock?.bound_us)));
        let mut skew: Option<StartSkew> = None;
        let (mut first, mut last) = (u64::MAX, 0);
        for (at, bound_us) in starts {
            (first, last) = (first.min(at.as_micros()), last.max(at.as_micros()));
            let (started, bound_before) = skew.map_or((0, 0), |skew| (skew.started, skew.bound_us));
            let lateness_us = start_at.map(|start_at| Timestamp::from_micros(last).micros_after(start_at));
            skew = Some(StartSkew {
                started: started + 1,
                spread_us: last - first,
                bound_us: bound_before.max(bound_us),
                lateness_us,
            });
        }
        skew
    }
}
