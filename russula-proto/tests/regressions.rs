//! Bugs that were found, each under its own name.

mod by_hand;

use by_hand::{
    NOW, SOCKET, attached_worker, coordinator, drain, ended, events, frame, goal, opening, report, reports,
    welcome,
};
use russula_proto::wire::{Position, Target};
use russula_proto::{
    Ending, Exit, Failure, Group, Link, Milestone, Outcome, Stage, StartFailure, coordinator,
};
use std::time::Duration;

#[test]
fn a_connection_that_ends_while_finishing_is_closed_once() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1)]), NOW);
    coordinator.finish(NOW);
    drain(&mut coordinator);
    coordinator.handle_end(0, NOW);
    let closes = drain(&mut coordinator).outputs;
    let closes = closes.iter().filter(|output| matches!(output, coordinator::Output::Close(0)));
    assert_eq!(closes.count(), 1);
}

#[test]
fn a_peer_rejected_in_the_middle_of_a_segment_ends_the_repetition_at_once() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, b"HTTP/1.1 400 Bad Request", NOW);
    assert_eq!(coordinator.reached(), Some(Milestone::Done));
}

#[test]
fn a_worker_that_was_restarted_while_it_ran_is_not_told_to_run_again() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1), report(1, Position::Running)]), NOW);
    drain(&mut coordinator);
    coordinator.handle_end(0, NOW);
    let later = NOW + Duration::from_secs(3);
    coordinator.handle_timeout(later);
    coordinator.handle_connected(0, later);
    drain(&mut coordinator);
    coordinator.handle_bytes(0, &opening(&[welcome(2)]), later);
    let targets: Vec<Target> = drain(&mut coordinator).goals.iter().map(|goal| goal.target).collect();
    assert_eq!(targets, [Target::Stop]);
}

#[test]
fn a_worker_lost_after_the_repetition_is_done_does_not_fail_it() {
    let mut coordinator = coordinator(Group::Probe, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    coordinator.handle_connected(0, NOW);
    let reports = [report(1, Position::Ended(Ending::NotStarted)), report(1, Position::Released)];
    coordinator.handle_bytes(0, &opening(&[welcome(1)]), NOW);
    for report in reports {
        coordinator.handle_bytes(0, &frame(&report), NOW);
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
    let mut coordinator = coordinator(Group::Client, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1), report(1, ended(0))]), NOW);
    drain(&mut coordinator);
    // The client has ended; that it knows that this was heard is never heard of.
    coordinator.handle_timeout(NOW + Duration::from_secs(3600));
    let failure = coordinator.failure().expect("the deadline has passed").to_string();
    assert_eq!(failure, "the deadline 'programs done' passed after 3600 s: waiting for worker 0");
}

#[test]
fn a_finish_that_is_repeated_is_answered_once() {
    let mut coordinator = coordinator(Group::Server, 1);
    let mut outputs = vec![];
    for _ in 0..3 {
        coordinator.finish(NOW);
        outputs.extend(drain(&mut coordinator).outputs);
    }
    let finished = coordinator::Output::Event(coordinator::Event::Finished);
    assert_eq!(outputs.iter().filter(|output| **output == finished).count(), 1);
}

#[test]
fn the_first_goal_stops_nothing() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Ready)), NOW);
    let events = events(&mut worker);
    assert_eq!(events, ["repetition 1: WaitCoordInit -> Ready"]);
}

#[test]
fn a_goal_counts_although_garbage_follows_it_in_its_segment() {
    let mut worker = attached_worker();
    let mut segment = frame(&goal(1, Target::Ready));
    segment.extend_from_slice(&[0xff; 8]);
    worker.handle_bytes(SOCKET, &segment, NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
}

#[test]
fn bytes_that_were_sent_take_no_room_in_the_queue_of_a_link() {
    let mut link = Link::dialed();
    for _ in 0..100 {
        link.send(&report(1, ended(4096)));
        let all_but_one = link.outgoing().len() - 1;
        link.handle_sent(all_but_one);
    }
    assert_eq!(link.outgoing().len(), 1);
}

#[test]
fn a_server_that_is_stopped_before_it_listens_is_never_said_to_run() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Run)), NOW);
    worker.handle_shutdown(NOW);
    assert_eq!(worker.state(), "Killing");
    let stages: Vec<Stage> = reports(&worker).iter().map(|report| report.position.stage()).collect();
    assert!(!stages.contains(&Stage::Running), "{stages:?}");
}

#[test]
fn a_program_that_the_worker_stops_unasked_fails_the_repetition() {
    for group in [Group::Server, Group::Client] {
        let mut coordinator = coordinator(group, 1);
        coordinator.begin(1, 0, NOW);
        coordinator.run_till(Milestone::WorkersRunning, NOW);
        coordinator.handle_connected(0, NOW);
        coordinator.handle_bytes(0, &opening(&[welcome(1), report(1, Position::Running)]), NOW);
        let Position::Ended(Ending::Exited(outcome)) = ended(0) else { unreachable!("see `ended`") };
        let stopped = Position::Ended(Ending::Stopped(Outcome { exit: Exit::Signal(15), ..outcome }));
        coordinator.handle_bytes(0, &frame(&report(1, stopped)), NOW);
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
    coordinator.handle_connected(0, NOW);
    coordinator.abort(NOW);
    drain(&mut coordinator);
    coordinator.handle_bytes(0, &opening(&[welcome(1), report(0, Position::Idle)]), NOW);
    let targets: Vec<Target> = drain(&mut coordinator).goals.iter().map(|goal| goal.target).collect();
    assert_eq!(targets, [Target::Release]);
    coordinator.begin(2, 0, NOW);
    assert_eq!(coordinator.failure(), None, "the next repetition can use the worker");
}
