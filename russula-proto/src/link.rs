//! One connection without a socket: bytes in, bytes out, messages in between.
//!
//! Everything that lies between a socket and the state machines is here: the handshake, encryption, framing,
//! back-pressure and the meaning of the end of a stream. A driver only moves bytes.
//!
//! ```text
//! dialing side                        answering side
//!   request    48 bytes   ----------->          verifies it before it says anything
//!              <-----------   56 bytes    response, with the ticket
//!   frame*     <---------->               frame*
//! ```

use crate::identity::Identity;
use crate::key::Key;
use crate::noise::{self, Entropy, REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use crate::quiet::Traffic;
use crate::wire::{self, DecodeError, FrameLengthError, FrameReader, LENGTH_PREFIX_LEN, MAX_FRAME_LEN};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::{fmt, mem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snow::{HandshakeState, TransportState};

/// Most bytes that wait to be sent. A level-triggered protocol needs room for the newest message only.
pub const MAX_OUTGOING_LEN: usize = 2 * (LENGTH_PREFIX_LEN + MAX_FRAME_LEN);

/// A connection that cannot go on, by fault of the peer or of the path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The handshake does not verify: the peer is somebody else, or was told something else.
    #[error(
        "the handshake does not verify: key, run, group, index and version must be the same on both sides"
    )]
    Handshake,
    /// A length field is none. Nothing was allocated for it.
    #[error("the stream is broken: {0}")]
    Length(#[from] FrameLengthError),
    /// A frame does not verify.
    #[error("a message does not verify: it was changed, repeated or left out on the way")]
    Forged,
    /// The peer, who has the key, sent bytes that are no message.
    #[error("the peer broke the protocol: {0}")]
    Decode(#[from] DecodeError),
    /// The stream ended within the handshake.
    #[error(
        "it closed the connection during the handshake: key, run, group, index and version must be the same on both sides"
    )]
    HandshakeEnded,
    /// The stream ended within a message.
    #[error("the stream ended in the middle of a message")]
    Truncated,
}

impl LinkError {
    /// Whether the bytes to blame came from somebody who has the key; everything else can be anybody's doing.
    pub fn is_authenticated(self) -> bool {
        match self {
            Self::Decode(_) => true,
            Self::Handshake | Self::Length(_) | Self::Forged | Self::HandshakeEnded | Self::Truncated => {
                false
            }
        }
    }
}

/// The two streams of one connection.
#[derive(Debug)]
pub struct Link {
    state: State,
    reader: FrameReader,
    /// What the answering side said with its handshake.
    ticket: u64,
    outgoing: Vec<u8>,
    sent: usize,
    sent_bytes: u64,
    received_bytes: u64,
    last_frame_len: usize,
}

enum State {
    /// The answering side waits for the request. Before it is complete a peer costs nothing but its bytes.
    Answering { key: Key, own: Box<Identity>, entropy: Entropy, request: [u8; REQUEST_LEN], len: usize },
    /// The dialing side waits for the response.
    Dialing { noise: Box<HandshakeState>, response: [u8; RESPONSE_LEN], len: usize },
    /// Both sides have shown that they have the key.
    Open(Box<TransportState>),
    /// The link is of no more use.
    Broken,
}

impl Link {
    /// The side that dialed `peer`. Its request is to be sent at once.
    pub fn dialed(key: &Key, peer: &Identity, entropy: Entropy) -> Self {
        let (noise, request) = noise::request(key, peer, entropy);
        let mut link = Self::new(State::Dialing { noise, response: [0; RESPONSE_LEN], len: 0 });
        link.outgoing = request;
        link
    }

    /// The side that was dialed, which is `own`. It says nothing before the peer has shown that it has the key;
    /// `ticket` is what it says then.
    pub fn accepted(key: &Key, own: &Identity, entropy: Entropy, ticket: u64) -> Self {
        let (key, own) = (key.clone(), Box::new(own.clone()));
        let mut link = Self::new(State::Answering { key, own, entropy, request: [0; REQUEST_LEN], len: 0 });
        link.ticket = ticket;
        link
    }

    fn new(state: State) -> Self {
        Self {
            state,
            reader: FrameReader::default(),
            ticket: 0,
            outgoing: Vec::new(),
            sent: 0,
            sent_bytes: 0,
            received_bytes: 0,
            last_frame_len: 0,
        }
    }

    /// Takes bytes from the front of `input` until a message is complete.
    ///
    /// `None` means that all of `input` was taken.
    ///
    /// # Errors
    /// The link is of no more use.
    pub fn receive<M: DeserializeOwned>(&mut self, input: &mut &[u8]) -> Result<Option<M>, LinkError> {
        let before = input.len();
        let result = self.receive_inner(input);
        self.received_bytes += (before - input.len()) as u64;
        if result.is_err() {
            self.state = State::Broken;
        }
        result
    }

