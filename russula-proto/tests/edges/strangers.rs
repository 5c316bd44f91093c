//! Connections of others than the coordinator: each is closed for a reason with a name, counted, and changes
//! nothing.

use crate::by_hand::{
    KEY, NOW, Peer, SESSION, SOCKET, asks, at_ms, attached_worker, entropy, goal, hello, identity, wait_of,
};
use russula_proto::link::LinkError;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN};
use russula_proto::wire::{CoordinatorMessage, DecodeError, FrameLengthError, Target, WorkerMessage};
use russula_proto::worker::{Event, MAX_GREETINGS, Output, Rejection};
use russula_proto::{ConnectionId, Group, Identity, Key, Link, Refusal, Timestamp, Worker};

const STRANGER: ConnectionId = ConnectionId(1);

/// A worker whose server runs, and the coordinator that told it so.
fn busy_worker() -> (Worker, Peer<Worker>) {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    coordinator.hear(&mut worker, NOW);
    asks(&mut worker);
    (worker, coordinator)
}

/// `stranger` is rejected for `why`, once, and the worker goes on as if it had never been there.
#[track_caller]
fn assert_rejected(
    worker: &mut Worker,
    coordinator: &mut Peer<Worker>,
    stranger: ConnectionId,
    why: &Rejection,
    now: Timestamp,
) {
    let rejected = Output::Event(Event::Rejected(stranger, why.clone(), 1));
    assert_eq!(asks(worker), [rejected, Output::Close(stranger)]);
    assert_eq!(worker.rejections().iter().collect::<Vec<_>>(), [(why.kind(), 1)]);
    assert_eq!((worker.repetition(), worker.state()), (1, "RunningAwaitKill"));
    assert!(worker.is_attached());
    coordinator.say(worker, &CoordinatorMessage::ReadClock(77), now);
    let answers = coordinator.hear(worker, now);
    assert!(matches!(&answers[..], [WorkerMessage::Clock(reading)] if reading.exchange == 77), "{answers:?}");
}

/// What a dialing side with this key and identity sends first.
fn request(key: &Key, identity: &Identity) -> Vec<u8> {
    Link::dialed(key, identity, entropy()).outgoing().to_vec()
}

#[test]
fn whoever_was_told_something_else_is_rejected() {
    let own = identity(Group::Server, 0);
    let other_run = Identity { run: "demo2".parse().expect("a valid name"), ..own.clone() };
    let other_key = Key::from_bytes([8; Key::LEN]);
    let requests = [
        ("another key", request(&other_key, &own)),
        ("another run", request(&KEY, &other_run)),
        ("another group", request(&KEY, &identity(Group::Client, 0))),
        ("another index", request(&KEY, &identity(Group::Server, 1))),
        ("garbage", vec![0xa5; REQUEST_LEN]),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: worker.example.org:4433\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in requests {
        let (mut worker, mut coordinator) = busy_worker();
        worker.handle_accepted(STRANGER, entropy(), NOW);
        worker.handle_bytes(STRANGER, &bytes, NOW);
        assert_eq!(worker.outgoing(STRANGER), b"", "{what} gets no answer");
        assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::Link(LinkError::Handshake), NOW);
    }
}

#[test]
fn whoever_says_nothing_is_rejected_at_the_deadline() {
    let (mut worker, mut coordinator) = busy_worker();
    worker.handle_accepted(STRANGER, entropy(), NOW);
    assert_eq!(wait_of(&mut worker), Some(at_ms(5000)));
    worker.handle_timeout(at_ms(4999));
    assert_eq!(asks(&mut worker), []);
    worker.handle_timeout(at_ms(5000));
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::Silent, at_ms(5000));
}

#[test]
fn whoever_says_a_byte_at_a_time_is_rejected_at_the_same_deadline() {
    let (mut worker, mut coordinator) = busy_worker();
    worker.handle_accepted(STRANGER, entropy(), NOW);
    let request = request(&KEY, &identity(Group::Server, 0));
    for (second, byte) in request.iter().enumerate() {
        let now = at_ms(1000 * second as u64);
        worker.handle_timeout(now);
        worker.handle_bytes(STRANGER, &[*byte], now);
    }
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::Silent, at_ms(50_000));
}

