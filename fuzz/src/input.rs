//! The bytes of a fuzzer as a list of decisions.

use std::time::Duration;

/// Decisions that are taken from the front of some bytes. Once they are used up, every decision is the first
/// choice, so that any bytes are an input.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// True for every odd byte.
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// Less than `choices`, of which there are 1 to 256.
    pub(crate) fn below(&mut self, choices: usize) -> usize {
        usize::from(self.byte()) % choices
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Something or nothing.
    pub(crate) fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| some(self))
    }

    /// Any number, the small ones and the largest ones with few bytes.
    pub(crate) fn number(&mut self) -> u64 {
        let byte = self.byte();
        match byte {
            0..=199 => u64::from(byte),
            200..=219 => self.little_endian(2),
            220..=229 => self.little_endian(4),
            230..=239 => self.little_endian(8),
            240..=255 => u64::MAX >> (4 * (byte - 240)),
        }
    }

    /// [`Self::number`], cut to the width of `T`.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self, largest: T) -> T {
        T::try_from(self.number()).unwrap_or(largest)
    }

    /// 0 to 65,535, small with one byte.
    pub(crate) fn len(&mut self) -> usize {
        match self.byte() {
            byte @ 0..=239 => usize::from(byte),
            240..=255 => usize::try_from(self.little_endian(2)).expect("16 bits"),
        }
    }

    /// A time that may decide something: from nothing to a day.
    pub(crate) fn duration(&mut self) -> Duration {
        let amount = u64::from(self.byte());
        match self.below(5) {
            0 => Duration::from_micros(amount),
            1 => Duration::from_millis(amount),
            2 => Duration::from_millis(amount * 100),
            3 => Duration::from_secs(amount),
            _ => Duration::from_secs(amount * 360),
        }
    }

    fn little_endian(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, at| number | u64::from(self.byte()) << (8 * at))
    }

    /// At most `len` bytes as they are.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// `len` bytes that look like nothing.
///
/// A fuzzer watches comparisons and is quick to find out what a toy cipher would accept as a tag. So it chooses
/// only a seed where bytes must not verify.
pub(crate) fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
