//! Frames: a length, then one message. The decoder takes any split of the bytes.

use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest payload of a frame in bytes. A report with a full stderr tail needs about a third of it.
pub const MAX_FRAME_LEN: usize = 16 * 1024;

/// Length of a frame's length field in bytes.
pub const LENGTH_PREFIX_LEN: usize = 4;

/// Bytes from a peer that are no message of this protocol. The connection they came on cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The length field is zero or over the limit. Nothing was allocated for it.
    #[error("a frame of {len} bytes, expected 1 to {max}")]
    Length {
        /// The length that was announced.
        len: u32,
        /// The limit.
        max: usize,
    },
    /// The payload is not an encoded message.
    #[error("a frame of {len} bytes that holds no message of this protocol")]
    Payload {
        /// Length of the payload.
        len: usize,
    },
    /// The payload holds a message and then something else.
    #[error("{extra} bytes too many in a frame of {len} bytes")]
    Trailing {
        /// Bytes after the message.
        extra: usize,
        /// Length of the payload.
        len: usize,
    },
}

/// Appends `message` as one frame to `out`.
///
/// # Panics
/// If the encoding is over [`MAX_FRAME_LEN`]; the limits of the fields of our messages exclude it.
pub fn encode_frame<M: Serialize>(message: &M, out: &mut Vec<u8>) {
    let payload = postcard::to_allocvec(message).expect("our messages have nothing postcard cannot encode");
    assert!((1..=MAX_FRAME_LEN).contains(&payload.len()), "a message of {} bytes", payload.len());
    let len = u32::try_from(payload.len()).expect("the frame limit fits in 32 bits");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&payload);
}

/// Puts frames together again, one at a time.
///
/// Holds at most one frame: whatever a length field says, the buffer never grows beyond
/// [`MAX_FRAME_LEN`], and it grows only by bytes that have arrived.
#[derive(Debug, Default)]
pub struct Decoder {
    prefix: [u8; LENGTH_PREFIX_LEN],
    prefix_len: usize,
    /// The length of the frame under way, once its prefix is complete and checked.
    expected: Option<usize>,
    payload: Vec<u8>,
}

impl Decoder {
    /// Takes bytes from the front of `input` until a frame is complete, and returns its message.
    ///
    /// `None` means that all of `input` was taken and the frame needs more.
    ///
    /// # Errors
    /// A [`DecodeError`]; the stream has lost its framing and must be closed.
    pub fn decode<M: DeserializeOwned>(&mut self, input: &mut &[u8]) -> Result<Option<M>, DecodeError> {
        let expected = match self.expected {
            Some(expected) => expected,
            None => {
                let missing = LENGTH_PREFIX_LEN - self.prefix_len;
                let bytes = take(input, missing);
                self.prefix[self.prefix_len..self.prefix_len + bytes.len()].copy_from_slice(bytes);
                self.prefix_len += bytes.len();
                if self.prefix_len < LENGTH_PREFIX_LEN {
                    return Ok(None);
                }
                let expected = checked_length(self.prefix)?;
                self.expected = Some(expected);
                expected
            }
        };
        let bytes = take(input, expected - self.payload.len());
        self.payload.extend_from_slice(bytes);
        if self.payload.len() < expected {
            return Ok(None);
        }
        let payload = core::mem::take(&mut self.payload);
        self.expected = None;
        self.prefix_len = 0;
        match postcard::take_from_bytes(&payload) {
            Ok((message, [])) => Ok(Some(message)),
            Ok((_, rest)) => Err(DecodeError::Trailing { extra: rest.len(), len: expected }),
            Err(_) => Err(DecodeError::Payload { len: expected }),
        }
    }

    /// Whether part of a frame has arrived.
    pub fn is_mid_frame(&self) -> bool {
        self.prefix_len > 0
    }

    /// Bytes held at this moment.
    pub fn buffered(&self) -> usize {
        self.payload.capacity()
    }
}

fn checked_length(prefix: [u8; LENGTH_PREFIX_LEN]) -> Result<usize, DecodeError> {
    let len = u32::from_be_bytes(prefix);
    let error = DecodeError::Length { len, max: MAX_FRAME_LEN };
    match usize::try_from(len) {
        Ok(length) if (1..=MAX_FRAME_LEN).contains(&length) => Ok(length),
        Ok(_) | Err(_) => Err(error),
    }
}

fn take<'a>(input: &mut &'a [u8], at_most: usize) -> &'a [u8] {
    let (bytes, rest) = input.split_at(at_most.min(input.len()));
    *input = rest;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CoordinatorMessage, Goal, Target};
    use proptest::prelude::*;
    use std::vec;

    fn goal(repetition: u32) -> CoordinatorMessage {
        CoordinatorMessage::Goal(Goal { repetition, program: 3, target: Target::Stop })
    }

    #[test]
    fn a_giant_length_is_refused_before_anything_is_allocated() {
        let mut decoder = Decoder::default();
        let error = decoder.decode::<CoordinatorMessage>(&mut &[0xff; 4][..]).unwrap_err();
        assert_eq!(error, DecodeError::Length { len: u32::MAX, max: MAX_FRAME_LEN });
        assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let error = Decoder::default().decode::<CoordinatorMessage>(&mut &[0; 4][..]).unwrap_err();
        assert_eq!(error, DecodeError::Length { len: 0, max: MAX_FRAME_LEN });
    }

    #[test]
    fn what_follows_a_message_in_its_frame_is_refused() {
        let mut bytes = vec![];
        encode_frame(&CoordinatorMessage::Finish, &mut bytes);
        bytes[3] += 1;
        bytes.push(0);
        let error = Decoder::default().decode::<CoordinatorMessage>(&mut &bytes[..]).unwrap_err();
        assert_eq!(error, DecodeError::Trailing { extra: 1, len: 2 });
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(repetitions in prop::collection::vec(0u32.., 0..8), cuts in prop::collection::vec(1usize..9, 1..64)) {
            let mut bytes = vec![];
            for &repetition in &repetitions {
                encode_frame(&goal(repetition), &mut bytes);
            }
            let mut decoder = Decoder::default();
            let mut decoded = vec![];
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let mut piece = take(&mut rest, *cuts.next().unwrap());
                while !piece.is_empty() {
                    if let Some(message) = decoder.decode::<CoordinatorMessage>(&mut piece).unwrap() {
                        decoded.push(message);
                    }
                }
            }
            prop_assert!(!decoder.is_mid_frame());
            prop_assert_eq!(decoded, repetitions.iter().map(|&r| goal(r)).collect::<Vec<_>>());
        }

        #[test]
        fn garbage_gives_an_error_or_waits_within_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let mut decoder = Decoder::default();
            let mut input = &bytes[..];
            while !input.is_empty() {
                if decoder.decode::<CoordinatorMessage>(&mut input).is_err() {
                    break;
                }
                prop_assert!(decoder.buffered() <= 2 * MAX_FRAME_LEN);
            }
        }
    }
}
