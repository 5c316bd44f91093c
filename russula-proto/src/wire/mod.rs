//! What crosses the wire: a fixed preamble, then length-delimited frames with one postcard message each.
//!
//! ```text
//! connection = preamble frame*
//! preamble   = "RUSSULA" version            8 bytes, version is one byte
//! frame      = length payload               length: 4 bytes, big endian, 1 to MAX_FRAME_LEN
//! payload    = CoordinatorMessage | WorkerMessage, encoded by postcard
//! ```
//!
//! The bytes are pinned by the vectors in `tests/wire_vectors.rs`. Whoever changes them raises
//! [`PROTOCOL_VERSION`] and the vectors in the same commit.

mod frame;
mod message;

pub use frame::{DecodeError, Decoder, LENGTH_PREFIX_LEN, MAX_FRAME_LEN, encode_frame};
pub use message::{
    CoordinatorMessage, Goal, Hello, PROGRAM_VERSION_MAX, Position, Refusal, Report, Stage, Target, Welcome,
    WorkerMessage,
};

/// Version of the protocol; both sides must speak the same.
pub const PROTOCOL_VERSION: u8 = 1;

/// Length of the preamble in bytes.
pub const PREAMBLE_LEN: usize = 8;

/// The first seven bytes of every connection, by which strangers are told apart at once.
pub const MAGIC: &[u8; PREAMBLE_LEN - 1] = b"RUSSULA";

/// The preamble of this version.
pub const fn preamble() -> [u8; PREAMBLE_LEN] {
    let [a, b, c, d, e, f, g] = *MAGIC;
    [a, b, c, d, e, f, g, PROTOCOL_VERSION]
}
