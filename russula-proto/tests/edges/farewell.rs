//! The end of a run is acknowledged.

use crate::by_hand::{
    MEMORY, NOW, Peer, Run, SESSION, SOCKET, asks, at_ms, attached_worker, connected, coordinator,
    coordinator_wait, drain, goal, outcome, stages, wait_of, welcome,
};
use russula_proto::coordinator::{Event, Output};
use russula_proto::wire::{CoordinatorMessage, Target, WorkerMessage};
use russula_proto::worker::{self, Finish};
use russula_proto::{ConnectionId, Exit, Failure, Group, Stage};

const FINISHED: Output = Output::Event(Event::Finished);
const ENDS: worker::Output = worker::Output::Finished(Finish::RunOver);

#[test]
fn a_coordinator_waits_for_the_farewell() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.finish(NOW);
    assert_eq!(worker.hear(&mut coordinator, NOW), [CoordinatorMessage::Finish]);
    assert_eq!(drain(&mut coordinator), []);
    worker.say(&mut coordinator, &WorkerMessage::Farewell, NOW);
    assert_eq!(drain(&mut coordinator), [Output::Close(0), FINISHED]);
    assert!(coordinator.is_finished());
}

#[test]
fn a_farewell_that_does_not_come_is_not_waited_for_for_ever() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.finish(NOW);
    worker.hear(&mut coordinator, NOW);
    let limit = coordinator_wait(&mut coordinator).expect("the farewell has a deadline");
    assert_eq!(limit, at_ms(2000));
    coordinator.handle_timeout(limit);
    assert_eq!(drain(&mut coordinator), [Output::Close(0), FINISHED]);
}

#[test]
fn a_connection_that_breaks_before_the_farewell_is_made_again() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.finish(NOW);
    worker.hear(&mut coordinator, NOW);
    coordinator.handle_connection_failed(0, "connection reset by peer", NOW);
    let later = coordinator_wait(&mut coordinator).expect("it is dialed again");
    assert!(later < at_ms(2000), "within the limit");
    coordinator.handle_timeout(later);
    assert!(drain(&mut coordinator).contains(&Output::Dial(0)));
    let mut worker = Peer::accept(&mut coordinator, 0, later);
    worker.say(&mut coordinator, &welcome(MEMORY), later);
    assert_eq!(worker.hear(&mut coordinator, later), [CoordinatorMessage::Finish], "it is said again");
    worker.say(&mut coordinator, &WorkerMessage::Farewell, later);
    assert_eq!(drain(&mut coordinator).last(), Some(&FINISHED));
}

#[test]
fn a_worker_that_has_just_been_greeted_when_the_run_ends_hears_of_it() {
    let mut coordinator = coordinator(Group::Server, 1);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    drain(&mut coordinator);
    coordinator.finish(NOW);
    assert_eq!(drain(&mut coordinator), [], "it is waited for");
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    assert_eq!(worker.hear(&mut coordinator, NOW), [CoordinatorMessage::Finish]);
    worker.say(&mut coordinator, &WorkerMessage::Farewell, NOW);
    assert_eq!(drain(&mut coordinator).last(), Some(&FINISHED));
}

#[test]
fn a_worker_that_is_not_connected_when_the_run_ends_hears_of_it() {
    let (mut coordinator, _) = connected(Group::Server);
    coordinator.handle_end(0, NOW);
    drain(&mut coordinator);
    coordinator.finish(NOW);
    assert_eq!(drain(&mut coordinator), [Output::Dial(0)], "at once, whatever the back-off");
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    assert_eq!(worker.hear(&mut coordinator, NOW), [CoordinatorMessage::Finish]);
}

#[test]
fn a_farewell_unasked_is_out_of_order() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    worker.say(&mut coordinator, &WorkerMessage::Farewell, NOW);
    assert_eq!(coordinator.failure(), Some(&Failure::OutOfOrder { index: 0 }));
    // Having said `Finish` on another connection makes it no better.
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.finish(NOW);
    worker.hear(&mut coordinator, NOW);
    coordinator.handle_end(0, NOW);
    let later = coordinator_wait(&mut coordinator).expect("it is dialed again");
    coordinator.handle_timeout(later);
    let mut worker = Peer::accept(&mut coordinator, 0, later);
    worker.say(&mut coordinator, &WorkerMessage::Farewell, later);
    assert_eq!(
        coordinator.peer(0).last_error.map(ToString::to_string).as_deref(),
        Some("a message out of order")
    );
}

#[test]
fn a_worker_says_farewell_once_its_program_has_ended() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    coordinator.hear(&mut worker, NOW);
    coordinator.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    assert!(asks(&mut worker).contains(&worker::Output::Terminate));
    assert!(!coordinator.hear(&mut worker, NOW).contains(&WorkerMessage::Farewell));
    worker.handle_program_ended(outcome(Exit::Signal(15)), NOW);
    let heard = coordinator.hear(&mut worker, NOW);
    assert_eq!(stages(&heard), [Stage::Ended]);
    assert_eq!(heard.last(), Some(&WorkerMessage::Farewell));
    assert!(asks(&mut worker).contains(&ENDS));
}

#[test]
fn a_worker_whose_farewell_was_not_taken_waits_for_the_coordinator_to_dial_again() {
    let (mut worker, mut first) = attached_worker(Group::Server);
    first.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    worker.handle_end(SOCKET, NOW);
    assert!(!asks(&mut worker).contains(&ENDS));
    let mut second = Peer::dial(&mut worker, ConnectionId(1), Group::Server, NOW);
    second.greet(&mut worker, SESSION, 2, NOW);
    let heard = second.hear(&mut worker, NOW);
    assert!(matches!(heard.first(), Some(WorkerMessage::Welcome(_))), "{heard:?}");
    assert_eq!(heard.last(), Some(&WorkerMessage::Farewell));
    assert!(asks(&mut worker).contains(&ENDS));
}

#[test]
fn a_worker_that_is_not_dialed_again_ends_all_the_same() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    worker.handle_end(SOCKET, NOW);
    let until = wait_of(&mut worker).expect("the end has a deadline");
    assert_eq!(until, at_ms(4000), "twice the grace for a program");
    worker.handle_timeout(until);
    assert!(asks(&mut worker).contains(&ENDS));
}

#[test]
fn a_finish_that_is_repeated_is_answered_once_and_a_coordinator_without_workers_ends_at_once() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    for _ in 0..3 {
        coordinator.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    }
    let heard = coordinator.hear(&mut worker, NOW);
    assert_eq!(heard.iter().filter(|message| **message == WorkerMessage::Farewell).count(), 1, "{heard:?}");
    assert_eq!(asks(&mut worker).iter().filter(|output| **output == ENDS).count(), 1);

    let mut alone = crate::by_hand::coordinator(Group::Server, 2);
    let mut outputs = vec![];
    for _ in 0..3 {
        alone.finish(NOW);
        outputs.extend(drain(&mut alone));
    }
    assert_eq!(outputs.iter().filter(|output| **output == FINISHED).count(), 1);
}

#[test]
fn a_whole_run_ends_on_both_sides_without_waiting() {
    let mut run = Run::running();
    for index in [0, 1] {
        run.ended(Group::Client, index, Exit::Code(0));
    }
    let over = run.now;
    run.servers.coordinator.finish(over);
    run.clients.coordinator.finish(over);
    run.settle();
    assert!(run.servers.has_seen(&Event::Finished) && run.clients.has_seen(&Event::Finished));
    assert!(run.hosts().all(|host| host.finished == Some(Finish::RunOver)));
    assert_eq!(run.now, over);
}
