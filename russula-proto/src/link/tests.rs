//! Both sides of a link, and what may happen to the bytes between them.

use super::*;
use crate::wire::CoordinatorMessage;
use crate::workflow::Group;
use std::vec;

const KEY: Key = Key::from_bytes([3; Key::LEN]);

fn identity() -> Identity {
    Identity { run: "run".parse().unwrap(), group: Group::Server, index: 0 }
}

fn pair() -> (Link, Link) {
    (Link::dialed(&KEY, &identity(), [1; 32]), Link::accepted(&KEY, &identity(), [2; 32], 5))
}

/// Carries what waits, in pieces of `piece` bytes; returns the messages that came out.
fn carry(from: &mut Link, to: &mut Link, piece: usize) -> Result<Vec<CoordinatorMessage>, LinkError> {
    let mut messages = vec![];
    while !from.is_flushed() {
        let len = piece.min(from.outgoing().len());
        let bytes = from.outgoing()[..len].to_vec();
        from.handle_sent(len);
        messages.extend(receive(to, &bytes)?);
    }
    Ok(messages)
}

fn receive(link: &mut Link, mut bytes: &[u8]) -> Result<Vec<CoordinatorMessage>, LinkError> {
    let mut messages = vec![];
    while !bytes.is_empty() {
        messages.extend(link.receive(&mut bytes)?);
    }
    Ok(messages)
}

fn open(piece: usize) -> (Link, Link) {
    let (mut dialed, mut accepted) = pair();
    carry(&mut dialed, &mut accepted, piece).unwrap();
    carry(&mut accepted, &mut dialed, piece).unwrap();
    assert!(dialed.is_open() && accepted.is_open());
    (dialed, accepted)
}

#[test]
fn messages_pass_in_pieces_of_any_size() {
    for piece in [1, 2, 7, 1000] {
        let (mut dialed, mut accepted) = open(piece);
        assert_eq!(dialed.ticket(), 5);
        dialed.send(&CoordinatorMessage::Finish);
        dialed.send(&CoordinatorMessage::Finish);
        let received = carry(&mut dialed, &mut accepted, piece).unwrap();
        assert_eq!(received, [CoordinatorMessage::Finish, CoordinatorMessage::Finish]);
        assert_eq!(dialed.traffic().sent_bytes, accepted.traffic().received_bytes);
        assert_eq!(accepted.last_frame_len(), LENGTH_PREFIX_LEN + 1 + TAG_LEN);
    }
}

#[test]
fn a_stranger_gets_no_answer() {
    let (_, mut accepted) = pair();
    assert_eq!(receive(&mut accepted, &[b'G'; REQUEST_LEN - 1]), Ok(vec![]));
    assert!(accepted.is_flushed());
    assert_eq!(receive(&mut accepted, b"E"), Err(LinkError::Handshake));
    assert!(accepted.is_flushed() && !accepted.is_open());
}

#[test]
fn a_reflected_request_does_not_verify() {
    let (mut dialed, _) = pair();
    let echo = [dialed.outgoing(), &[0; RESPONSE_LEN - REQUEST_LEN]].concat();
    assert_eq!(receive(&mut dialed, &echo), Err(LinkError::Handshake));
}

#[test]
fn a_message_that_is_changed_repeated_or_left_out_does_not_verify() {
    let sealed = |link: &mut Link| {
        link.send(&CoordinatorMessage::Finish);
        let bytes = link.outgoing().to_vec();
        link.handle_sent(bytes.len());
        bytes
    };
    let (mut dialed, mut accepted) = open(1000);
    let mut changed = sealed(&mut dialed);
    changed[LENGTH_PREFIX_LEN] ^= 1;
    assert_eq!(receive(&mut accepted, &changed), Err(LinkError::Forged));

    let (mut dialed, mut accepted) = open(1000);
    let bytes = sealed(&mut dialed);
    assert_eq!(receive(&mut accepted, &bytes), Ok(vec![CoordinatorMessage::Finish]));
    assert_eq!(receive(&mut accepted, &bytes), Err(LinkError::Forged), "repeated");

    let (mut dialed, mut accepted) = open(1000);
    sealed(&mut dialed);
    assert_eq!(receive(&mut accepted, &sealed(&mut dialed)), Err(LinkError::Forged), "left out");
    assert_eq!(receive(&mut accepted, b"x"), Ok(vec![]), "a broken link takes nothing");

    let (mut dialed, _) = open(1000);
    let own = sealed(&mut dialed);
    assert_eq!(receive(&mut dialed, &own), Err(LinkError::Forged), "reflected");
}

#[test]
fn a_recorded_connection_cannot_be_played_again() {
    let (mut dialed, mut accepted) = pair();
    let request = dialed.outgoing().to_vec();
    carry(&mut dialed, &mut accepted, 1000).unwrap();
    carry(&mut accepted, &mut dialed, 1000).unwrap();
    dialed.send(&CoordinatorMessage::Finish);
    let finish = dialed.outgoing().to_vec();

    let mut again = Link::accepted(&KEY, &identity(), [4; 32], 6);
    assert_eq!(receive(&mut again, &request), Ok(vec![]));
    assert_eq!(receive(&mut again, &finish), Err(LinkError::Forged));
}

#[test]
fn the_end_of_the_stream_is_clean_only_between_messages() {
    let (dialed, mut accepted) = pair();
    assert_eq!(accepted.handle_end(), Ok(()));
    assert_eq!(dialed.handle_end(), Err(LinkError::HandshakeEnded));
    receive(&mut accepted, &dialed.outgoing()[..3]).unwrap();
    assert_eq!(accepted.handle_end(), Err(LinkError::HandshakeEnded));

    let (dialed, mut accepted) = open(1000);
    assert_eq!((dialed.handle_end(), accepted.handle_end()), (Ok(()), Ok(())));
    receive(&mut accepted, &[0]).unwrap();
    assert_eq!(accepted.handle_end(), Err(LinkError::Truncated));
}
