//! Frames: a length, then one sealed message. The reader takes any split of the bytes.

use crate::noise::TAG_LEN;
use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest encoding of a message in bytes. A report with a full stderr tail needs about a third of it.
pub const MAX_MESSAGE_LEN: usize = 16 * 1024;

/// Longest payload of a frame in bytes: a message and the code that seals it.
pub const MAX_FRAME_LEN: usize = MAX_MESSAGE_LEN + TAG_LEN;

/// Shortest payload of a frame in bytes.
pub const MIN_FRAME_LEN: usize = 1 + TAG_LEN;

/// Length of a frame's length field in bytes.
pub const LENGTH_PREFIX_LEN: usize = 2;

/// A length field that no frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes, expected {MIN_FRAME_LEN} to {MAX_FRAME_LEN}")]
pub struct FrameLengthError {
    /// The length that was announced. Nothing was allocated for it.
    pub len: u16,
}

/// Bytes that are no message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not an encoded message.
    #[error("{len} bytes that are no message of this protocol")]
    Message {
        /// How many bytes.
        len: usize,
    },
    /// A message, and then something else.
    #[error("{extra} bytes after a message, in {len} bytes")]
    Trailing {
        /// Bytes after the message.
        extra: usize,
        /// How many bytes in all.
        len: usize,
    },
}

/// The encoding of `message`.
///
/// # Panics
/// If it is over [`MAX_MESSAGE_LEN`]; the limits of the fields of our messages exclude it.
pub fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    let bytes = postcard::to_allocvec(message).expect("our messages have nothing postcard cannot encode");
    assert!((1..=MAX_MESSAGE_LEN).contains(&bytes.len()), "a message of {} bytes", bytes.len());
    bytes
}

/// The message that `bytes` encode, all of them.
///
/// # Errors
/// A [`DecodeError`].
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(DecodeError::Trailing { extra: rest.len(), len: bytes.len() }),
        Err(_) => Err(DecodeError::Message { len: bytes.len() }),
    }
}

/// Puts frames together again, one at a time.
///
/// Holds at most one frame: whatever a length field says, the buffer never grows beyond
/// [`MAX_FRAME_LEN`], and it grows only by bytes that have arrived.
#[derive(Debug, Default)]
pub struct FrameReader {
    prefix: [u8; LENGTH_PREFIX_LEN],
    prefix_len: usize,
    payload: Vec<u8>,
}

impl FrameReader {
    /// Takes bytes from the front of `input` until a frame is complete, and returns its payload.
    ///
    /// `None` means that all of `input` was taken and the frame needs more.
    ///
    /// # Errors
    /// A length that no frame has; the stream has lost its framing and must be closed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameLengthError> {
        let prefix = take(input, LENGTH_PREFIX_LEN - self.prefix_len);
        self.prefix[self.prefix_len..self.prefix_len + prefix.len()].copy_from_slice(prefix);
        self.prefix_len += prefix.len();
        if self.prefix_len < LENGTH_PREFIX_LEN {
            return Ok(None);
        }
        let len = u16::from_be_bytes(self.prefix);
        let expected = usize::from(len);
        if !(MIN_FRAME_LEN..=MAX_FRAME_LEN).contains(&expected) {
            return Err(FrameLengthError { len });
        }
        let piece = take(input, expected - self.payload.len());
        self.make_room(piece.len(), expected);
        self.payload.extend_from_slice(piece);
        if self.payload.len() < expected {
            return Ok(None);
        }
        self.prefix_len = 0;
        Ok(Some(core::mem::take(&mut self.payload)))
    }

    /// Grows the buffer in doubling steps, so that many small pieces cost no more than a few large ones, and never
    /// beyond the frame.
    fn make_room(&mut self, more: usize, expected: usize) {
        let len = self.payload.len() + more;
        if len > self.payload.capacity() {
            let capacity = len.max(2 * self.payload.capacity()).min(expected);
            self.payload.reserve_exact(capacity - self.payload.len());
        }
    }

    /// Whether part of a frame has arrived.
    pub fn is_mid_frame(&self) -> bool {
        self.prefix_len > 0
    }

    /// Bytes that have arrived of a frame that is not complete, with its length field.
    pub fn partial_len(&self) -> usize {
        self.prefix_len + self.payload.len()
    }

    /// Bytes held at this moment.
    pub fn buffered(&self) -> usize {
        self.payload.capacity()
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
    use crate::wire::CoordinatorMessage;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn a_giant_length_is_refused_before_anything_is_allocated() {
        let mut reader = FrameReader::default();
        assert_eq!(reader.read(&mut &[0xff; 2][..]), Err(FrameLengthError { len: u16::MAX }));
        assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn a_frame_without_a_message_is_refused() {
        let error = FrameReader::default().read(&mut &[0, 16][..]).unwrap_err();
        assert_eq!(error, FrameLengthError { len: 16 });
    }

    #[test]
    fn what_follows_a_message_is_refused() {
        let mut bytes = encode(&CoordinatorMessage::Finish);
        bytes.push(0);
        let error = decode::<CoordinatorMessage>(&bytes).unwrap_err();
        assert_eq!(error, DecodeError::Trailing { extra: 1, len: 2 });
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(lengths in prop::collection::vec(MIN_FRAME_LEN..80, 0..8), cuts in prop::collection::vec(1usize..9, 1..64)) {
            let frames: Vec<Vec<u8>> = lengths.iter().map(|&len| vec![len as u8; len]).collect();
            let bytes: Vec<u8> =
                frames.iter().flat_map(|f| [&(f.len() as u16).to_be_bytes()[..], f].concat()).collect();
            let mut reader = FrameReader::default();
            let mut read = vec![];
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let mut piece = take(&mut rest, *cuts.next().unwrap());
                while !piece.is_empty() {
                    read.extend(reader.read(&mut piece).unwrap());
                }
            }
            prop_assert!(!reader.is_mid_frame());
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn garbage_gives_an_error_or_waits_within_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let mut reader = FrameReader::default();
            let mut input = &bytes[..];
            while !input.is_empty() {
                if reader.read(&mut input).is_err() {
                    break;
                }
                prop_assert!(reader.buffered() <= 2 * MAX_FRAME_LEN);
            }
        }
    }
}
