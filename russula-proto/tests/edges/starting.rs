//! Programs that start at the same instant, and the clocks that this needs.

use crate::by_hand::{
    MEMORY, NOW, Peer, Run, SESSION, SOCKET, asks, at_ms, attached_worker, coordinator_config, drain, exited,
    goal, report, run_at, wait_of, welcome,
};
use russula_proto::coordinator::ClockOffset;
use russula_proto::wire::{
    ClockReading, CoordinatorMessage, Goal, Memory, Position, Report, Target, WorkerMessage,
};
use russula_proto::worker::Output;
use russula_proto::{
    ConnectionId, Coordinator, Group, Milestone, RepetitionPhase, Stage, StartSkew, Timestamp, Worker,
};
use std::time::Duration;

const START: Output = Output::Start { program: 0, repetition: 1 };

// --- a worker ---

#[test]
fn a_worker_starts_at_the_instant_that_was_named_and_not_before() {
    for group in [Group::Client, Group::Server] {
        let (mut worker, mut coordinator) = attached_worker(group);
        coordinator.say(&mut worker, &run_at(1, at_ms(50)), NOW);
        assert!(!asks(&mut worker).contains(&START));
        assert_eq!((worker.state(), wait_of(&mut worker)), ("Ready", Some(at_ms(50))));
        worker.handle_timeout(Timestamp::from_micros(49_999));
        assert!(!asks(&mut worker).contains(&START));
        worker.handle_timeout(at_ms(50));
        assert!(asks(&mut worker).contains(&START));
    }
}

#[test]
fn a_worker_starts_at_once_if_the_instant_has_passed() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &run_at(1, at_ms(50)), at_ms(51));
    assert!(asks(&mut worker).contains(&START));
}

#[test]
fn a_worker_does_not_start_if_it_is_told_to_stop_before_the_instant() {
    let calls_off: [fn(&mut Worker, &mut Peer<Worker>); 4] = [
        |worker, coordinator| coordinator.say(worker, &goal(1, Target::Stop), at_ms(40)),
        |worker, coordinator| coordinator.say(worker, &CoordinatorMessage::Finish, at_ms(40)),
        |worker, _| worker.handle_shutdown(at_ms(40)),
        |worker, _| drop(Peer::attach(worker, Group::Client, ConnectionId(1), (SESSION + 1, 1), at_ms(40))),
    ];
    for call_off in calls_off {
        let (mut worker, mut coordinator) = attached_worker(Group::Client);
        coordinator.say(&mut worker, &run_at(1, at_ms(50)), NOW);
        call_off(&mut worker, &mut coordinator);
        worker.handle_timeout(at_ms(60));
        assert!(!asks(&mut worker).contains(&START));
        assert_ne!(worker.state(), "Run");
    }
}

/// The coordinator may have given the repetition up meanwhile (simulation, seed 3874578).
#[test]
fn a_worker_that_nobody_is_connected_to_at_the_instant_starts_when_it_is_told_again() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &run_at(1, at_ms(50)), NOW);
    worker.handle_end(SOCKET, at_ms(40));
    worker.handle_timeout(at_ms(60));
    assert!(!asks(&mut worker).contains(&START));
    let mut coordinator = Peer::attach(&mut worker, Group::Client, ConnectionId(1), (SESSION, 2), at_ms(70));
    assert!(!asks(&mut worker).contains(&START), "what is wanted now was not said yet");
    coordinator.say(&mut worker, &run_at(1, at_ms(50)), at_ms(80));
    assert!(asks(&mut worker).contains(&START));
}

