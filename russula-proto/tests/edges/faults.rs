//! Faults as a coordinator sees them: whom it blames, and when it dials again.

use crate::by_hand::{
    KEY, MEMORY, NOW, Peer, at_ms, connected, coordinator, coordinator_wait, drain, entropy, identity,
    report, welcome,
};
use russula_proto::coordinator::{Event, Output};
use russula_proto::link::LinkError;
use russula_proto::noise::RESPONSE_LEN;
use russula_proto::wire::{CoordinatorMessage, FrameLengthError, Position, Refusal, WorkerMessage};
use russula_proto::{
    Coordinator, CoordinatorLimits, Failure, Group, Key, Link, Milestone, PeerError, Stage, Timestamp,
};
use std::time::Duration;

/// What somebody at the worker's address may send instead of an answer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Garbage,
    Reflection,
    OfAnotherKey,
    ToAnotherRequest,
    Half,
    Nothing,
}

impl Answer {
    const ALL: [Self; 6] = [
        Self::Garbage,
        Self::Reflection,
        Self::OfAnotherKey,
        Self::ToAnotherRequest,
        Self::Half,
        Self::Nothing,
    ];

    fn to(self, request: &[u8]) -> Vec<u8> {
        let answer = |key: &Key, request: &[u8]| {
            let mut link = Link::accepted(key, &identity(Group::Server, 0), entropy(), 0);
            let received = link.receive::<CoordinatorMessage>(&mut &request[..]);
            (received, link.outgoing().to_vec())
        };
        match self {
            Self::Garbage => b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n400 Bad".to_vec(),
            Self::Reflection => [request, &[0; RESPONSE_LEN]].concat(),
            // Whoever has another key cannot even answer; so the answer is one to a request of its own.
            Self::OfAnotherKey => {
                let key = Key::from_bytes([9; Key::LEN]);
                let own = Link::dialed(&key, &identity(Group::Server, 0), entropy());
                answer(&key, own.outgoing()).1
            }
            Self::ToAnotherRequest => {
                let other = Link::dialed(&KEY, &identity(Group::Server, 0), entropy());
                answer(&KEY, other.outgoing()).1
            }
            Self::Half => answer(&KEY, request).1[..RESPONSE_LEN / 2].to_vec(),
            Self::Nothing => vec![],
        }
    }
}

#[test]
fn whatever_anybody_on_the_way_can_do_leads_to_dialing_again() {
    for answer in Answer::ALL {
        let mut coordinator = coordinator(Group::Server, 1);
        coordinator.begin(1, 0, NOW);
        coordinator.run_till(Milestone::Ready, NOW);
        drain(&mut coordinator);
        coordinator.handle_connected(0, entropy(), NOW);
        let request = coordinator.outgoing(0).to_vec();
        coordinator.handle_sent(0, request.len(), NOW);
        coordinator.handle_bytes(0, &answer.to(&request), NOW);
        coordinator.handle_end(0, NOW);
        let outputs = drain(&mut coordinator);
        assert_eq!(outputs.first(), Some(&Output::Close(0)), "{answer:?}");
        assert_eq!((coordinator.failure(), coordinator.peer(0).is_given_up), (None, false), "{answer:?}");
        let error = match answer {
            Answer::Half | Answer::Nothing => LinkError::HandshakeEnded,
            Answer::Garbage | Answer::Reflection | Answer::OfAnotherKey | Answer::ToAnotherRequest => {
                LinkError::Handshake
            }
        };
        assert_eq!(coordinator.peer(0).last_error, Some(&PeerError::Protocol(error)), "{answer:?}");

        // The worker itself is well.
        let later = coordinator_wait(&mut coordinator).expect("it is dialed again");
        coordinator.handle_timeout(later);
        assert_eq!(drain(&mut coordinator), [Output::Dial(0)], "{answer:?}");
        let mut worker = Peer::accept(&mut coordinator, 0, later);
        worker.say(&mut coordinator, &welcome(MEMORY), later);
        worker.say(&mut coordinator, &report(1, Position::Ready), later);
        assert_eq!(coordinator.reached(), Some(Milestone::Ready), "{answer:?}");
    }
}

#[test]
fn a_frame_that_was_changed_on_the_way_leads_to_dialing_again() {
    let faults = [(5, LinkError::Forged), (0, LinkError::Length(FrameLengthError { len: 0xff00 ^ 0x15 }))];
    for (changed, error) in faults {
        let (mut coordinator, mut worker) = connected(Group::Server);
        coordinator.run_till(Milestone::Ready, NOW);
        let mut bytes = worker.seal(&report(1, Position::Ready));
        assert_eq!(bytes[..2], [0, 0x15], "the length of a short report");
        bytes[changed] ^= 0xff;
        coordinator.handle_bytes(0, &bytes, NOW);
        assert_eq!(coordinator.failure(), None);
        assert_eq!(coordinator.peer(0).last_error, Some(&PeerError::Protocol(error)));
        assert!(!coordinator.peer(0).is_connected && !coordinator.peer(0).is_given_up);
        assert_eq!(coordinator.peer(0).stage, Stage::Idle);
    }
}

#[test]
fn whoever_has_the_key_and_says_what_is_no_message_is_given_up() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.run_till(Milestone::Ready, NOW);
    worker.link.send(&[0xff_u8; 3]);
    let bytes = worker.link.outgoing().to_vec();
    coordinator.handle_bytes(0, &bytes, NOW);
    assert!(
        matches!(coordinator.failure(), Some(Failure::Protocol { index: 0, error: LinkError::Decode(_) })),
        "{:?}",
        coordinator.failure()
    );
    assert!(coordinator.peer(0).is_given_up);
    assert_eq!(coordinator.reached(), Some(Milestone::Done), "there is nobody to wait for");
    coordinator.handle_timeout(at_ms(10_000));
    assert!(!drain(&mut coordinator).contains(&Output::Dial(0)), "dialing again does not mend it");
}

