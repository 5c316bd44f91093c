//! Bounded text: whatever a process printed or a peer said, cut to a limit that a frame can carry.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Text of at most `MAX` bytes.
///
/// Longer input keeps its *end*, since the last lines of a log are the ones that explain a failure.
/// Decoding refuses text over the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The longest text in bytes.
    pub const MAX_LEN: usize = MAX;

    /// Keeps the last `MAX` bytes of `text`, cut at a character boundary.
    pub fn tail_of(text: &str) -> Self {
        let mut start = text.len().saturating_sub(MAX);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        Self(String::from(&text[start..]))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> From<&str> for Text<MAX> {
    fn from(text: &str) -> Self {
        Self::tail_of(text)
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextTooLong;

    fn try_from(text: String) -> Result<Self, TextTooLong> {
        if text.len() > MAX {
            return Err(TextTooLong { len: text.len(), max: MAX });
        }
        Ok(Self(text))
    }
}

/// A text on the wire is longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text of {len} bytes, at most {max} are allowed")]
pub struct TextTooLong {
    /// Length found, in bytes.
    pub len: usize,
    /// Longest length allowed, in bytes.
    pub max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_at_a_character_boundary() {
        assert_eq!(Text::<4>::tail_of("abcdef").as_str(), "cdef");
        assert_eq!(Text::<4>::tail_of("aéé").as_str(), "éé");
        assert_eq!(Text::<3>::tail_of("aéé").as_str(), "é");
        assert_eq!(Text::<9>::tail_of("short").as_str(), "short");
    }

    #[test]
    fn decoding_refuses_what_is_too_long() {
        assert_eq!(Text::<2>::try_from(String::from("abc")), Err(TextTooLong { len: 3, max: 2 }));
    }
}
