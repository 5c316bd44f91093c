//! Which of several connections is the coordinator's, and which of several coordinators counts.

use crate::by_hand::{
    NOW, Peer, Run, SESSION, SOCKET, asks, at_ms, attached_worker, events, goal, hello, outcome, report,
    stages, worker,
};
use russula_proto::wire::{CoordinatorMessage, Hello, Memory, Position, Target, WorkerMessage};
use russula_proto::worker::Output;
use russula_proto::{
    ConnectionId, Digest, Exit, Failure, Group, Milestone, Refusal, Stage, Timestamp, Work, Worker,
};

const NEXT: ConnectionId = ConnectionId(1);
const LAST: ConnectionId = ConnectionId(2);

/// A worker whose server runs in repetition 1 of a coordinator that is attached for the second time.
fn running_worker() -> (Worker, Peer<Worker>) {
    let (mut worker, _) = attached_worker(Group::Server);
    let mut coordinator = Peer::attach(&mut worker, Group::Server, NEXT, (SESSION, 5), NOW);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    coordinator.hear(&mut worker, NOW);
    asks(&mut worker);
    (worker, coordinator)
}

fn memory_in(answers: &[WorkerMessage]) -> Memory {
    match answers.first() {
        Some(WorkerMessage::Welcome(welcome)) => welcome.memory,
        other => panic!("no welcome: {other:?}"),
    }
}

/// `hello` is refused as stale, and `coordinator` is heard after that.
#[track_caller]
fn assert_stale(worker: &mut Worker, coordinator: &mut Peer<Worker>, hello: &CoordinatorMessage) {
    let mut other = Peer::dial(worker, LAST, Group::Server, NOW);
    other.say(worker, hello, NOW);
    assert_eq!(other.hear(worker, NOW), [WorkerMessage::Refused(Refusal::Stale)]);
    assert_eq!(
        events(worker),
        ["connection 2: closed (stale 1): refused: another connection of a coordinator came first"]
    );
    assert!(worker.is_attached());
    assert_eq!((worker.repetition(), worker.state()), (1, "RunningAwaitKill"));
    coordinator.say(worker, &goal(1, Target::Stop), NOW);
    assert_eq!(worker.state(), "Killing");
}

#[test]
fn an_older_epoch_of_the_same_session_is_stale() {
    let (mut worker, mut coordinator) = running_worker();
    // The ticket of the handshake is current: the connection is new, and what is said on it is not.
    assert_stale(&mut worker, &mut coordinator, &hello(SESSION, 4, 2));
}

#[test]
fn the_same_epoch_of_the_same_session_is_stale() {
    let (mut worker, mut coordinator) = running_worker();
    assert_stale(&mut worker, &mut coordinator, &hello(SESSION, 5, 2));
}

#[test]
fn an_old_ticket_of_another_session_is_stale() {
    for ticket in [0, 1, 3, u64::MAX] {
        let (mut worker, mut coordinator) = running_worker();
        assert_stale(&mut worker, &mut coordinator, &hello(SESSION + 1, u64::MAX, ticket));
    }
}

/// A connection that has stood still since before the coordinator was there delivers its hello at last.
#[test]
fn a_connection_that_stood_still_does_not_replace_a_newer_one() {
    let mut worker = worker(Group::Server);
    let mut old = Peer::dial(&mut worker, SOCKET, Group::Server, NOW);
    let mut new = Peer::attach(&mut worker, Group::Server, NEXT, (SESSION, 2), NOW);
    new.say(&mut worker, &goal(1, Target::Ready), NOW);
    old.greet(&mut worker, SESSION + 1, 1, NOW);
    assert_eq!(old.hear(&mut worker, NOW), [WorkerMessage::Refused(Refusal::Stale)]);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
    // Of the same session it would be the older epoch that tells.
    let mut worker = crate::by_hand::worker(Group::Server);
    let mut old = Peer::dial(&mut worker, SOCKET, Group::Server, NOW);
    Peer::attach(&mut worker, Group::Server, NEXT, (SESSION, 2), NOW);
    old.greet(&mut worker, SESSION, 1, NOW);
    assert_eq!(old.hear(&mut worker, NOW), [WorkerMessage::Refused(Refusal::Stale)]);
}

#[test]
fn a_newer_connection_of_the_same_session_replaces_the_older_and_finds_everything_as_it_was() {
    let (mut worker, mut old) = running_worker();
    let mut new = Peer::dial(&mut worker, LAST, Group::Server, NOW);
    asks(&mut worker);
    new.greet(&mut worker, SESSION, 6, NOW);
    assert!(asks(&mut worker).contains(&Output::Close(old.place)));
    let answers = new.hear(&mut worker, NOW);
    assert_eq!(memory_in(&answers), Memory { session: 10, takeovers: 0 });
    assert_eq!(stages(&answers), [Stage::Running]);
    old.say(&mut worker, &goal(1, Target::Stop), NOW);
    assert_eq!(worker.state(), "RunningAwaitKill", "a connection that was closed is not heard");
}