#[test]
fn whoever_shows_the_key_and_says_nothing_after_that_is_rejected_at_the_deadline() {
    let (mut worker, mut coordinator) = busy_worker();
    let stranger = Peer::dial(&mut worker, STRANGER, Group::Server, NOW);
    assert!(stranger.link.is_open());
    asks(&mut worker);
    worker.handle_timeout(at_ms(5000));
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::Silent, at_ms(5000));
}

#[test]
fn a_giant_length_is_rejected_before_its_bytes_come() {
    let (mut worker, mut coordinator) = busy_worker();
    Peer::dial(&mut worker, STRANGER, Group::Server, NOW);
    asks(&mut worker);
    worker.handle_bytes(STRANGER, &[0xff, 0xff], NOW);
    let why = Rejection::Link(LinkError::Length(FrameLengthError { len: u16::MAX }));
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &why, NOW);
}

#[test]
fn a_request_that_was_recorded_is_answered_and_comes_to_nothing() {
    let mut worker = crate::by_hand::worker(Group::Server);
    let recorded = request(&KEY, &identity(Group::Server, 0));
    worker.handle_accepted(SOCKET, entropy(), NOW);
    worker.handle_bytes(SOCKET, &recorded, NOW);
    let first_answer = worker.outgoing(SOCKET).to_vec();
    worker.handle_accepted(STRANGER, entropy(), NOW);
    worker.handle_bytes(STRANGER, &recorded, NOW);
    assert_eq!(worker.outgoing(STRANGER).len(), RESPONSE_LEN);
    assert_ne!(worker.outgoing(STRANGER), first_answer, "whoever has no key can do nothing with it");
    worker.handle_timeout(at_ms(5000));
    assert_eq!(worker.rejections().iter().collect::<Vec<_>>(), [("silent", 2)]);
    assert!(!worker.is_attached());
}

/// Everything that a coordinator has said on its connection is said once more, on a connection of its own.
#[test]
fn a_whole_connection_that_was_recorded_is_rejected() {
    let own = identity(Group::Server, 0);
    let (mut worker, mut coordinator) = busy_worker();
    let mut recorded = Link::dialed(&KEY, &own, entropy());
    let mut bytes = recorded.outgoing().to_vec();
    let second = ConnectionId(2);
    worker.handle_accepted(second, entropy(), NOW);
    worker.handle_bytes(second, &bytes, NOW);
    let answer = worker.outgoing(second).to_vec();
    recorded.handle_sent(bytes.len());
    worker.handle_sent(second, answer.len(), NOW);
    assert_eq!(recorded.receive::<WorkerMessage>(&mut &answer[..]), Ok(None));
    recorded.send(&hello(SESSION, 2, recorded.ticket()));
    bytes.extend_from_slice(recorded.outgoing());
    worker.handle_end(second, NOW);
    asks(&mut worker);

    worker.handle_accepted(STRANGER, entropy(), NOW);
    worker.handle_bytes(STRANGER, &bytes, NOW);
    let outputs = asks(&mut worker);
    let why = Rejection::Link(LinkError::Forged);
    assert_eq!(outputs, [Output::Event(Event::Rejected(STRANGER, why, 1)), Output::Close(STRANGER)]);
    coordinator.say(&mut worker, &CoordinatorMessage::ReadClock(1), NOW);
    assert_eq!(coordinator.hear(&mut worker, NOW).len(), 1);
}

#[test]
fn bytes_that_are_sent_back_are_rejected() {
    let (mut worker, mut coordinator) = busy_worker();
    let request = request(&KEY, &identity(Group::Server, 0));
    worker.handle_accepted(STRANGER, entropy(), NOW);
    worker.handle_bytes(STRANGER, &request, NOW);
    let answer = worker.outgoing(STRANGER).to_vec();
    worker.handle_sent(STRANGER, answer.len(), NOW);
    asks(&mut worker);
    // As a frame it is: the first two bytes of an ephemeral key are hardly ever the length of one.
    worker.handle_bytes(STRANGER, &[&[0, 54][..], &answer[2..]].concat(), NOW);
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::Link(LinkError::Forged), NOW);
}

#[test]
fn an_end_before_the_request_is_complete_is_rejected_and_one_before_it_begins_is_not() {
    let (mut worker, mut coordinator) = busy_worker();
    worker.handle_accepted(ConnectionId(2), entropy(), NOW);
    worker.handle_end(ConnectionId(2), NOW);
    assert_eq!(asks(&mut worker), [Output::Close(ConnectionId(2))], "a port scan is no fault");
    worker.handle_accepted(STRANGER, entropy(), NOW);
    worker.handle_bytes(STRANGER, b"SSH-2.0-", NOW);
    worker.handle_end(STRANGER, NOW);
    let why = Rejection::Link(LinkError::HandshakeEnded);
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &why, NOW);
}

