//! Messages that come twice, too late, in pieces or out of order.

use crate::by_hand::{
    MEMORY, NOW, Peer, SESSION, SOCKET, asks, at_ms, attached_worker, connected, coordinator,
    coordinator_wait, drain, events, exited, goal, outcome, report, stages, targets, wait_of, welcome,
};
use russula_proto::wire::{Position, Target, WorkerMessage};
use russula_proto::{
    ConnectionId, Digest, Exit, Failure, Group, Milestone, PeerError, Refusal, Stage, coordinator, worker,
};

#[test]
fn a_report_about_another_repetition_counts_for_nothing() {
    let mut coordinator = coordinator(Group::Probe, 1);
    coordinator.begin(5, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    let old = [report(4, Position::Released(exited(0))), report(4, Position::Ended(exited(1)))];
    for report in old.iter().chain(&[report(6, Position::Running)]) {
        worker.say(&mut coordinator, report, NOW);
    }
    assert_eq!(coordinator.peer(0).stage, Stage::Idle);
    assert_eq!((coordinator.peer(0).ending, coordinator.reached()), (None, None));
}

#[test]
fn a_report_that_goes_back_counts_for_nothing() {
    let (mut coordinator, mut worker) = connected(Group::Client);
    worker.say(&mut coordinator, &report(1, Position::Running), NOW);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    assert_eq!(coordinator.peer(0).stage, Stage::Running);
}

#[test]
fn a_report_in_the_segment_of_the_welcome_is_heard() {
    let mut coordinator = coordinator(Group::Client, 1);
    coordinator.begin(1, 0, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    let segment = [worker.seal(&welcome(MEMORY)), worker.seal(&report(1, Position::Running))].concat();
    coordinator.handle_bytes(0, &segment, NOW);
    assert_eq!(coordinator.peer(0).stage, Stage::Running);
}

#[test]
fn a_connection_that_is_replaced_while_a_goal_is_half_sent_says_it_again() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    let half = coordinator.outgoing(0).len() / 2;
    assert!(half > 0, "the goal waits");
    coordinator.handle_sent(0, half, NOW);
    coordinator.handle_connection_failed(0, "connection reset by peer", NOW);
    assert_eq!(coordinator.outgoing(0), b"");
    let later = coordinator_wait(&mut coordinator).expect("it dials again");
    coordinator.handle_timeout(later);
    let mut worker = Peer::accept(&mut coordinator, 0, later);
    worker.say(&mut coordinator, &welcome(MEMORY), later);
    worker.say(&mut coordinator, &report(1, Position::Ready), later);
    assert_eq!(targets(&worker.hear(&mut coordinator, later)), [Target::Run]);
}

#[test]
fn a_report_that_was_half_sent_is_said_again_on_the_next_connection() {
    let (mut worker, mut first) = attached_worker(Group::Server);
    first.say(&mut worker, &goal(1, Target::Ready), NOW);
    let waiting = worker.outgoing(SOCKET).len();
    worker.handle_sent(SOCKET, waiting - 1, NOW);
    let mut second = Peer::dial(&mut worker, ConnectionId(1), Group::Server, NOW);
    events(&mut worker);
    second.greet(&mut worker, SESSION, 2, NOW);
    assert_eq!(events(&mut worker), ["connection 0: coordinator gone", "connection 1: coordinator attached"]);
    assert_eq!(second.hear(&mut worker, NOW)[1..], [report(1, Position::Ready)]);
}

#[test]
fn a_refusal_that_is_followed_by_the_end_of_the_stream_is_the_failure() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    let refusal = Refusal::Drivers { expected: Digest([1; 32]), got: Digest([2; 32]) };
    worker.say(&mut coordinator, &WorkerMessage::Refused(refusal.clone()), NOW);
    coordinator.handle_end(0, NOW);
    assert_eq!(coordinator.failure(), Some(&Failure::Refused { index: 0, refusal: refusal.clone() }));
    assert_eq!(coordinator.peer(0).last_error, Some(&PeerError::Refused(refusal)));
    coordinator.handle_timeout(at_ms(100));
    let outputs = drain(&mut coordinator);
    let dials = outputs.iter().filter(|output| matches!(output, coordinator::Output::Dial(0)));
    assert_eq!(dials.count(), 1, "only the first one");
}

#[test]
fn a_message_out_of_order_is_the_fault_of_the_worker_that_sent_it() {
    let early = [report(0, Position::Idle), WorkerMessage::Farewell];
    for message in early {
        let mut coordinator = coordinator(Group::Server, 1);
        coordinator.begin(1, 0, NOW);
        let mut worker = Peer::accept(&mut coordinator, 0, NOW);
        worker.say(&mut coordinator, &message, NOW);
        assert_eq!(coordinator.failure(), Some(&Failure::OutOfOrder { index: 0 }), "{message:?}");
    }
    let late = [welcome(MEMORY), WorkerMessage::Refused(Refusal::Stale), WorkerMessage::Farewell];
    for message in late {
        let (mut coordinator, mut worker) = connected(Group::Server);
        worker.say(&mut coordinator, &message, NOW);
        assert_eq!(coordinator.failure(), Some(&Failure::OutOfOrder { index: 0 }), "{message:?}");
        assert!(coordinator.peer(0).is_given_up);
    }
}

#[test]
fn a_newer_repetition_waits_for_what_is_left_of_the_older_one() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    coordinator.say(&mut worker, &goal(2, Target::Run), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Killing"));
    worker.handle_program_ended(outcome(Exit::Signal(15)), NOW);
    assert_eq!((worker.repetition(), worker.state()), (2, "Run"));
    coordinator.say(&mut worker, &goal(1, Target::Stop), NOW);
    assert_eq!((worker.repetition(), worker.state()), (2, "Run"), "an older goal counts for nothing");
}

#[test]
fn nothing_is_lost_on_a_socket_that_takes_nothing_for_a_while() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    for milestone in [Milestone::Ready, Milestone::WorkersRunning, Milestone::Done] {
        coordinator.run_till(milestone, NOW);
        worker.say(&mut coordinator, &report(1, Position::Running), NOW);
    }
    // Of all the goals only the first is queued; the newest follows once there is room.
    assert_eq!(targets(&worker.hear(&mut coordinator, NOW)), [Target::Run, Target::Stop]);

    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    worker.handle_program_ended(outcome(Exit::Code(0)), NOW);
    let heard = stages(&coordinator.hear(&mut worker, NOW));
    assert_eq!(heard.last(), Some(&Stage::Ended), "{heard:?}");
}

#[test]
fn a_worker_ends_although_the_coordinator_takes_nothing() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Ready), NOW);
    worker.handle_shutdown(NOW);
    let finished = worker::Output::Finished(worker::Finish::Requested);
    assert!(!asks(&mut worker).contains(&finished), "a report waits");
    let until = wait_of(&mut worker).expect("the end has a deadline");
    worker.handle_timeout(until);
    assert!(asks(&mut worker).contains(&finished));
}
