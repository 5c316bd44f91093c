//! Bugs of the first sessions, each under its own name.

use crate::by_hand::{
    KEY, MEMORY, NOW, Peer, asks, at_ms, attached_worker, connected, coordinator, drain, events, exited,
    goal, identity, report, stages, stopped, targets, welcome,
};
use russula_proto::coordinator::Output;
use russula_proto::wire::{CoordinatorMessage, Position, Target};
use russula_proto::{Ending, Failure, Group, Link, Milestone, Stage, StartFailure};
use std::time::Duration;

#[test]
fn a_connection_that_ends_while_finishing_is_closed_once() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.finish(NOW);
    worker.hear(&mut coordinator, NOW);
    coordinator.handle_end(0, NOW);
    coordinator.handle_end(0, NOW);
    let outputs = drain(&mut coordinator);
    assert_eq!(outputs.iter().filter(|output| **output == Output::Close(0)).count(), 1);
}

#[test]
fn a_worker_lost_after_the_repetition_is_done_does_not_fail_it() {
    let mut coordinator = coordinator(Group::Probe, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    for position in [Position::Ended(Ending::NotStarted), Position::Released(Ending::NotStarted)] {
        worker.say(&mut coordinator, &report(1, position), NOW);
    }
    assert_eq!(coordinator.reached(), Some(Milestone::Done));
    coordinator.handle_host_lost(0, "the instance was terminated", NOW);
    assert_eq!(coordinator.failure(), None);
    coordinator.begin(2, 0, NOW);
    let failure = coordinator.failure().expect("the next repetition cannot do without the worker");
    assert_eq!(failure.to_string(), "worker 0 is lost: the instance was terminated");
}

#[test]
fn a_deadline_that_passes_names_whom_it_waited_for() {
    let (mut coordinator, mut worker) = connected(Group::Client);
    coordinator.run_till(Milestone::Done, NOW);
    worker.say(&mut coordinator, &report(1, Position::Ended(exited(0))), NOW);
    drain(&mut coordinator);
    // The client has ended; that it knows that this was heard is never heard of.
    coordinator.handle_timeout(NOW + Duration::from_secs(3600));
    let failure = coordinator.failure().expect("the deadline has passed").to_string();
    assert_eq!(failure, "the deadline 'programs done' passed after 3600 s: waiting for worker 0");
}

#[test]
fn a_deadline_does_not_blame_an_error_that_is_over() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    coordinator.handle_connection_failed(0, "connection refused", NOW);
    coordinator.handle_timeout(at_ms(1000));
    let mut worker = Peer::accept(&mut coordinator, 0, at_ms(1000));
    worker.say(&mut coordinator, &welcome(MEMORY), at_ms(1000));
    worker.say(&mut coordinator, &report(1, Position::Ready), at_ms(1000));
    coordinator.handle_timeout(at_ms(40_000));
    let failure = coordinator.failure().expect("the start took too long").to_string();
    assert_eq!(failure, "the deadline 'programs running' passed after 30 s: waiting for worker 0");
}

#[test]
fn the_first_goal_stops_nothing() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Ready), NOW);
    assert_eq!(events(&mut worker), ["repetition 1: WaitCoordInit -> Ready"]);
}

#[test]
fn a_goal_counts_although_garbage_follows_it_in_its_segment() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    let segment = [&coordinator.seal(&goal(1, Target::Ready))[..], &[0xff; 8]].concat();
    worker.handle_bytes(coordinator.place, &segment, NOW);
    assert_eq!((worker.repetition(), worker.state(), worker.is_attached()), (1, "Ready", false));
}

#[test]
fn bytes_that_were_sent_take_no_room_in_the_queue_of_a_link() {
    let mut accepted = Link::accepted(&KEY, &identity(Group::Server, 0), [1; 32], 0);
    let dialed = Link::dialed(&KEY, &identity(Group::Server, 0), [2; 32]);
    let shaken = accepted.receive::<CoordinatorMessage>(&mut &dialed.outgoing()[..]);
    assert_eq!((shaken, accepted.is_open()), (Ok(None), true));
    for _ in 0..100 {
        accepted.send(&report(1, Position::Ended(exited(4096))));
        let all_but_one = accepted.outgoing().len() - 1;
        accepted.handle_sent(all_but_one);
    }
    assert_eq!(accepted.outgoing().len(), 1);
}

#[test]
fn a_server_that_is_stopped_before_it_listens_is_never_said_to_run() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_shutdown(NOW);
    assert_eq!(worker.state(), "Killing");
    let stages = stages(&coordinator.hear(&mut worker, NOW));
    assert!(!stages.contains(&Stage::Running), "{stages:?}");
}

#[test]
fn a_program_that_the_worker_stops_unasked_fails_the_repetition() {
    for group in [Group::Server, Group::Client] {
        let (mut coordinator, mut worker) = connected(group);
        coordinator.run_till(Milestone::WorkersRunning, NOW);
        worker.say(&mut coordinator, &report(1, Position::Running), NOW);
        worker.say(&mut coordinator, &report(1, Position::Ended(stopped())), NOW);
        let failure = coordinator.failure().expect("nobody wanted it to stop").to_string();
        assert_eq!(failure, "worker 0: the driver was stopped, signal 15");
    }
}

#[test]
fn the_text_of_a_start_failure_is_a_sentence() {
    let failure = StartFailure::spawn("No such file or directory (os error 2)");
    let failure = Failure::Worker { index: 1, ending: Ending::StartFailed(failure) };
    assert_eq!(
        failure.to_string(),
        "worker 1: the driver did not start: the program cannot be started: No such file or directory (os error 2)"
    );
    let failure = Failure::Worker { index: 1, ending: Ending::NotStarted };
    assert_eq!(failure.to_string(), "worker 1: the driver was not started");
}

#[test]
fn nobody_waits_for_the_stop_of_a_worker_that_never_answered() {
    let begin = || {
        let mut coordinator = coordinator(Group::Server, 2);
        coordinator.begin(1, 0, NOW);
        coordinator.run_till(Milestone::Ready, NOW);
        coordinator.handle_connection_failed(0, "connection refused", NOW);
        coordinator
    };
    let mut interrupted = begin();
    interrupted.abort(NOW);
    assert_eq!(interrupted.reached(), Some(Milestone::Done));

    let mut late = begin();
    late.handle_timeout(NOW + Duration::from_secs(30));
    assert!(late.failure().is_some_and(Failure::is_deadline));
    assert_eq!(late.reached(), Some(Milestone::Done));
}

#[test]
fn a_worker_that_answers_after_the_interrupt_starts_nothing() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    coordinator.abort(NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    worker.say(&mut coordinator, &report(0, Position::Idle), NOW);
    assert_eq!(targets(&worker.hear(&mut coordinator, NOW)), [Target::Release]);
    coordinator.begin(2, 0, NOW);
    assert_eq!(coordinator.failure(), None, "the next repetition can use the worker");
}

#[test]
fn a_worker_that_has_nothing_to_do_asks_for_nothing() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.hear(&mut worker, NOW);
    worker.handle_timeout(at_ms(1));
    assert_eq!(asks(&mut worker), []);
}
