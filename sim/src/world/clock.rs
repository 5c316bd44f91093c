//! The clock of a host: it began at another moment than the world, and runs a little too fast or too slow.

use russula_proto::Timestamp;

/// Parts of a million.
const MILLION: i64 = 1_000_000;

/// How the clock of a host reads the time of the world, for the first thousand years of either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Its reading at the world's moment zero, in microseconds.
    pub offset_us: u64,
    /// Microseconds that it gains in a second, negative if it loses; real ones stay within 100.
    pub drift_ppm: i32,
}

impl Clock {
    /// What it shows at `time` of the world.
    pub fn read(&self, time: Timestamp) -> Timestamp {
        let elapsed = time.as_micros();
        let drift = elapsed.cast_signed() * i64::from(self.drift_ppm) / MILLION;
        Timestamp::from_micros(self.offset_us + elapsed).offset_by(drift)
    }

    /// The first moment of the world at which it shows `reading` or more.
    pub fn when(&self, reading: Timestamp) -> Timestamp {
        if *self == Self::default() {
            return reading;
        }
        let behind = reading.micros_after(Timestamp::from_micros(self.offset_us));
        let estimate = behind - behind * i64::from(self.drift_ppm) / (MILLION + i64::from(self.drift_ppm));
        let mut time = u64::try_from(estimate - 2).unwrap_or(0);
        while self.read(Timestamp::from_micros(time)) < reading {
            time += 1;
        }
        Timestamp::from_micros(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_there_at_its_moment_and_not_before() {
        for offset_us in [0, 5, 1_000_000_007] {
            for drift_ppm in [-100, -3, 0, 1, 99] {
                let clock = Clock { offset_us, drift_ppm };
                for time in [0, 1, 2, 999_999, 1_000_000, 3_600_000_123] {
                    let reading = clock.read(Timestamp::from_micros(time));
                    let when = clock.when(reading);
                    assert!(clock.read(when) >= reading, "{clock:?} at {time}");
                    let before = Timestamp::from_micros(when.as_micros().saturating_sub(1));
                    assert!(when == Timestamp::ZERO || clock.read(before) < reading, "{clock:?} at {time}");
                }
            }
        }
    }
}
