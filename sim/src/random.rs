//! A small generator of numbers, the same on every machine and in every version of every library.

use std::time::Duration;

/// xorshift64*; good enough to draw the options of a run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Any seed will do, small ones and zero too.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, of 48 bits.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence needs no `Option`")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A place in a list of `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.between(0, len as u64 - 1)).expect("a place in a list fits")
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// True in `percent` of a hundred draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// Up to `max`, in microseconds.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        let max = u64::try_from(max.as_micros()).expect("the times of a run are short");
        Duration::from_micros(self.between(0, max))
    }

    /// Bytes for whoever wants 32 of them.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..4]);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_in_every_version() {
        let mut random = Random::new(17);
        let numbers: Vec<u64> = (0..3).map(|_| random.between(0, 999)).collect();
        assert_eq!(numbers, [80, 600, 693]);
    }

    #[test]
    fn neighbouring_seeds_are_not_alike() {
        let first: Vec<u64> = (0..100).map(|seed| Random::new(seed).between(0, 9)).collect();
        assert!((0..10).all(|digit| first.contains(&digit)), "{first:?}");
    }
}
