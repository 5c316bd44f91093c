//! Corners of the protocol that are easily got wrong.

mod by_hand;

use by_hand::{
    NOW, SOCKET, attached_worker, coordinator, drain, ended, events, frame, goal, opening, report, welcome,
};
use russula_proto::wire::{self, CoordinatorMessage, Position, Refusal, Target, WorkerMessage};
use russula_proto::{
    ConnectionId, Coordinator, Failure, Group, Identity, Link, Milestone, PeerError, Stage, Timestamp, worker,
};
use std::time::Duration;

/// Long enough for the first back-off.
const LATER: Timestamp = Timestamp::from_micros(100_000);

#[test]
fn a_report_about_an_older_repetition_counts_for_nothing() {
    let mut coordinator = coordinator(Group::Probe, 1);
    coordinator.begin(5, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    coordinator.handle_connected(0, NOW);
    let old = [report(4, Position::Released), report(4, ended(1)), report(6, Position::Running)];
    coordinator.handle_bytes(0, &opening(&[welcome(1)]), NOW);
    old.iter().for_each(|report| coordinator.handle_bytes(0, &frame(report), NOW));
    assert_eq!(coordinator.peer(0).stage, Stage::Idle);
    assert_eq!((coordinator.peer(0).ending, coordinator.reached()), (None, None));
}

#[test]
fn a_report_that_goes_back_counts_for_nothing() {
    let mut coordinator = connected(Group::Client);
    coordinator.handle_bytes(0, &frame(&report(1, Position::Running)), NOW);
    coordinator.handle_bytes(0, &frame(&report(1, Position::Ready)), NOW);
    assert_eq!(coordinator.peer(0).stage, Stage::Running);
}

#[test]
fn a_report_in_the_segment_of_the_welcome_is_heard() {
    let mut coordinator = coordinator(Group::Client, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1), report(1, Position::Running)]), NOW);
    assert_eq!(coordinator.peer(0).stage, Stage::Running);
}

#[test]
fn a_connection_replaced_while_a_frame_is_half_sent_begins_anew() {
    let mut coordinator = connected(Group::Server);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    coordinator.handle_bytes(0, &frame(&report(1, Position::Ready)), NOW);
    let half = coordinator.outgoing(0).len() / 2;
    assert!(half > 0, "the goal waits");
    coordinator.handle_sent(0, half, NOW);
    coordinator.handle_connection_failed(0, "connection reset by peer", NOW);
    assert_eq!(coordinator.outgoing(0), b"");
    coordinator.handle_timeout(LATER);
    coordinator.handle_connected(0, LATER);
    assert_eq!(coordinator.outgoing(0)[..wire::PREAMBLE_LEN], wire::preamble());
    drain(&mut coordinator);
    coordinator.handle_bytes(0, &opening(&[welcome(1), report(1, Position::Ready)]), LATER);
    let targets: Vec<Target> = drain(&mut coordinator).goals.iter().map(|goal| goal.target).collect();
    assert_eq!(targets, [Target::Run], "the goal is said again");
}

#[test]
fn a_report_that_was_half_sent_is_said_again_on_the_next_connection() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Ready)), NOW);
    let waiting = worker.outgoing(SOCKET).len();
    worker.handle_sent(SOCKET, waiting - 1, NOW);
    let next = ConnectionId(1);
    worker.handle_accepted(next, NOW);
    let identity = Identity { run: "demo".parse().unwrap(), group: Group::Server, index: 0 };
    worker.handle_bytes(
        next,
        &opening(&[CoordinatorMessage::Hello(russula_proto::wire::Hello {
            worker: identity,
            session: 1,
            work: None,
        })]),
        NOW,
    );
    assert_eq!(
        events(&mut worker)[1..],
        ["connection 0: coordinator gone", "connection 1: coordinator attached"]
    );
    let mut link = Link::accepted();
    let mut rest = worker.outgoing(next);
    let mut messages: Vec<WorkerMessage> = vec![];
    while !rest.is_empty() {
        messages.extend(link.receive(&mut rest).unwrap());
    }
    assert_eq!(messages[1..], [report(1, Position::Ready)]);
}

