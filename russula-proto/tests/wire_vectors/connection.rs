//! One whole connection with the real primitives, and the frames that it consists of.
//!
//! These bytes were computed by a second implementation of the handshake, over another library: what is pinned
//! is the protocol, and not only what this crate happens to do.

use crate::hex::{hex, unhex};
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN};
use russula_proto::wire::{
    CoordinatorMessage, FrameReader, Hello, LENGTH_PREFIX_LEN, MAX_FRAME_LEN, MAX_MESSAGE_LEN, MIN_FRAME_LEN,
    WorkerMessage,
};
use russula_proto::{Group, Identity, Key, Link};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fn identity() -> Identity {
    Identity { run: "run-1".parse().expect("a valid name"), group: Group::Client, index: 258 }
}

#[test]
fn a_whole_connection() {
    let key = Key::from_bytes([7; Key::LEN]);
    let mut dialed = Link::dialed(&key, &identity(), [1; 32]);
    let mut accepted = Link::accepted(&key, &identity(), [2; 32], 9);
    carry::<CoordinatorMessage>(&mut dialed, &mut accepted, REQUEST, &[]);
    carry::<WorkerMessage>(&mut accepted, &mut dialed, RESPONSE, &[]);
    assert_eq!(dialed.ticket(), 9);
    let hello = CoordinatorMessage::Hello(Hello { session: 5, epoch: 6, ticket: 9, work: None });
    for (message, frame) in [(hello, HELLO), (CoordinatorMessage::Finish, FINISH)] {
        dialed.send(&message);
        carry(&mut dialed, &mut accepted, frame, &[message]);
    }
    accepted.send(&WorkerMessage::Farewell);
    carry(&mut accepted, &mut dialed, FAREWELL, &[WorkerMessage::Farewell]);
}

/// An ephemeral public key, and a code over nothing.
const REQUEST: &str =
    "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209 124691cd45a29858366f06eb6977dfce";

/// An ephemeral public key, and the sealed ticket.
const RESPONSE: &str = "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59 b7187ae93ace5603 67a2ffcb2f73d3fe9f6c5462b486aac0";

/// A length, and a sealed message.
const HELLO: &str = "0015 477d1de5a8 22dee538bb74c80f32427e8e712a8bfd";
const FINISH: &str = "0011 07 ad150308562eb019368149eb2d158421";
const FAREWELL: &str = "0011 8b 373cc2417165fd78979cdb7784689307";

#[test]
fn lengths() {
    assert_eq!((REQUEST_LEN, RESPONSE_LEN), (48, 56));
    assert_eq!((LENGTH_PREFIX_LEN, MIN_FRAME_LEN), (2, 17));
    assert_eq!((MAX_MESSAGE_LEN, MAX_FRAME_LEN), (16 * 1024, 16 * 1024 + 16));
}

#[test]
fn frames() {
    let first = "0011 000102030405060708090a0b0c0d0e0f10";
    let longest = format!("4010 {}", "aa".repeat(MAX_FRAME_LEN));
    let mut reader = FrameReader::default();
    for text in [first, &longest] {
        let bytes = unhex(text);
        let mut input = &bytes[..];
        assert_eq!(reader.read(&mut input).unwrap().as_deref(), Some(&bytes[LENGTH_PREFIX_LEN..]));
        assert_eq!((input.len(), reader.is_mid_frame()), (0, false));
    }
    for (text, len) in [("0000", 0), ("0010", 16), ("4011", 16401), ("ffff", 65535)] {
        let error = FrameReader::default().read(&mut &unhex(text)[..]).unwrap_err();
        assert_eq!(error.len, len);
    }
}

/// What waits on one side is `expected`, and means `messages` to the other.
fn carry<M: Serialize + DeserializeOwned + Debug + PartialEq>(
    from: &mut Link,
    to: &mut Link,
    expected: &str,
    messages: &[M],
) {
    let bytes = from.outgoing().to_vec();
    from.handle_sent(bytes.len());
    assert_eq!(hex(&bytes), expected.replace(' ', ""));
    let mut rest = &bytes[..];
    let mut received = vec![];
    while !rest.is_empty() {
        received.extend(to.receive::<M>(&mut rest).expect("our own bytes verify"));
    }
    assert_eq!(received, messages);
}
