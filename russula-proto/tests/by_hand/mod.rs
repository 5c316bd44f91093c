//! One machine alone, fed by hand through a real link at the other side of its connection.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod host;
mod peer;
mod run;

pub(crate) use host::Host;
pub(crate) use peer::{Peer, entropy};
pub(crate) use run::Run;

use russula_proto::wire::{CoordinatorMessage, Goal, Hello, Memory, Position, Report, Target, Welcome};
use russula_proto::wire::{Stage, WorkerMessage};
use russula_proto::{
    ConnectionId, Coordinator, CoordinatorConfig, CoordinatorLimits, Ending, Exit, Group, Identity, Key,
    Outcome, Text, Timestamp, Work, Worker, WorkerConfig, coordinator, worker,
};
use std::time::Duration;

pub(crate) const NOW: Timestamp = Timestamp::ZERO;

pub(crate) const SOCKET: ConnectionId = ConnectionId(0);

pub(crate) const KEY: Key = Key::from_bytes([7; Key::LEN]);

/// The session of a coordinator, where nothing else is said.
pub(crate) const SESSION: u64 = 1;

/// The session of a worker, where nothing else is said.
pub(crate) const MEMORY: Memory = Memory { session: 10, takeovers: 0 };

pub(crate) fn at_ms(millis: u64) -> Timestamp {
    NOW + Duration::from_millis(millis)
}

pub(crate) fn identity(group: Group, index: u16) -> Identity {
    Identity { run: "demo".parse().expect("a valid run id"), group, index }
}

// --- machines ---

pub(crate) fn worker_config(group: Group, index: u16) -> WorkerConfig {
    WorkerConfig {
        identity: identity(group, index),
        key: KEY,
        session: MEMORY.session,
        work: Work::default(),
        programs: 1,
        program_version: Text::tail_of("1.0"),
        limits: Default::default(),
    }
}

pub(crate) fn worker(group: Group) -> Worker {
    Worker::new(worker_config(group, 0))
}

/// A worker whose coordinator has just been welcomed.
pub(crate) fn attached_worker(group: Group) -> (Worker, Peer<Worker>) {
    let mut worker = worker(group);
    let coordinator = Peer::attach(&mut worker, group, SOCKET, (SESSION, 1), NOW);
    events(&mut worker);
    (worker, coordinator)
}

pub(crate) fn coordinator_config(group: Group, workers: u16) -> CoordinatorConfig {
    CoordinatorConfig {
        run: identity(group, 0).run,
        group,
        workers,
        limits: CoordinatorLimits { clock_exchanges: 0, ..Default::default() },
        key: KEY,
        session: SESSION,
        incarnation: 0,
        work: None,
    }
}

/// A coordinator that does not ask for clocks.
pub(crate) fn coordinator(group: Group, workers: u16) -> Coordinator {
    Coordinator::new(coordinator_config(group, workers), NOW)
}

/// A coordinator of one worker that was welcomed in its first repetition, with nothing left to say.
pub(crate) fn connected(group: Group) -> (Coordinator, Peer<Coordinator>) {
    let mut coordinator = coordinator(group, 1);
    coordinator.begin(1, 0, NOW);
    let mut worker = Peer::accept(&mut coordinator, 0, NOW);
    worker.say(&mut coordinator, &welcome(MEMORY), NOW);
    worker.hear(&mut coordinator, NOW);
    drain(&mut coordinator);
    (coordinator, worker)
}

// --- messages ---

pub(crate) fn hello(session: u64, epoch: u64, ticket: u64) -> CoordinatorMessage {
    CoordinatorMessage::Hello(Hello { session, epoch, ticket, work: None })
}

pub(crate) fn goal(repetition: u32, target: Target) -> CoordinatorMessage {
    CoordinatorMessage::Goal(Goal { repetition, program: 0, target, start_at: None })
}

