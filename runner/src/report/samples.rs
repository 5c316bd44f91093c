//! A bounded series of measurements over time.

/// With less room than this, joining pairs would not free any.
const SMALLEST_LIMIT: usize = 4;

/// What one host measured over one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Begin of the stretch, in milliseconds since the host's measurement began.
    pub(crate) begin_ms: f64,
    /// End of the stretch, likewise.
    pub(crate) end_ms: f64,
    /// Bytes sent within the stretch.
    pub(crate) sent_bytes: u64,
    /// Bytes received within the stretch.
    pub(crate) received_bytes: u64,
    /// For how much of the stretch the bytes are known, in milliseconds.
    pub(crate) bytes_known_ms: f64,
    /// Use of the processors in percent of one of them, averaged over the stretch.
    pub(crate) cpu_percent: Option<f64>,
    /// Largest resident memory within the stretch, in bytes.
    pub(crate) memory_bytes: Option<u64>,
}

impl Sample {
    /// Length of the stretch in milliseconds.
    pub(crate) fn duration_ms(&self) -> f64 {
        self.end_ms - self.begin_ms
    }

    /// `bytes`, which are those sent or received, per second; `None` where they are not known.
    pub(crate) fn bytes_per_second(&self, bytes: u64) -> Option<f64> {
        (self.bytes_known_ms > 0.0).then(|| bytes as f64 * 1000.0 / self.bytes_known_ms)
    }

    /// The stretch that begins with `self` and ends with `next`.
    fn joined(self, next: Sample) -> Sample {
        let (own_ms, next_ms) = (self.duration_ms(), next.duration_ms());
        let cpu_percent = match (self.cpu_percent, next.cpu_percent) {
            (Some(own), Some(next)) if own_ms + next_ms > 0.0 => {
                Some((own * own_ms + next * next_ms) / (own_ms + next_ms))
            }
            (own, next) => own.or(next),
        };
        Sample {
            begin_ms: self.begin_ms,
            end_ms: next.end_ms,
            sent_bytes: self.sent_bytes.saturating_add(next.sent_bytes),
            received_bytes: self.received_bytes.saturating_add(next.received_bytes),
            bytes_known_ms: self.bytes_known_ms + next.bytes_known_ms,
            cpu_percent,
            memory_bytes: self.memory_bytes.max(next.memory_bytes),
        }
    }
}

/// Samples in the order of time, never more than a limit.
///
/// When the limit is reached, neighbours are joined in pairs, and from then on as many incoming samples are
/// joined into one as one kept sample stands for. Bytes and the time they took are added up, so a rate over a
/// joined stretch is the true average: no byte is lost to thinning.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    limit: usize,
    /// Incoming samples in one kept sample.
    per_kept: usize,
    kept: Vec<Sample>,
    /// What is being joined to the next kept sample, and of how many it consists.
    open: Option<(Sample, usize)>,
}

impl Samples {
    /// Keeps at most `limit` samples; a limit below [`SMALLEST_LIMIT`] is raised to it.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(SMALLEST_LIMIT), per_kept: 1, kept: Vec::new(), open: None }
    }

    /// Adds the next sample. One that does not take any time is joined to the one before it.
    pub(crate) fn push(&mut self, sample: Sample) {
        let (joined, count) = match self.open.take() {
            Some((open, count)) => (open.joined(sample), count + 1),
            None if sample.end_ms > sample.begin_ms => (sample, 1),
            None => {
                match self.kept.pop() {
                    Some(last) => self.kept.push(last.joined(sample)),
                    None => self.open = Some((sample, 0)),
                }
                return;
            }
        };
        if count < self.per_kept || joined.end_ms <= joined.begin_ms {
            self.open = Some((joined, count));
            return;
        }
        if self.kept.len() + 1 >= self.limit {
            self.kept = self.kept.chunks(2).map(join_all).collect();
            self.per_kept *= 2;
        }
        self.kept.push(joined);
    }

    /// All samples.
    pub(crate) fn into_vec(mut self) -> Vec<Sample> {
        self.kept.extend(self.open.map(|(sample, _)| sample).filter(|s| s.end_ms > s.begin_ms));
        self.kept
    }
}