#[test]
fn a_start_that_nobody_could_be_told_of_is_told_later_as_it_was() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &run_at(1, at_ms(50)), NOW);
    worker.handle_timeout(at_ms(50));
    assert!(asks(&mut worker).contains(&START));
    worker.handle_end(SOCKET, at_ms(51));
    worker.handle_started(at_ms(53));
    let mut again = Peer::dial(&mut worker, ConnectionId(1), Group::Client, at_ms(60));
    again.greet(&mut worker, SESSION, 2, at_ms(60));
    let heard = again.hear(&mut worker, at_ms(60));
    let reported = heard.iter().find_map(|message| match message {
        WorkerMessage::Report(report) => report.started_at,
        WorkerMessage::Welcome(_)
        | WorkerMessage::Refused(_)
        | WorkerMessage::Clock(_)
        | WorkerMessage::Farewell => None,
    });
    assert_eq!(reported, Some(at_ms(53)), "when it really ran: {heard:?}");
}

/// A coordinator that takes over has to know all clocks first.
#[test]
fn a_start_is_put_off_by_the_goal_to_be_ready() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &run_at(1, at_ms(50)), NOW);
    coordinator.say(&mut worker, &goal(1, Target::Ready), at_ms(40));
    worker.handle_timeout(at_ms(60));
    assert!(!asks(&mut worker).contains(&START));
    coordinator.say(&mut worker, &run_at(1, at_ms(70)), at_ms(61));
    worker.handle_timeout(at_ms(70));
    assert!(asks(&mut worker).contains(&START));
}

#[test]
fn a_worker_answers_with_its_own_clock_and_the_number_of_the_question() {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    let asked = Timestamp::from_micros(123);
    coordinator.say(&mut worker, &CoordinatorMessage::ReadClock(9), asked);
    let reading = ClockReading { exchange: 9, at: asked };
    assert_eq!(coordinator.hear(&mut worker, at_ms(5)), [WorkerMessage::Clock(reading)]);
}

// --- a coordinator ---

/// A coordinator of `workers` clients that asks each of them twice for its clock.
fn timed_coordinator(workers: u16) -> Coordinator {
    let mut config = coordinator_config(Group::Client, workers);
    config.limits.clock_exchanges = 2;
    let mut coordinator = Coordinator::new(config, NOW);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Ready, NOW);
    coordinator
}

fn question_in(heard: &[CoordinatorMessage]) -> Option<u32> {
    heard.iter().find_map(|message| match message {
        CoordinatorMessage::ReadClock(number) => Some(*number),
        CoordinatorMessage::Hello(_) | CoordinatorMessage::Goal(_) | CoordinatorMessage::Finish => None,
    })
}

/// A worker that is welcomed, is ready, and has not answered for its clock.
fn welcomed(coordinator: &mut Coordinator, index: usize, memory: Memory) -> Peer<Coordinator> {
    let mut worker = Peer::accept(coordinator, index, NOW);
    worker.say(coordinator, &welcome(memory), NOW);
    worker.say(coordinator, &report(1, Position::Ready), NOW);
    worker
}

/// Answers the question that was asked at `asked`: it took `round_trip_us`, and the clock is `ahead_us` in front.
/// Returns when the answer came, which is when the next question is asked.
fn answer(
    coordinator: &mut Coordinator,
    worker: &mut Peer<Coordinator>,
    asked: Timestamp,
    (ahead_us, round_trip_us): (i64, u64),
) -> Timestamp {
    let exchange = question_in(&worker.hear(coordinator, asked)).expect("a question waits");
    let at = (asked + Duration::from_micros(round_trip_us / 2)).offset_by(ahead_us);
    let now = asked + Duration::from_micros(round_trip_us);
    worker.say(coordinator, &WorkerMessage::Clock(ClockReading { exchange, at }), now);
    now
}

/// Answers all questions, of which the first was asked at `NOW`.
fn measure(coordinator: &mut Coordinator, worker: &mut Peer<Coordinator>, clock: (i64, u64)) {
    let next = answer(coordinator, worker, NOW, clock);
    answer(coordinator, worker, next, clock);
}

fn reconnect(coordinator: &mut Coordinator, index: usize, memory: Memory) -> Peer<Coordinator> {
    coordinator.handle_connection_failed(index, "connection reset by peer", NOW);
    coordinator.handle_timeout(at_ms(3000));
    drain(coordinator);
    welcomed(coordinator, index, memory)
}