pub(crate) fn run_at(repetition: u32, start_at: Timestamp) -> CoordinatorMessage {
    let start_at = Some(start_at);
    CoordinatorMessage::Goal(Goal { repetition, program: 0, target: Target::Run, start_at })
}

pub(crate) fn welcome(memory: Memory) -> WorkerMessage {
    let program_version = Text::tail_of("1.0");
    WorkerMessage::Welcome(Welcome { memory, programs: 1, program_version, kill_grace_ms: 2000 })
}

pub(crate) fn report(repetition: u32, position: Position) -> WorkerMessage {
    WorkerMessage::Report(Report { repetition, started_at: None, quiet: None, position })
}

/// A program that ended by itself, having written `stderr_bytes` to stderr.
pub(crate) fn exited(stderr_bytes: usize) -> Ending {
    Ending::Exited(Outcome {
        stderr_tail: Text::tail_of(&"x".repeat(stderr_bytes)),
        ..outcome(Exit::Code(0))
    })
}

pub(crate) fn stopped() -> Ending {
    Ending::Stopped(outcome(Exit::Signal(15)))
}

pub(crate) fn outcome(exit: Exit) -> Outcome {
    Outcome {
        exit,
        duration_us: 1,
        cpu_us: 1,
        max_rss_bytes: 1,
        voluntary_switches: 0,
        involuntary_switches: 0,
        stderr_tail: Text::default(),
    }
}

/// The targets of the goals in `messages`.
pub(crate) fn targets(messages: &[CoordinatorMessage]) -> Vec<Target> {
    let target = |message: &CoordinatorMessage| match message {
        CoordinatorMessage::Goal(goal) => Some(goal.target),
        CoordinatorMessage::Hello(_) | CoordinatorMessage::ReadClock(_) | CoordinatorMessage::Finish => None,
    };
    messages.iter().filter_map(target).collect()
}

/// The stages of the reports in `messages`.
pub(crate) fn stages(messages: &[WorkerMessage]) -> Vec<Stage> {
    let stage = |message: &WorkerMessage| match message {
        WorkerMessage::Report(report) => Some(report.position.stage()),
        WorkerMessage::Welcome(_)
        | WorkerMessage::Refused(_)
        | WorkerMessage::Clock(_)
        | WorkerMessage::Farewell => None,
    };
    messages.iter().filter_map(stage).collect()
}

// --- what a machine wants ---

/// What the worker asks for until it comes to rest, without `Transmit` and `Wait`.
pub(crate) fn asks(worker: &mut Worker) -> Vec<worker::Output> {
    let next = || Some(worker.poll_output()).filter(|output| !matches!(output, worker::Output::Wait(_)));
    std::iter::from_fn(next).filter(|output| !matches!(output, worker::Output::Transmit(_))).collect()
}

/// The worker's events until it comes to rest, in words.
pub(crate) fn events(worker: &mut Worker) -> Vec<String> {
    let event =
        |output| if let worker::Output::Event(event) = output { Some(event.to_string()) } else { None };
    asks(worker).into_iter().filter_map(event).collect()
}

/// Until when the worker waits.
pub(crate) fn wait_of(worker: &mut Worker) -> Option<Timestamp> {
    asks(worker);
    if let worker::Output::Wait(at) = worker.poll_output() { at } else { None }
}

/// What the coordinator asks for until it comes to rest, without `Transmit` and `Wait`.
pub(crate) fn drain(coordinator: &mut Coordinator) -> Vec<coordinator::Output> {
    use coordinator::Output;
    let next = || Some(coordinator.poll_output()).filter(|output| !matches!(output, Output::Wait(_)));
    std::iter::from_fn(next).filter(|output| !matches!(output, Output::Transmit(_))).collect()
}

/// Until when the coordinator waits.
pub(crate) fn coordinator_wait(coordinator: &mut Coordinator) -> Option<Timestamp> {
    drain(coordinator);
    if let coordinator::Output::Wait(at) = coordinator.poll_output() { at } else { None }
}
