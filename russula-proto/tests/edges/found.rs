//! Bugs that were found, each under its own name.

use crate::by_hand::{
    MEMORY, NOW, Peer, Run, SESSION, asks, attached_worker, connected, coordinator_config, drain, exited,
    goal, outcome, report, targets, welcome,
};
use russula_proto::wire::{ClockReading, CoordinatorMessage, Memory, Position, Target, WorkerMessage};
use russula_proto::{
    ConnectionId, Coordinator, CoordinatorLimits, Ending, Exit, Failure, Group, Milestone, Repetition,
    RepetitionPhase, Timestamp, coordinator, worker,
};
use std::time::Duration;

/// A coordinator of one client, which it has asked for its clock; and the number of the question.
fn asked_for_clock(exchanges: u8) -> (Coordinator, Peer<Coordinator>, u32) {
    let mut config = coordinator_config(Group::Client, 1);
    config.limits = CoordinatorLimits { clock_exchanges: exchanges, ..Default::default() };
    let mut coordinator = Coordinator::new(config, NOW);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    let heard = worker.hear(&mut coordinator, NOW);
    let Some(CoordinatorMessage::ReadClock(number)) = heard.last() else { panic!("{heard:?}") };
    (coordinator, worker, *number)
}

fn clock(exchange: u32, micros: u64) -> WorkerMessage {
    WorkerMessage::Clock(ClockReading { exchange, at: Timestamp::from_micros(micros) })
}

#[test]
fn the_last_reading_of_a_clock_may_come_after_an_abort() {
    let (mut coordinator, mut worker, number) = asked_for_clock(1);
    coordinator.abort(NOW);
    worker.say(&mut coordinator, &clock(number, 5), NOW);
    worker.say(&mut coordinator, &report(1, Position::Ended(Ending::NotStarted)), NOW);
    worker.say(&mut coordinator, &report(1, Position::Released(Ending::NotStarted)), NOW);
    assert_eq!((coordinator.reached(), coordinator.failure()), (Some(Milestone::Done), None));
}

#[test]
fn a_worker_whose_clock_was_not_known_yet_may_be_stopped() {
    let (mut coordinator, mut worker, _) = asked_for_clock(2);
    coordinator.abort(NOW);
    worker.say(&mut coordinator, &report(1, Position::Ended(Ending::NotStarted)), NOW);
    worker.say(&mut coordinator, &report(1, Position::Released(Ending::NotStarted)), NOW);
    assert_eq!(coordinator.reached(), Some(Milestone::Done));
}

#[test]
fn a_late_reading_after_the_end_counts_for_nothing() {
    let (mut coordinator, mut worker, number) = asked_for_clock(2);
    worker.say(&mut coordinator, &report(1, Position::Ended(exited(0))), NOW);
    worker.say(&mut coordinator, &clock(number, 5), NOW);
    assert_eq!(coordinator.peer(0).clock, None);
}

#[test]
fn a_worker_that_is_restarted_is_ready_again_without_a_clock_if_none_is_wanted() {
    let (mut coordinator, worker) = connected(Group::Client);
    coordinator.run_till(Milestone::Ready, NOW);
    drop(worker);
    let mut worker = reconnect(&mut coordinator, NOW);
    worker.say(&mut coordinator, &welcome(Memory { session: 11, takeovers: 0 }), NOW);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    assert_eq!(coordinator.reached(), Some(Milestone::Ready));
}

/// Breaks the connection of worker 0, and accepts the next one.
fn reconnect(coordinator: &mut Coordinator, now: Timestamp) -> Peer<Coordinator> {
    coordinator.handle_connection_failed(0, "connection reset by peer", now);
    coordinator.handle_timeout(now + Duration::from_secs(3));
    drain(coordinator);
    Peer::accept(coordinator, 0, now)
}

#[test]
fn a_worker_that_is_restarted_before_it_says_that_it_has_started_does_not_start_again() {
    for group in [Group::Server, Group::Client] {
        let (mut coordinator, mut worker) = connected(group);
        coordinator.run_till(Milestone::WorkersRunning, NOW);
        worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
        assert_eq!(targets(&worker.hear(&mut coordinator, NOW)), [Target::Run]);
        let mut worker = reconnect(&mut coordinator, NOW);
        worker.say(&mut coordinator, &welcome(Memory { session: 11, takeovers: 0 }), NOW);
        assert_eq!(coordinator.failure(), Some(&Failure::Restarted { index: 0 }));
        assert_eq!(targets(&worker.hear(&mut coordinator, NOW)), [Target::Stop]);
    }
}

#[test]
fn nobody_starts_while_one_that_was_restarted_is_not_ready_again() {
    let mut config = coordinator_config(Group::Client, 2);
    config.limits.clock_exchanges = 1;
    let mut coordinator = Coordinator::new(config, NOW);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    let mut workers = [0, 1].map(|index| {
        let mut worker = Peer::accept(&mut coordinator, index, NOW);
        make_ready(&mut coordinator, &mut worker, MEMORY);
        worker
    });
    assert_eq!(coordinator.reached(), Some(Milestone::Ready));

    let mut again = reconnect(&mut coordinator, NOW);
    again.say(&mut coordinator, &welcome(Memory { session: 11, takeovers: 0 }), NOW);
    coordinator.run_till(Milestone::Done, NOW);
    assert_eq!(targets(&workers[1].hear(&mut coordinator, NOW)), []);
    make_ready_after_welcome(&mut coordinator, &mut again);
    assert_eq!(targets(&workers[1].hear(&mut coordinator, NOW)), [Target::Run]);
    assert_eq!(targets(&again.hear(&mut coordinator, NOW)), [Target::Run]);
}