#[test]
fn a_stale_hello_leads_to_dialing_again() {
    let mut coordinator = coordinator(Group::Server, 1);
    let (mut worker, first) = Peer::accept_with_hello(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &WorkerMessage::Refused(Refusal::Stale), NOW);
    assert!(!coordinator.peer(0).is_given_up);
    let later = coordinator_wait(&mut coordinator).expect("it is dialed again");
    coordinator.handle_timeout(later);
    drain(&mut coordinator);
    let (_, second) = Peer::accept_with_hello(&mut coordinator, 0, later);
    assert!(second.epoch > first.epoch && second.session == first.session, "{first:?} {second:?}");
}

// --- back-off ---

/// The times at which worker 0 is dialed until `end`, if each attempt does `attempt`.
fn dials(
    coordinator: &mut Coordinator,
    end: Timestamp,
    attempt: impl Fn(&mut Coordinator, Timestamp),
) -> Vec<Timestamp> {
    let mut times = vec![];
    let mut now = NOW;
    loop {
        if drain(coordinator).contains(&Output::Dial(0)) {
            times.push(now);
            attempt(coordinator, now);
        }
        match coordinator_wait_keeping_dials(coordinator) {
            Some(at) if at <= end => now = at,
            Some(_) | None => return times,
        }
        coordinator.handle_timeout(now);
    }
}

fn coordinator_wait_keeping_dials(coordinator: &mut Coordinator) -> Option<Timestamp> {
    let outputs = drain(coordinator);
    assert!(!outputs.contains(&Output::Dial(0)), "a dial after an attempt has its delay");
    coordinator_wait(coordinator)
}

/// The delays between the first dials grow, and stay within the limits from then on.
fn assert_backs_off(times: &[Timestamp]) {
    let limits = CoordinatorLimits::default();
    let delays: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    for (attempt, delay) in delays.iter().enumerate() {
        let most = limits.backoff_min.saturating_mul(1 << attempt.min(16)).min(limits.backoff_max);
        assert!((most / 2..=most).contains(delay), "delay {attempt} is {delay:?}, of {most:?} at the most");
    }
    assert!(times.len() < 60, "{} dials in a minute", times.len());
}

#[test]
fn a_worker_that_cannot_be_reached_is_dialed_less_and_less() {
    let mut coordinator = coordinator(Group::Server, 1);
    let times = dials(&mut coordinator, at_ms(60_000), |coordinator, now| {
        coordinator.handle_connection_failed(0, "connection refused", now);
    });
    assert!(times.len() > 20, "it is not forgotten: {} dials", times.len());
    assert_backs_off(&times);
}

/// It used to be dialed every 10 ms, for ever.
#[test]
fn a_worker_that_welcomes_and_closes_at_once_is_dialed_less_and_less() {
    let mut coordinator = coordinator(Group::Server, 1);
    let times = dials(&mut coordinator, at_ms(60_000), |coordinator, now| {
        let mut worker = Peer::accept(coordinator, 0, now);
        worker.say(coordinator, &welcome(MEMORY), now);
        assert!(coordinator.peer(0).is_connected);
        coordinator.handle_end(0, now);
    });
    assert!(times.len() > 20, "it is not forgotten: {} dials", times.len());
    assert_backs_off(&times);
}

#[test]
fn a_connection_that_has_lasted_is_dialed_again_at_once() {
    let mut coordinator = coordinator(Group::Server, 1);
    let mut now = NOW;
    for _ in 0..8 {
        coordinator.handle_connection_failed(0, "connection refused", now);
        now = coordinator_wait(&mut coordinator).expect("it is dialed again");
        coordinator.handle_timeout(now);
        drain(&mut coordinator);
    }
    let mut worker = Peer::accept(&mut coordinator, 0, now);
    worker.say(&mut coordinator, &welcome(MEMORY), now);
    let end = now + CoordinatorLimits::default().backoff_max;
    coordinator.handle_end(0, end);
    let next = coordinator_wait(&mut coordinator).expect("it is dialed again");
    assert!(next.since(end) <= CoordinatorLimits::default().backoff_min, "{:?}", next.since(end));
}

#[test]
fn coordinators_do_not_dial_in_step() {
    let first_delay = |session| {
        let mut config = crate::by_hand::coordinator_config(Group::Server, 1);
        config.session = session;
        let mut coordinator = Coordinator::new(config, NOW);
        coordinator.handle_connection_failed(0, "connection refused", NOW);
        coordinator_wait(&mut coordinator).expect("it is dialed again")
    };
    let delays: std::collections::BTreeSet<Timestamp> = (0..20).map(|n| first_delay(n * 7919 + 1)).collect();
    assert!(delays.len() > 10, "{delays:?}");
}

#[test]
fn a_worker_that_stays_away_too_long_is_lost() {
    let (mut coordinator, _) = connected(Group::Server);
    coordinator.run_till(Milestone::Ready, NOW);
    coordinator.handle_end(0, NOW);
    let mut now = NOW;
    while coordinator.failure().is_none() {
        now = coordinator_wait(&mut coordinator).expect("something is due");
        assert!(now <= at_ms(32_000), "the limit is 30 s, and attempts are 2 s apart");
        coordinator.handle_timeout(now);
        coordinator.handle_connection_failed(0, "no route to host", now);
    }
    assert!(now >= at_ms(30_000) || coordinator.failure().is_some_and(Failure::is_deadline), "{now}");
    assert!(drain(&mut coordinator).iter().any(|output| matches!(output, Output::Event(Event::Failed(_)))));
}
