//! What crosses the wire: the two messages of a handshake, then length-delimited frames with one sealed
//! postcard message each.
//!
//! ```text
//! connection = handshake frame*           in each direction; see `noise` for the handshake
//! frame      = length payload             length: 2 bytes, big endian, MIN_FRAME_LEN to MAX_FRAME_LEN
//! payload    = CoordinatorMessage | WorkerMessage, encoded by postcard, sealed by the cipher of the link
//! ```
//!
//! Nothing but the lengths can be read on the way, and random bytes come first: whoever records a connection
//! cannot even tell which protocol it is.
//!
//! The encodings are pinned by the vectors in `tests/wire_vectors.rs`. Whoever changes them raises
//! [`PROTOCOL_VERSION`] and the vectors in the same commit.

mod frame;
mod message;

pub use frame::{
    DecodeError, FrameLengthError, FrameReader, LENGTH_PREFIX_LEN, MAX_FRAME_LEN, MAX_MESSAGE_LEN,
    MIN_FRAME_LEN, decode, encode,
};
pub use message::{
    ClockReading, CoordinatorMessage, Goal, Hello, Memory, PROGRAM_VERSION_MAX, Position, Refusal, Report,
    Stage, Target, Welcome, WorkerMessage,
};

/// Version of the protocol; both sides must speak the same. It is part of the handshake's prologue.
pub const PROTOCOL_VERSION: u8 = 2;