#[test]
fn nobody_is_ready_before_all_clocks_are_known() {
    let mut coordinator = timed_coordinator(2);
    let mut workers = [0, 1].map(|index| welcomed(&mut coordinator, index, MEMORY));
    for (worker, ahead_us) in workers.iter_mut().zip([5_000_000, 7_000_000]) {
        assert_eq!(coordinator.reached(), None);
        measure(&mut coordinator, worker, (ahead_us, 200));
    }
    assert_eq!(coordinator.reached(), Some(Milestone::Ready));
    let clocks = [0, 1].map(|index| coordinator.peer(index).clock);
    let clock = |offset_us| Some(ClockOffset { offset_us, bound_us: 101 });
    assert_eq!(clocks, [clock(5_000_000), clock(7_000_000)]);
    assert_eq!(question_in(&workers[0].hear(&mut coordinator, NOW)), None, "no more than are wanted");
}

#[test]
fn a_question_that_went_down_with_its_connection_is_asked_again() {
    let mut coordinator = timed_coordinator(1);
    let mut worker = welcomed(&mut coordinator, 0, MEMORY);
    answer(&mut coordinator, &mut worker, NOW, (5_000_000, 10));
    let lost = question_in(&worker.hear(&mut coordinator, NOW)).expect("the second question");
    let mut worker = reconnect(&mut coordinator, 0, MEMORY);
    let heard = worker.hear(&mut coordinator, NOW);
    let asked = question_in(&heard).expect("it is asked again");
    assert_ne!(asked, lost);
    let late = ClockReading { exchange: lost, at: Timestamp::from_micros(1) };
    worker.say(&mut coordinator, &WorkerMessage::Clock(late), NOW);
    assert_eq!(coordinator.reached(), None, "an answer to a question of the connection before");
    let reading = ClockReading { exchange: asked, at: at_ms(5000) };
    worker.say(&mut coordinator, &WorkerMessage::Clock(reading), at_ms(1));
    assert_eq!(coordinator.reached(), Some(Milestone::Ready));
    let best = coordinator.peer(0).clock;
    assert_eq!(best, Some(ClockOffset { offset_us: 5_000_000, bound_us: 6 }), "the shorter round trip");
}

#[test]
fn the_clock_of_a_worker_that_was_restarted_is_measured_anew() {
    let mut coordinator = timed_coordinator(1);
    let mut worker = welcomed(&mut coordinator, 0, MEMORY);
    for _ in 0..2 {
        answer(&mut coordinator, &mut worker, NOW, (5_000_000, 10));
    }
    assert_eq!(coordinator.reached(), Some(Milestone::Ready));
    let mut worker = reconnect(&mut coordinator, 0, Memory { session: 11, takeovers: 0 });
    assert_eq!(coordinator.peer(0).clock, None, "another process has another clock");
    coordinator.run_till(Milestone::Done, NOW);
    assert_eq!(coordinator.start_at(), None);
    measure(&mut coordinator, &mut worker, (-3, 4000));
    assert!(coordinator.start_at().is_some());
    assert_eq!(coordinator.peer(0).clock, Some(ClockOffset { offset_us: -3, bound_us: 2001 }));
}

#[test]
fn the_instant_is_the_same_for_all_each_on_its_own_clock_and_late_enough_to_be_heard_of() {
    let mut coordinator = timed_coordinator(2);
    let mut workers = [0, 1].map(|index| welcomed(&mut coordinator, index, MEMORY));
    for (worker, ahead_us) in workers.iter_mut().zip([5_000_000, -40]) {
        measure(&mut coordinator, worker, (ahead_us, 50_000));
    }
    let now = at_ms(100);
    coordinator.run_till(Milestone::Done, now);
    let start_at = coordinator.start_at().expect("it is decided");
    assert!(start_at >= now + Duration::from_micros(100_000), "twice the longest round trip: {start_at}");
    for (worker, ahead_us) in workers.iter_mut().zip([5_000_000, -40]) {
        let goal = Goal {
            repetition: 1,
            program: 0,
            target: Target::Run,
            start_at: Some(start_at.offset_by(ahead_us)),
        };
        assert_eq!(worker.hear(&mut coordinator, now), [CoordinatorMessage::Goal(goal)]);
    }
}

