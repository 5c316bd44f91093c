//! Coordinators that follow one another, and what both sides have to agree on.

mod by_hand;

use by_hand::{
    NOW, SOCKET, attached_worker, coordinator, drain, events, frame, goal, opening, report, welcome,
};
use russula_proto::wire::{CoordinatorMessage, Hello, Position, Target, WorkerMessage};
use russula_proto::{
    ConnectionId, Coordinator, Digest, Exit, Failure, Group, Identity, Link, Milestone, Outcome, Refusal,
    Text, Work, Worker, coordinator, worker,
};
use std::time::Duration;

const NEXT: ConnectionId = ConnectionId(1);

fn hello(session: u64, work: Option<Work>) -> CoordinatorMessage {
    let run = "demo".parse().expect("a valid run id");
    CoordinatorMessage::Hello(Hello {
        worker: Identity { run, group: Group::Server, index: 0 },
        session,
        work,
    })
}

/// A worker whose server runs in repetition 1 of the coordinator with session 1.
fn running_worker() -> Worker {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(1, Target::Run)), NOW);
    worker.handle_started(NOW);
    events(&mut worker);
    assert_eq!(worker.state(), "RunningAwaitKill");
    worker
}

fn attach_next(worker: &mut Worker, session: u64, work: Option<Work>) {
    worker.handle_accepted(NEXT, NOW);
    worker.handle_bytes(NEXT, &opening(&[hello(session, work)]), NOW);
}

fn said(worker: &Worker) -> Vec<WorkerMessage> {
    let mut rest = worker.outgoing(NEXT);
    let mut link = Link::accepted();
    let mut messages = vec![];
    while !rest.is_empty() {
        messages.extend(link.receive(&mut rest).expect("a worker sends what can be decoded"));
    }
    messages
}

fn stopped() -> Outcome {
    Outcome {
        exit: Exit::Signal(15),
        duration_us: 1,
        cpu_us: 1,
        max_rss_bytes: 1,
        voluntary_switches: 0,
        involuntary_switches: 0,
        stderr_tail: Text::default(),
    }
}

#[test]
fn another_coordinator_does_not_adopt_what_an_earlier_one_began() {
    let mut worker = running_worker();
    attach_next(&mut worker, 2, None);
    let next = || Some(worker.poll_output()).filter(|output| !matches!(output, worker::Output::Wait(_)));
    let outputs: Vec<_> = std::iter::from_fn(next).collect();
    assert!(outputs.contains(&worker::Output::Terminate), "{outputs:?}");
    assert!(matches!(said(&worker)[..], [WorkerMessage::Welcome(_)]), "nothing of the old task is reported");

    worker.handle_bytes(NEXT, &frame(&goal(1, Target::Ready)), NOW);
    assert_eq!(worker.state(), "Killing", "the old server ends first");
    worker.handle_program_ended(stopped(), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
    let reports = said(&worker);
    let expected = report(1, Position::Ready);
    assert_eq!(reports.last(), Some(&expected), "{reports:?}");
}

#[test]
fn another_coordinator_may_count_from_1_again() {
    let mut worker = attached_worker();
    worker.handle_bytes(SOCKET, &frame(&goal(7, Target::Ready)), NOW);
    attach_next(&mut worker, 2, None);
    worker.handle_bytes(NEXT, &frame(&goal(1, Target::Ready)), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
}

#[test]
fn the_same_coordinator_finds_its_repetition_as_it_left_it() {
    let mut worker = running_worker();
    attach_next(&mut worker, 1, None);
    assert_eq!((worker.repetition(), worker.state()), (1, "RunningAwaitKill"));
    assert_eq!(said(&worker).last(), Some(&report(1, Position::Running)));
}

#[test]
fn a_coordinator_with_other_work_is_refused_by_name() {
    let work = |scenario, drivers| Work { scenario: Digest([scenario; 32]), drivers: Digest([drivers; 32]) };
    let zero = Digest::default();
    let refusals = [
        (work(1, 0), Refusal::Scenario { expected: zero, got: Digest([1; 32]) }),
        (work(0, 1), Refusal::Drivers { expected: zero, got: Digest([1; 32]) }),
    ];
    for (work, refusal) in refusals {
        let mut worker = running_worker();
        attach_next(&mut worker, 2, Some(work));
        assert_eq!(said(&worker), [WorkerMessage::Refused(refusal)]);
        assert_eq!(worker.state(), "RunningAwaitKill", "whoever is refused changes nothing");
    }
}

fn with_running_worker(reports: &[WorkerMessage]) -> Coordinator {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    coordinator.handle_connection_failed(0, "connection refused", NOW);
    coordinator.handle_timeout(NOW + Duration::from_secs(1));
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[&[welcome(1)], reports].concat()), NOW);
    drain(&mut coordinator);
    coordinator
}

#[test]
fn a_deadline_does_not_blame_an_error_that_is_over() {
    let mut coordinator = with_running_worker(&[report(1, Position::Ready)]);
    coordinator.handle_timeout(NOW + Duration::from_secs(40));
    let Some(failure @ Failure::Deadline { .. }) = coordinator.failure() else {
        panic!("the start took too long")
    };
    assert!(!failure.to_string().contains("connection refused"), "{failure}");
}

#[test]
fn a_worker_that_is_given_up_hears_that_the_run_is_over_for_it() {
    let mut coordinator = with_running_worker(&[report(1, Position::Running)]);
    coordinator.run_till(Milestone::Done, NOW);
    drain(&mut coordinator);
    coordinator.handle_timeout(NOW + Duration::from_secs(60));
    let mut finished = false;
    loop {
        match coordinator.poll_output() {
            coordinator::Output::Transmit(0) => {
                let bytes = coordinator.outgoing(0).to_vec();
                finished |= bytes.ends_with(&frame(&CoordinatorMessage::Finish));
                coordinator.handle_sent(0, bytes.len(), NOW);
            }
            coordinator::Output::Wait(_) => break,
            coordinator::Output::Dial(_)
            | coordinator::Output::Transmit(_)
            | coordinator::Output::Close(_)
            | coordinator::Output::Event(_) => {}
        }
    }
    assert!(finished, "a worker that is not told lives on until its orphan timeout");
    assert_eq!(coordinator.reached(), Some(Milestone::Done));
}
