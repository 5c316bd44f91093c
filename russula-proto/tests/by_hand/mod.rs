//! One machine alone, fed by hand: messages as bytes, and what the machine does about them.
#![allow(dead_code, reason = "each test file uses its own part")]

use russula_proto::wire::{
    self, CoordinatorMessage, Goal, Position, Report, Target, Welcome, WorkerMessage, encode_frame,
};
use russula_proto::{
    ConnectionId, Coordinator, CoordinatorConfig, Ending, Exit, Group, Identity, Link, Outcome, Text,
    Timestamp, Work, Worker, WorkerConfig, coordinator, worker,
};
use serde::Serialize;

pub(crate) const NOW: Timestamp = Timestamp::ZERO;

pub(crate) const SOCKET: ConnectionId = ConnectionId(0);

/// A worker whose coordinator has just been welcomed.
pub(crate) fn attached_worker() -> Worker {
    let identity = Identity { run: "demo".parse().expect("a valid run id"), group: Group::Server, index: 0 };
    let mut worker = Worker::new(WorkerConfig {
        identity: identity.clone(),
        session: 1,
        work: Work::default(),
        programs: 1,
        program_version: Text::default(),
        limits: Default::default(),
    });
    worker.handle_accepted(SOCKET, NOW);
    worker.handle_bytes(
        SOCKET,
        &opening(&[CoordinatorMessage::Hello(russula_proto::wire::Hello {
            worker: identity,
            session: 1,
            work: None,
        })]),
        NOW,
    );
    events(&mut worker);
    worker
}

/// The reports that wait to be sent.
pub(crate) fn reports(worker: &Worker) -> Vec<Report> {
    let mut rest = worker.outgoing(SOCKET);
    let mut link = Link::accepted();
    let mut reports = vec![];
    while !rest.is_empty() {
        match link.receive(&mut rest).expect("a worker sends what can be decoded") {
            Some(WorkerMessage::Report(report)) => reports.push(report),
            Some(WorkerMessage::Welcome(_) | WorkerMessage::Refused(_)) | None => {}
        }
    }
    reports
}

/// The worker's events until it comes to rest, in words.
pub(crate) fn events(worker: &mut Worker) -> Vec<String> {
    use worker::Output;
    let mut events = vec![];
    loop {
        match worker.poll_output() {
            Output::Wait(_) => return events,
            Output::Event(event) => events.push(event.to_string()),
            Output::Transmit(_)
            | Output::Close(_)
            | Output::Start { .. }
            | Output::Terminate
            | Output::Kill
            | Output::Finished(_) => {}
        }
    }
}

pub(crate) fn coordinator(group: Group, workers: u16) -> Coordinator {
    let run = "demo".parse().expect("a valid run id");
    Coordinator::new(
        CoordinatorConfig { run, group, workers, limits: Default::default(), session: 1, work: None },
        NOW,
    )
}

/// What a peer sends at the beginning of a connection.
pub(crate) fn opening<M: Serialize>(messages: &[M]) -> Vec<u8> {
    let mut bytes = wire::preamble().to_vec();
    messages.iter().for_each(|message| encode_frame(message, &mut bytes));
    bytes
}

pub(crate) fn welcome(session: u64) -> WorkerMessage {
    WorkerMessage::Welcome(Welcome {
        session,
        programs: 1,
        program_version: Text::tail_of("1.0"),
        kill_grace_ms: 2000,
    })
}

pub(crate) fn report(repetition: u32, position: Position) -> WorkerMessage {
    WorkerMessage::Report(Report { repetition, position })
}

/// The end of a program that wrote `stderr_bytes` to stderr.
pub(crate) fn ended(stderr_bytes: usize) -> Position {
    Position::Ended(Ending::Exited(Outcome {
        exit: Exit::Code(0),
        duration_us: 1,
        cpu_us: 1,
        max_rss_bytes: 1,
        voluntary_switches: 0,
        involuntary_switches: 0,
        stderr_tail: Text::tail_of(&"x".repeat(stderr_bytes)),
    }))
}

pub(crate) fn goal(repetition: u32, target: Target) -> CoordinatorMessage {
    CoordinatorMessage::Goal(Goal { repetition, program: 0, target })
}

pub(crate) fn frame<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = vec![];
    encode_frame(message, &mut bytes);
    bytes
}

/// What a coordinator did until it came to rest.
#[derive(Debug)]
pub(crate) struct Drained {
    /// Without `Transmit`.
    pub(crate) outputs: Vec<coordinator::Output>,
    /// The goals that the sockets took.
    pub(crate) goals: Vec<Goal>,
}

pub(crate) fn drain(coordinator: &mut Coordinator) -> Drained {
    use coordinator::Output;
    let mut drained = Drained { outputs: vec![], goals: vec![] };
    loop {
        match coordinator.poll_output() {
            Output::Wait(_) => return drained,
            Output::Transmit(index) => {
                let bytes = coordinator.outgoing(index).to_vec();
                coordinator.handle_sent(index, bytes.len(), NOW);
                drained.goals.extend(goals(&bytes));
            }
            output @ (Output::Dial(_) | Output::Close(_) | Output::Event(_)) => drained.outputs.push(output),
        }
    }
}

/// The goals in whole frames, after a preamble or not.
pub(crate) fn goals(bytes: &[u8]) -> Vec<Goal> {
    let mut rest = bytes.strip_prefix(&wire::preamble()).unwrap_or(bytes);
    let mut decoder = wire::Decoder::default();
    let mut goals = vec![];
    while !rest.is_empty() {
        match decoder.decode(&mut rest).expect("a coordinator sends what can be decoded") {
            Some(CoordinatorMessage::Goal(goal)) => goals.push(goal),
            Some(CoordinatorMessage::Hello(_) | CoordinatorMessage::Finish) | None => {}
        }
    }
    goals
}