    /// The peer has closed its side.
    ///
    /// # Errors
    /// If something was under way.
    pub fn handle_end(&self) -> Result<(), LinkError> {
        match &self.state {
            State::Answering { len: 0, .. } => Ok(()),
            State::Answering { .. } | State::Dialing { .. } => Err(LinkError::HandshakeEnded),
            State::Open(_) if self.reader.is_mid_frame() => Err(LinkError::Truncated),
            State::Open(_) | State::Broken => Ok(()),
        }
    }

    /// Queues a message.
    ///
    /// # Panics
    /// If the handshake is not done, or more than [`MAX_OUTGOING_LEN`] bytes wait after it: the caller keeps
    /// the newest message back while an older one is under way.
    pub fn send<M: Serialize>(&mut self, message: &M) {
        let State::Open(noise) = &mut self.state else { panic!("nothing is said before the handshake") };
        self.outgoing.drain(..mem::take(&mut self.sent));
        let message = wire::encode(message);
        let payload_len = message.len() + TAG_LEN;
        let prefix = u16::try_from(payload_len).expect("the limit of a frame fits in 16 bits");
        self.outgoing.extend_from_slice(&prefix.to_be_bytes());
        let begin = self.outgoing.len();
        self.outgoing.resize(begin + payload_len, 0);
        noise
            .write_message(&message, &mut self.outgoing[begin..])
            .expect("the buffer has the length, and nobody sends 2^64 messages");
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

    /// Whether the peer has shown that it has the key, and this side may speak.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// What the answering side said with its handshake; 0 before that.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Payload bytes since the connection was made.
    pub fn traffic(&self) -> Traffic {
        Traffic { sent_bytes: self.sent_bytes, received_bytes: self.received_bytes }
    }

    /// Bytes held at this moment for a message of which only a part has arrived.
    pub fn buffered(&self) -> usize {
        self.reader.buffered()
    }

    /// Length of the last message that was received, as it crossed the wire, in bytes.
    pub fn last_frame_len(&self) -> usize {
        self.last_frame_len
    }

    /// What decides about what this link takes and says next, without keys and counters.
    pub(crate) fn hash_state(&self, hasher: &mut impl Hasher) {
        mem::discriminant(&self.state).hash(hasher);
        (self.is_flushed(), self.partial_len()).hash(hasher);
    }

    /// Bytes that have arrived of a message that is not complete, as they crossed the wire.
    pub fn partial_len(&self) -> usize {
        self.reader.partial_len()
    }

    fn receive_inner<M: DeserializeOwned>(&mut self, input: &mut &[u8]) -> Result<Option<M>, LinkError> {
        if !self.is_open() && !self.shake_hands(input)? {
            return Ok(None);
        }
        let Some(payload) = self.reader.read(input)? else { return Ok(None) };
        let State::Open(noise) = &mut self.state else { return Ok(None) };
        let mut message = alloc::vec![0; payload.len() - TAG_LEN];
        noise.read_message(&payload, &mut message).map_err(|_| LinkError::Forged)?;
        self.last_frame_len = LENGTH_PREFIX_LEN + payload.len();
        Ok(Some(wire::decode(&message)?))
    }

    /// Whether the handshake is done.
    fn shake_hands(&mut self, input: &mut &[u8]) -> Result<bool, LinkError> {
        let is_complete = match &mut self.state {
            State::Answering { request, len, .. } => fill(request, len, input),
            State::Dialing { response, len, .. } => fill(response, len, input),
            State::Open(_) => return Ok(true),
            State::Broken => {
                *input = &[];
                return Ok(false);
            }
        };
        if !is_complete {
            return Ok(false);
        }
        match mem::replace(&mut self.state, State::Broken) {
            State::Answering { key, own, entropy, request, .. } => {
                let answer = noise::respond(&key, &own, entropy, &request, self.ticket.to_be_bytes());
                let (noise, response) = answer.map_err(|_| LinkError::Handshake)?;
                self.outgoing = response;
                self.state = State::Open(noise);
            }
            State::Dialing { noise, response, .. } => {
                let (noise, ticket) = noise::finish(noise, &response).map_err(|_| LinkError::Handshake)?;
                self.ticket = u64::from_be_bytes(ticket);
                self.state = State::Open(noise);
            }
            State::Open(_) | State::Broken => return Ok(false),
        }
        Ok(true)
    }
}

/// Takes bytes from the front of `input` until `buffer` is full; whether it is.
fn fill(buffer: &mut [u8], len: &mut usize, input: &mut &[u8]) -> bool {
    let (bytes, rest) = input.split_at(input.len().min(buffer.len() - *len));
    buffer[*len..*len + bytes.len()].copy_from_slice(bytes);
    *len += bytes.len();
    *input = rest;
    *len == buffer.len()
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answering { .. } => "Answering",
            Self::Dialing { .. } => "Dialing",
            Self::Open(_) => "Open",
            Self::Broken => "Broken",
        })
    }
}

#[cfg(test)]
mod tests;