#[test]
fn a_refusal_that_is_followed_by_the_end_of_the_stream_is_the_failure() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    coordinator.handle_connected(0, NOW);
    let refusal = Refusal::Index { expected: 1, got: 0 };
    coordinator.handle_bytes(0, &opening(&[WorkerMessage::Refused(refusal.clone())]), NOW);
    coordinator.handle_end(0, NOW);
    assert_eq!(coordinator.failure(), Some(&Failure::Refused { index: 0, refusal: refusal.clone() }));
    assert_eq!(coordinator.peer(0).last_error, Some(&PeerError::Refused(refusal)));
    coordinator.handle_timeout(LATER);
    let outputs = drain(&mut coordinator).outputs;
    let dials = outputs.iter().filter(|output| matches!(output, russula_proto::coordinator::Output::Dial(0)));
    assert_eq!(dials.count(), 1, "only the first one");
}

#[test]
fn a_message_out_of_order_is_the_fault_of_who_sent_it() {
    for message in [report(0, Position::Idle), welcome(1)] {
        let mut coordinator = connected(Group::Server);
        if message == welcome(1) {
            coordinator.handle_bytes(0, &frame(&message), NOW);
        } else {
            coordinator = by_hand::coordinator(Group::Server, 1);
            coordinator.begin(1, 0, NOW);
            coordinator.handle_connected(0, NOW);
            coordinator.handle_bytes(0, &opening(&[message]), NOW);
        }
        assert_eq!(coordinator.failure(), Some(&Failure::OutOfOrder { index: 0 }));
    }
    let mut worker = attached_worker();
    worker.handle_accepted(ConnectionId(1), NOW);
    worker.handle_bytes(ConnectionId(1), &opening(&[goal(1, Target::Run)]), NOW);
    assert_eq!(events(&mut worker), ["connection 1: closed: a message out of order"]);
    assert_eq!(worker.repetition(), 0);
}

#[test]
fn a_newer_repetition_waits_for_what_is_left_of_the_older_one() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Run)), NOW);
    worker.handle_started(NOW);
    events(&mut worker);
    worker.handle_bytes(SOCKET, &frame(&goal(2, Target::Run)), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Killing"));
    let Position::Ended(ending) = ended(0) else { unreachable!("see `ended`") };
    let outcome = ending.outcome().unwrap().clone();
    worker.handle_program_ended(outcome, NOW);
    assert_eq!((worker.repetition(), worker.state()), (2, "Run"));
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Stop)), NOW);
    assert_eq!((worker.repetition(), worker.state()), (2, "Run"), "an older goal counts for nothing");
}

#[test]
fn nothing_is_lost_on_a_socket_that_takes_nothing_for_a_while() {
    let mut coordinator = connected(Group::Server);
    for milestone in [Milestone::Ready, Milestone::WorkersRunning, Milestone::Done] {
        coordinator.run_till(milestone, NOW);
        coordinator.handle_bytes(0, &frame(&report(1, Position::Running)), NOW);
    }
    // Of all the goals only the first is queued; the newest follows once there is room.
    let targets: Vec<Target> = drain(&mut coordinator).goals.iter().map(|goal| goal.target).collect();
    assert_eq!(targets, [Target::Run, Target::Stop]);
}

#[test]
fn a_worker_ends_although_the_coordinator_takes_nothing() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Ready)), NOW);
    worker.handle_shutdown(NOW);
    let outputs: Vec<worker::Output> = std::iter::from_fn(|| Some(worker.poll_output()))
        .take_while(|output| !matches!(output, worker::Output::Wait(_)))
        .collect();
    let finished = worker::Output::Finished(worker::Finish::Requested);
    assert!(!outputs.contains(&finished), "a report waits");
    let worker::Output::Wait(Some(until)) = worker.poll_output() else { panic!("the end has a deadline") };
    worker.handle_timeout(until);
    assert!(std::iter::from_fn(|| Some(worker.poll_output())).take(10).any(|output| output == finished));
}

/// A coordinator of one worker that has answered, in its first repetition, with nothing left to send.
fn connected(group: Group) -> Coordinator {
    let mut coordinator = coordinator(group, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1)]), NOW);
    drain(&mut coordinator);
    assert!(coordinator.peer(0).last_contact.is_some_and(|at| NOW.since(at) == Duration::ZERO));
    coordinator
}
