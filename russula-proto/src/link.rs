//! One connection without a socket: bytes in, bytes out, messages in between.
//!
//! Everything that lies between a socket and the state machines is here: the preamble, framing, back-pressure
//! and the meaning of the end of a stream. A driver only moves bytes. Encryption sits in this type as well,
//! between the frames and the two byte streams; drivers do not notice it.

use crate::wire::{self, DecodeError, Decoder, MAX_FRAME_LEN, PREAMBLE_LEN, PROTOCOL_VERSION};
use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes that wait to be sent. A level-triggered protocol needs room for the newest message only.
pub const MAX_OUTGOING_LEN: usize = 2 * MAX_FRAME_LEN;

/// A connection that cannot go on, by fault of the peer or of the path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer does not speak this protocol: a port scan, another service's client.
    #[error("the peer does not speak Russula (its first bytes: {})", .0.escape_ascii())]
    Stranger([u8; PREAMBLE_LEN - 1]),
    /// The peer speaks another version of the protocol.
    #[error("the peer speaks protocol version {got}, expected {expected}")]
    Version {
        /// Our version.
        expected: u8,
        /// The peer's version.
        got: u8,
    },
    /// The peer sent bytes that are no message.
    #[error("the peer broke the protocol: {0}")]
    Decode(#[from] DecodeError),
    /// The stream ended within a preamble or a message.
    #[error("the stream ended in the middle of a message")]
    Truncated,
}