#[test]
fn another_coordinator_does_not_adopt_what_an_earlier_one_began() {
    let (mut worker, _) = running_worker();
    let mut other = Peer::dial(&mut worker, LAST, Group::Server, NOW);
    other.greet(&mut worker, SESSION + 1, 1, NOW);
    assert!(asks(&mut worker).contains(&Output::Terminate));
    let answers = other.hear(&mut worker, NOW);
    assert_eq!(memory_in(&answers), Memory { session: 10, takeovers: 1 });
    assert_eq!(answers.len(), 1, "nothing of the old task is reported: {answers:?}");
    other.say(&mut worker, &goal(1, Target::Ready), NOW);
    assert_eq!(worker.state(), "Killing", "the old server ends first");
    worker.handle_program_ended(outcome(Exit::Signal(15)), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
    assert_eq!(other.hear(&mut worker, NOW), [report(1, Position::Ready)]);
}

#[test]
fn another_coordinator_may_count_from_1_again() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(7, Target::Ready), NOW);
    let mut other = Peer::attach(&mut worker, Group::Server, NEXT, (SESSION + 1, 1), NOW);
    other.say(&mut worker, &goal(1, Target::Ready), NOW);
    assert_eq!((worker.repetition(), worker.state()), (1, "Ready"));
}

#[test]
fn a_coordinator_with_other_work_is_refused_by_name_and_changes_nothing() {
    let zero = Digest::default();
    let one = Digest([1; 32]);
    let refusals = [
        (Work { scenario: one, drivers: zero }, Refusal::Scenario { expected: zero, got: one }),
        (Work { scenario: zero, drivers: one }, Refusal::Drivers { expected: zero, got: one }),
    ];
    for (work, refusal) in refusals {
        let (mut worker, mut coordinator) = running_worker();
        let mut other = Peer::dial(&mut worker, LAST, Group::Server, NOW);
        let ticket = other.link.ticket();
        let hello = Hello { session: SESSION + 1, epoch: 1, ticket, work: Some(work) };
        other.say(&mut worker, &CoordinatorMessage::Hello(hello), NOW);
        assert_eq!(other.hear(&mut worker, NOW), [WorkerMessage::Refused(refusal)]);
        assert!(asks(&mut worker).contains(&Output::Close(LAST)));
        assert_eq!(worker.rejections().iter().collect::<Vec<_>>(), [("refused", 1)]);
        coordinator.say(&mut worker, &goal(1, Target::Stop), NOW);
        assert_eq!(worker.state(), "Killing");
    }
}

/// A second coordinator takes the worker of a run from the first one.
#[test]
fn the_repetition_of_the_coordinator_that_lost_its_worker_fails_and_nothing_of_it_starts_again() {
    for group in [Group::Server, Group::Client] {
        let mut run = Run::running();
        let now = run.now;
        let host = run.host(group, 0);
        let starts = host.starts.len();
        let intruder = ConnectionId(u64::MAX);
        Peer::attach(&mut host.worker, group, intruder, (SESSION + 1, 1), now);
        // The first coordinator dials again, and hears that it is not remembered.
        run.pass_until(|run| run.phase() == russula_proto::RepetitionPhase::Over);
        let coordinator = &run.side(group).coordinator;
        assert_eq!(coordinator.failure(), Some(&Failure::Restarted { index: 0 }));
        let memory = coordinator.peer(0).welcome.map(|welcome| welcome.memory.takeovers);
        assert_eq!(memory, Some(2), "the first one has taken it back");
        assert_eq!(run.host(group, 0).starts.len(), starts);
        assert!(run.hosts().all(|host| !host.has_program));
        for side in [&run.servers, &run.clients] {
            assert_eq!(side.coordinator.reached(), Some(Milestone::Done));
        }
    }
}

/// Two connections of two new coordinators, whose tickets are the same: the first hello wins.
#[test]
fn of_two_coordinators_at_once_the_first_is_taken() {
    let mut worker = worker(Group::Server);
    let mut first = Peer::dial(&mut worker, SOCKET, Group::Server, NOW);
    let mut second = Peer::dial(&mut worker, NEXT, Group::Server, NOW);
    assert_eq!(first.link.ticket(), second.link.ticket());
    first.greet(&mut worker, 1, 1, NOW);
    second.greet(&mut worker, 2, 1, NOW);
    assert_eq!(memory_in(&first.hear(&mut worker, NOW)).takeovers, 0);
    assert_eq!(second.hear(&mut worker, NOW), [WorkerMessage::Refused(Refusal::Stale)]);
}

#[test]
fn a_refusal_that_the_socket_does_not_take_is_closed_at_a_deadline() {
    let (mut worker, _coordinator) = running_worker();
    let mut other = Peer::dial(&mut worker, LAST, Group::Server, NOW);
    other.greet(&mut worker, SESSION, 1, NOW);
    assert!(!asks(&mut worker).contains(&Output::Close(LAST)), "the refusal may leave");
    let later: Timestamp = at_ms(5000);
    other.say(&mut worker, &goal(9, Target::Stop), later);
    assert_eq!(worker.repetition(), 1, "what it says after that counts for nothing");
    worker.handle_timeout(later);
    assert!(asks(&mut worker).contains(&Output::Close(LAST)));
    assert_eq!(worker.rejections().total(), 1, "it is counted once");
}