#[test]
fn waiting_for_one_that_was_restarted_to_be_ready_again_has_a_deadline() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.run_till(Milestone::Ready, NOW);
    worker.say(&mut coordinator, &report(1, Position::Ready), NOW);
    let mut worker = reconnect(&mut coordinator, NOW);
    worker.say(&mut coordinator, &welcome(Memory { session: 11, takeovers: 0 }), NOW);
    coordinator.run_till(Milestone::WorkersRunning, NOW);
    coordinator.handle_timeout(NOW + Duration::from_secs(31));
    let failure = coordinator.failure().expect("it never became ready").to_string();
    assert_eq!(failure, "the deadline 'workers ready' passed after 30 s: waiting for worker 0");
}

fn make_ready(coordinator: &mut Coordinator, worker: &mut Peer<Coordinator>, memory: Memory) {
    worker.say(coordinator, &welcome(memory), NOW);
    make_ready_after_welcome(coordinator, worker);
}

fn make_ready_after_welcome(coordinator: &mut Coordinator, worker: &mut Peer<Coordinator>) {
    worker.say(coordinator, &report(1, Position::Ready), NOW);
    let heard = worker.hear(coordinator, NOW);
    let Some(CoordinatorMessage::ReadClock(number)) = heard.last() else { panic!("{heard:?}") };
    worker.say(coordinator, &clock(*number, 5), NOW);
}

#[test]
fn a_message_that_was_heard_long_ago_is_not_taken_for_the_one_that_ends_the_window() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    coordinator.hear(&mut worker, NOW);
    assert_eq!(worker.state(), "RunningAwaitComplete");
    let question = coordinator.seal(&CoordinatorMessage::ReadClock(1));
    worker.handle_bytes(coordinator.place, &question[..5], NOW);
    worker.handle_program_ended(outcome(Exit::Code(0)), NOW);
    let reports = coordinator.hear(&mut worker, NOW);
    let [WorkerMessage::Report(report)] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.quiet.map(|quiet| quiet.bytes), Some(5));
}

#[test]
fn a_worker_that_is_given_up_has_its_connection_closed_when_the_coordinator_finishes() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    worker.say(&mut coordinator, &report(1, Position::Running), NOW);
    coordinator.run_till(Milestone::Done, NOW);
    worker.hear(&mut coordinator, NOW);
    coordinator.handle_timeout(NOW + Duration::from_secs(30));
    assert!(coordinator.peer(0).is_given_up && coordinator.reached() == Some(Milestone::Done));
    let finished = coordinator::Output::Event(coordinator::Event::Finished);
    coordinator.finish(NOW);
    let outputs = drain(&mut coordinator);
    assert!(!outputs.contains(&finished), "it may still hear that the run is over");
    assert!(worker.hear(&mut coordinator, NOW).contains(&CoordinatorMessage::Finish));
    worker.say(&mut coordinator, &WorkerMessage::Farewell, NOW);
    assert_eq!(drain(&mut coordinator), [coordinator::Output::Close(0), finished]);
}

#[test]
fn a_farewell_that_was_half_sent_is_said_again_on_the_next_connection() {
    let (mut worker, mut first) = attached_worker(Group::Server);
    first.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    let waiting = worker.outgoing(first.place).len();
    worker.handle_sent(first.place, waiting - 1, NOW);
    worker.handle_end(first.place, NOW);
    let finished = worker::Output::Finished(worker::Finish::RunOver);
    assert!(!asks(&mut worker).contains(&finished), "the coordinator waits for the answer");
    let mut second = Peer::dial(&mut worker, ConnectionId(1), Group::Server, NOW);
    second.greet(&mut worker, SESSION, 2, NOW);
    let heard = second.hear(&mut worker, NOW);
    assert_eq!(heard.last(), Some(&WorkerMessage::Farewell), "{heard:?}");
    assert!(asks(&mut worker).contains(&finished));
}

/// Two clients end at almost the same time; the report of the first is cut in two by that of the second.
#[test]
fn an_end_that_is_half_heard_is_no_noise_in_the_window() {
    let mut run = Run::running();
    run.host(Group::Client, 0).lets_through = Some(7);
    run.ended(Group::Client, 0, Exit::Code(0));
    run.ended(Group::Client, 1, Exit::Code(0));
    run.release(Group::Client, 0);
    assert_eq!(run.phase(), RepetitionPhase::Over);
    let window =
        Repetition::quiet(&run.servers.coordinator, &run.clients.coordinator).expect("there was one");
    assert_eq!((window.coordinators.bytes, window.clients.bytes), (0, 0));
}

#[test]
fn a_coordinator_whose_workers_leave_because_the_run_is_over_does_not_take_them_for_ready() {
    let (mut coordinator, mut worker) = connected(Group::Server);
    coordinator.run_till(Milestone::Done, NOW);
    coordinator.finish(NOW);
    worker.hear(&mut coordinator, NOW);
    worker.say(&mut coordinator, &WorkerMessage::Farewell, NOW);
    let reached = |output: &coordinator::Output| {
        matches!(output, coordinator::Output::Event(coordinator::Event::Reached(_)))
    };
    assert!(!drain(&mut coordinator).iter().any(reached));
}

#[test]
fn another_coordinator_hears_no_farewell_that_it_has_not_asked_for() {
    let (mut worker, mut first) = attached_worker(Group::Server);
    first.say(&mut worker, &CoordinatorMessage::Finish, NOW);
    worker.handle_end(first.place, NOW);
    let mut second = Peer::dial(&mut worker, ConnectionId(1), Group::Server, NOW);
    second.greet(&mut worker, SESSION + 1, 1, NOW);
    assert!(!second.hear(&mut worker, NOW).contains(&WorkerMessage::Farewell));
    assert!(asks(&mut worker).contains(&worker::Output::Finished(worker::Finish::RunOver)));
}