/// The two streams of one connection.
#[derive(Debug)]
pub struct Link {
    preamble: [u8; PREAMBLE_LEN],
    preamble_len: usize,
    decoder: Decoder,
    outgoing: Vec<u8>,
    sent: usize,
    preamble_sent: bool,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Link {
    /// The side that dialed. Its preamble is sent at once.
    pub fn dialed() -> Self {
        let mut link = Self::accepted();
        link.send_preamble();
        link
    }

    /// The side that was dialed. It says nothing before the peer has shown that it speaks this protocol.
    pub fn accepted() -> Self {
        Self {
            preamble: [0; PREAMBLE_LEN],
            preamble_len: 0,
            decoder: Decoder::default(),
            outgoing: Vec::new(),
            sent: 0,
            preamble_sent: false,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// Takes bytes from the front of `input` until a message is complete.
    ///
    /// `None` means that all of `input` was taken.
    ///
    /// # Errors
    /// The link is of no more use; bytes that are already queued may still be sent.
    pub fn receive<M: DeserializeOwned>(&mut self, input: &mut &[u8]) -> Result<Option<M>, LinkError> {
        let before = input.len();
        let result = self.receive_inner(input);
        self.received_bytes += (before - input.len()) as u64;
        result
    }

    /// The peer has closed its side.
    ///
    /// # Errors
    /// [`LinkError::Truncated`] if something was under way.
    pub fn handle_end(&self) -> Result<(), LinkError> {
        let mid_preamble = (1..PREAMBLE_LEN).contains(&self.preamble_len);
        if mid_preamble || self.decoder.is_mid_frame() { Err(LinkError::Truncated) } else { Ok(()) }
    }

    /// Queues a message.
    ///
    /// # Panics
    /// If more than [`MAX_OUTGOING_LEN`] bytes wait after it: the caller keeps the newest message back while
    /// an older one is under way.
    pub fn send<M: Serialize>(&mut self, message: &M) {
        self.outgoing.drain(..core::mem::take(&mut self.sent));
        wire::encode_frame(message, &mut self.outgoing);
        assert!(self.outgoing.len() <= MAX_OUTGOING_LEN, "the caller queues one message at a time");
    }

    /// Bytes that wait to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    /// `len` bytes of [`Self::outgoing`] have been taken by the socket.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn handle_sent(&mut self, len: usize) {
        assert!(len <= self.outgoing.len() - self.sent, "more bytes sent than there were");
        self.sent += len;
        self.sent_bytes += len as u64;
        if self.sent == self.outgoing.len() {
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    /// Whether nothing waits to be sent.
    pub fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Bytes received since the connection was made.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Bytes sent since the connection was made.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    fn receive_inner<M: DeserializeOwned>(&mut self, input: &mut &[u8]) -> Result<Option<M>, LinkError> {
        if self.preamble_len < PREAMBLE_LEN && !self.receive_preamble(input)? {
            return Ok(None);
        }
        if input.is_empty() {
            return Ok(None);
        }
        Ok(self.decoder.decode(input)?)
    }

    /// Whether the peer's preamble is complete and right.
    fn receive_preamble(&mut self, input: &mut &[u8]) -> Result<bool, LinkError> {
        while let [byte, rest @ ..] = *input {
            *input = rest;
            let at = self.preamble_len;
            self.preamble[at] = *byte;
            self.preamble_len += 1;
            match wire::MAGIC.get(at) {
                Some(expected) if expected == byte => {}
                Some(_) => {
                    let mut first = [0; PREAMBLE_LEN - 1];
                    first.copy_from_slice(&self.preamble[..PREAMBLE_LEN - 1]);
                    return Err(LinkError::Stranger(first));
                }
                None => {
                    // The peer learns our version even when it is not the same, so that both can say so.
                    self.send_preamble();
                    return if *byte == PROTOCOL_VERSION {
                        Ok(true)
                    } else {
                        Err(LinkError::Version { expected: PROTOCOL_VERSION, got: *byte })
                    };
                }
            }
        }
        Ok(false)
    }

    fn send_preamble(&mut self) {
        if !core::mem::replace(&mut self.preamble_sent, true) {
            self.outgoing.extend_from_slice(&wire::preamble());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CoordinatorMessage;
    use std::vec;

    fn receive(link: &mut Link, mut bytes: &[u8]) -> Result<Vec<CoordinatorMessage>, LinkError> {
        let mut messages = vec![];
        while !bytes.is_empty() {
            messages.extend(link.receive(&mut bytes)?);
        }
        Ok(messages)
    }

    #[test]
    fn messages_pass_byte_by_byte() {
        let (mut dialed, mut accepted) = (Link::dialed(), Link::accepted());
        dialed.send(&CoordinatorMessage::Finish);
        let mut received = vec![];
        while !dialed.is_flushed() {
            let byte = dialed.outgoing()[0];
            dialed.handle_sent(1);
            received.extend(receive(&mut accepted, &[byte]).unwrap());
        }
        assert_eq!(received, [CoordinatorMessage::Finish]);
        assert_eq!(dialed.sent_bytes(), accepted.received_bytes());
        assert_eq!(accepted.outgoing(), wire::preamble());
    }

    #[test]
    fn a_stranger_is_known_by_its_first_wrong_byte_and_gets_no_answer() {
        let mut link = Link::accepted();
        let error = receive(&mut link, b"GET / HTTP/1.1\r\n").unwrap_err();
        assert_eq!(error, LinkError::Stranger(*b"G\0\0\0\0\0\0"));
        assert!(link.is_flushed());
    }

    #[test]
    fn another_version_is_told_on_both_sides() {
        let mut newer = wire::preamble();
        newer[PREAMBLE_LEN - 1] += 1;
        let mut link = Link::accepted();
        let error = receive(&mut link, &newer).unwrap_err();
        assert_eq!(error, LinkError::Version { expected: PROTOCOL_VERSION, got: PROTOCOL_VERSION + 1 });
        assert_eq!(link.outgoing(), wire::preamble(), "the peer can say so too");
    }

    #[test]
    fn the_end_of_the_stream_is_clean_only_between_messages() {
        let mut link = Link::accepted();
        assert_eq!(link.handle_end(), Ok(()));
        receive(&mut link, &wire::preamble()[..3]).unwrap();
        assert_eq!(link.handle_end(), Err(LinkError::Truncated));
        receive(&mut link, &wire::preamble()[3..]).unwrap();
        assert_eq!(link.handle_end(), Ok(()));
        receive(&mut link, &[0, 0]).unwrap();
        assert_eq!(link.handle_end(), Err(LinkError::Truncated));
    }
}