#[test]
fn a_message_before_the_hello_is_rejected() {
    for message in [goal(2, Target::Stop), CoordinatorMessage::ReadClock(1), CoordinatorMessage::Finish] {
        let (mut worker, mut coordinator) = busy_worker();
        let mut stranger = Peer::dial(&mut worker, STRANGER, Group::Server, NOW);
        asks(&mut worker);
        stranger.say(&mut worker, &message, NOW);
        assert_rejected(&mut worker, &mut coordinator, STRANGER, &Rejection::OutOfOrder, NOW);
    }
}

#[test]
fn what_is_no_message_is_rejected_also_from_somebody_with_the_key() {
    let (mut worker, mut coordinator) = busy_worker();
    let mut stranger = Peer::dial(&mut worker, STRANGER, Group::Server, NOW);
    asks(&mut worker);
    stranger.link.send(&(200_u8, 1_u8));
    let bytes = stranger.link.outgoing().to_vec();
    worker.handle_bytes(STRANGER, &bytes, NOW);
    let why = Rejection::Link(LinkError::Decode(DecodeError::Message { len: 2 }));
    assert_rejected(&mut worker, &mut coordinator, STRANGER, &why, NOW);
}

#[test]
fn one_stranger_too_many_evicts_the_oldest_of_those_that_have_not_shown_the_key() {
    let (mut worker, mut coordinator) = busy_worker();
    let keyed = Peer::dial(&mut worker, ConnectionId(1), Group::Server, NOW);
    for id in 2..=MAX_GREETINGS as u64 {
        worker.handle_accepted(ConnectionId(id), entropy(), NOW);
    }
    assert_eq!(asks(&mut worker), []);
    worker.handle_accepted(ConnectionId(100), entropy(), NOW);
    assert_rejected(&mut worker, &mut coordinator, ConnectionId(2), &Rejection::Evicted, NOW);
    for id in 101..200 {
        worker.handle_accepted(ConnectionId(id), entropy(), NOW);
    }
    assert_eq!(worker.rejections().iter().collect::<Vec<_>>(), [("evicted", 100)]);
    let closed = |id| Output::Close(ConnectionId(id));
    let outputs = asks(&mut worker);
    assert!(outputs.contains(&closed(3)) && outputs.contains(&closed(100)));
    assert!(!outputs.contains(&Output::Close(keyed.place)) && !outputs.contains(&Output::Close(SOCKET)));
}

#[test]
fn among_strangers_with_the_key_the_oldest_makes_room() {
    let (mut worker, mut coordinator) = busy_worker();
    for id in 1..=MAX_GREETINGS as u64 {
        Peer::dial(&mut worker, ConnectionId(id), Group::Server, NOW);
    }
    asks(&mut worker);
    worker.handle_accepted(ConnectionId(100), entropy(), NOW);
    assert_rejected(&mut worker, &mut coordinator, ConnectionId(1), &Rejection::Evicted, NOW);
}

#[test]
fn rejections_are_counted_by_kind() {
    let (mut worker, _) = busy_worker();
    for id in 1..=3 {
        worker.handle_accepted(ConnectionId(id), entropy(), NOW);
        worker.handle_bytes(ConnectionId(id), &[0; REQUEST_LEN], NOW);
    }
    let mut stale = Peer::dial(&mut worker, ConnectionId(4), Group::Server, NOW);
    stale.greet(&mut worker, SESSION, 1, NOW);
    let outputs = asks(&mut worker);
    let third = Rejection::Link(LinkError::Handshake);
    assert!(outputs.contains(&Output::Event(Event::Rejected(ConnectionId(3), third, 3))), "{outputs:?}");
    let refused = Rejection::Refused(Refusal::Stale);
    assert!(outputs.contains(&Output::Event(Event::Rejected(ConnectionId(4), refused, 1))), "{outputs:?}");
    assert_eq!(worker.rejections().iter().collect::<Vec<_>>(), [("handshake", 3), ("stale", 1)]);
    assert_eq!(worker.rejections().total(), 4);
}
