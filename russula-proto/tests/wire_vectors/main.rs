//! The bytes of the wire, pinned: every variant of everything that a message is made of, the frames, and one
//! whole connection.
//!
//! A vector that changes means another protocol: raise `PROTOCOL_VERSION` in the same commit. Blanks in the hex
//! text count for nothing.

mod connection;
mod coordinator_messages;
mod hex;
mod worker_messages;

use hex::{hex, unhex};
use russula_proto::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// `message` is encoded as `expected`, and decoded from it.
fn check<M: Serialize + DeserializeOwned + Debug + PartialEq>(message: &M, expected: &str) {
    let encoded = wire::encode(message);
    assert_eq!(hex(&encoded), expected.replace(' ', ""), "{message:?}");
    assert_eq!(wire::decode::<M>(&encoded).as_ref(), Ok(message));
}

/// `text` is no encoding of an `M`.
fn refuse<M: DeserializeOwned + Debug>(text: &str) {
    let decoded = wire::decode::<M>(&unhex(text));
    assert!(decoded.is_err(), "{text} was taken for {decoded:?}");
}

#[test]
fn version() {
    assert_eq!(wire::PROTOCOL_VERSION, 2);
}