#[test]
fn the_skew_of_a_start_is_that_of_the_clocks_put_right() {
    let mut coordinator = timed_coordinator(3);
    let ahead_us = [5_000_000, 40, 0];
    let mut workers = [0, 1, 2].map(|index| welcomed(&mut coordinator, index, MEMORY));
    for (worker, clock) in workers.iter_mut().zip(ahead_us.into_iter().zip([20, 60, 40])) {
        measure(&mut coordinator, worker, clock);
    }
    coordinator.run_till(Milestone::Done, NOW);
    let start_at = coordinator.start_at().expect("it is decided");
    assert_eq!(coordinator.start_skew(), None, "nobody has started");
    let late_us = [700, 150, -20];
    for (index, worker) in workers.iter_mut().enumerate().take(2) {
        let started_at = Some(start_at.offset_by(late_us[index] + ahead_us[index]));
        let report = Report { repetition: 1, started_at, quiet: None, position: Position::Running };
        worker.say(&mut coordinator, &WorkerMessage::Report(report), NOW);
    }
    let skew = |started, spread_us, late_us| {
        Some(StartSkew { started, spread_us, bound_us: 31, lateness_us: Some(late_us) })
    };
    assert_eq!(coordinator.start_skew(), skew(2, 550, 700));
    assert_eq!(coordinator.peer(0).started_at, Some(start_at.offset_by(700)));
    // The last one is heard of only when it has ended.
    let started_at = Some(start_at.offset_by(late_us[2]));
    let report = Report { repetition: 1, started_at, quiet: None, position: Position::Ended(exited(0)) };
    workers[2].say(&mut coordinator, &WorkerMessage::Report(report), NOW);
    assert_eq!(coordinator.start_skew(), skew(3, 720, 700));
}

// --- whole runs ---

#[test]
fn clients_with_any_clocks_start_together() {
    let mut run = Run::new(1, 3);
    for (index, clock_us) in [(0, 0), (1, 3_600_000_000), (2, -900_000_000)] {
        run.host(Group::Client, index).clock_us = clock_us;
    }
    run.begin(1);
    run.pass_until(|run| run.clients.has_all_at(Stage::Running));
    let start_at = run.clients.coordinator.start_at().expect("it was decided");
    for host in &run.clients.hosts {
        // The bound of an exchange that takes no time is a microsecond.
        let off_us = host.starts[0].1.micros_after(start_at).abs();
        assert!(off_us <= 1 && host.starts.len() == 1, "{off_us} us off");
    }
    let skew = run.clients.coordinator.start_skew().expect("they have started");
    assert!(
        skew.started == 3 && skew.spread_us <= 1 && skew.lateness_us.is_some_and(|late| late.abs() <= 1),
        "{skew:?}"
    );
    assert!(start_at.since(run.servers.hosts[0].starts[0].1) >= Duration::from_millis(10));
}

#[test]
fn a_client_that_is_not_connected_when_the_others_start_is_late_and_that_is_known() {
    let mut run = Run::new(1, 2);
    for host in &mut run.servers.hosts {
        host.is_prompt = false;
    }
    run.begin(1);
    run.pass_until(|run| run.phase() == RepetitionPhase::StartingServers);
    run.host(Group::Client, 1).is_reachable = false;
    run.cut(Group::Client, 1);
    run.started(Group::Server, 0);
    run.pass(Duration::from_millis(300));
    assert_eq!(run.phase(), RepetitionPhase::RunningClients);
    run.host(Group::Client, 1).is_reachable = true;
    run.pass_until(|run| run.clients.has_all_at(Stage::Running));
    let skew = run.clients.coordinator.start_skew().expect("they have started");
    assert!(skew.lateness_us > Some(280_000) && skew.spread_us > 280_000, "{skew:?}");
    assert_eq!(run.clients.coordinator.failure(), None);
}