fn join_all(chunk: &[Sample]) -> Sample {
    chunk.iter().copied().reduce(Sample::joined).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(index: u64) -> Sample {
        Sample {
            begin_ms: index as f64 * 100.0,
            end_ms: (index + 1) as f64 * 100.0,
            sent_bytes: index,
            received_bytes: 2 * index,
            bytes_known_ms: 100.0,
            cpu_percent: Some(50.0),
            memory_bytes: Some(index),
        }
    }

    #[test]
    fn few_samples_are_kept_as_they_are() {
        let mut samples = Samples::new(10);
        (0..5).for_each(|index| samples.push(sample(index)));
        assert_eq!(samples.into_vec(), (0..5).map(sample).collect::<Vec<_>>());
    }

    #[test]
    fn joining_keeps_totals_time_and_order() {
        for (count, limit) in [(10, 4), (1_000, 7), (12_345, 100), (2_001, 2_000)] {
            let mut samples = Samples::new(limit);
            (0..count).for_each(|index| samples.push(sample(index)));
            let kept = samples.into_vec();
            assert!(kept.len() <= limit && kept.len() * 4 >= limit, "{} of {limit}", kept.len());
            assert_eq!(kept.iter().map(|s| s.sent_bytes).sum::<u64>(), count * (count - 1) / 2);
            assert_eq!(kept.first().map(|s| s.begin_ms), Some(0.0));
            assert_eq!(kept.last().map(|s| s.end_ms), Some(count as f64 * 100.0));
            assert!(kept.windows(2).all(|pair| pair[0].end_ms == pair[1].begin_ms));
            assert!(kept.iter().all(|s| s.cpu_percent == Some(50.0)));
            assert_eq!(kept.iter().filter_map(|s| s.memory_bytes).max(), Some(count - 1));
        }
    }

    #[test]
    fn cpu_is_weighted_by_time() {
        let mut samples = Samples::new(4);
        let mut first = Sample { cpu_percent: Some(100.0), ..sample(0) };
        first.end_ms = 300.0;
        samples.push(first);
        for index in 3..9 {
            samples.push(Sample { cpu_percent: Some(20.0), ..sample(index) });
        }
        let kept = samples.into_vec();
        assert!(kept.len() <= 4, "{kept:?}");
        let cpu_s: f64 =
            kept.iter().map(|s| s.cpu_percent.unwrap_or(0.0) / 100.0 * s.duration_ms() / 1000.0).sum();
        assert!((cpu_s - (0.3 + 6.0 * 0.02)).abs() < 1e-9, "{kept:?}");
    }

    #[test]
    fn the_rate_of_a_joined_sample_is_that_of_its_known_part() {
        let unknown = Sample { sent_bytes: 0, bytes_known_ms: 0.0, ..sample(4) };
        assert_eq!(unknown.bytes_per_second(unknown.sent_bytes), None);
        let joined = sample(3).joined(unknown);
        assert_eq!(joined.bytes_per_second(joined.sent_bytes), Some(30.0));
    }

    #[test]
    fn a_sample_without_duration_is_joined_to_its_neighbour() {
        let mut samples = Samples::new(10);
        let instant = Sample { begin_ms: 0.0, end_ms: 0.0, sent_bytes: 7, ..Sample::default() };
        samples.push(instant);
        samples.push(sample(0));
        samples.push(Sample { begin_ms: 100.0, end_ms: 100.0, sent_bytes: 3, ..Sample::default() });
        let kept = samples.into_vec();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].sent_bytes, 10);
        assert_eq!((kept[0].begin_ms, kept[0].end_ms), (0.0, 100.0));
    }
}
