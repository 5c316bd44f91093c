//! What happened: a log in words for people, a history of facts for checks.

use super::HostId;
use russula_proto::wire::{CoordinatorMessage, Position, WorkerMessage};
use russula_proto::{Failure, Group, Milestone, Outcome, RepetitionPhase, Stage, Timestamp, coordinator};
use std::fmt;

/// What an entry of the log is about, so that a reader can leave kinds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sockets: dialing, closing.
    Socket,
    /// A message, when its last byte has left.
    Message,
    /// An event of a machine.
    Event,
    /// A program: started, asked to end, ended.
    Program,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl fmt::Display for Entry {
    /// The time in seconds, cut to milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.at.as_micros() / 1000;
        write!(f, "{:>4}.{:03}  {:<10}  {}", millis / 1000, millis % 1000, self.who, self.text)
    }
}

/// One thing that happened, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A program was started for this repetition.
    Started(HostId, u32),
    /// The program runs; a server listens.
    Running(HostId),
    /// The program was told to end.
    Terminated(HostId),
    /// The program has ended.
    Ended(HostId, Outcome),
    /// The program could not be started.
    StartFailed(HostId),
    /// The coordinator has heard where a worker is.
    Heard(HostId, Stage),
    /// Bytes were taken by a socket of the connection between a host and its coordinator, on either end.
    Sent(HostId, usize),
    /// Bytes came out of a socket of that connection.
    Arrived(HostId, usize),
    /// A coordinator said so.
    Reached(Group, Milestone),
    /// A coordinator said so.
    Failed(Group, Failure),
    /// A coordinator said so.
    Finished(Group),
    /// The repetition said so.
    Phase(RepetitionPhase),
}

impl Fact {
    /// What the program of `host` produced, if this is its end.
    pub(crate) fn outcome_of(&self, host: HostId) -> Option<&Outcome> {
        if let Self::Ended(ended, outcome) = self
            && *ended == host
        {
            return Some(outcome);
        }
        None
    }
}

/// A coordinator's event in words.
pub(crate) fn of_event(event: &coordinator::Event) -> String {
    use coordinator::Event;
    match event {
        Event::State { repetition, from, to } => format!("repetition {repetition}: {from} -> {to}"),
        Event::Connected(index) => format!("worker {index} has answered"),
        Event::Disconnected(index, error) => format!("worker {index} is not connected: {error}"),
        Event::Worker(index, stage) => format!("worker {index} is {stage:?}"),
        Event::Reached(milestone) => format!("reached '{milestone}'"),
        Event::Failed(failure) => format!("failed: {failure}"),
        Event::Finished => "finished".into(),
    }
}

/// A coordinator's message in words.
pub(crate) fn of_coordinator_message(message: &CoordinatorMessage) -> String {
    match message {
        CoordinatorMessage::Hello(hello) => format!("hello {}", hello.worker),
        CoordinatorMessage::Goal(goal) => {
            format!("goal {:?} of repetition {}, program {}", goal.target, goal.repetition, goal.program)
        }
        CoordinatorMessage::Finish => "finish".into(),
    }
}

/// A worker's message in words.
pub(crate) fn of_worker_message(message: &WorkerMessage) -> String {
    match message {
        WorkerMessage::Welcome(welcome) => format!(
            "welcome, session {}, {} programs, version {}",
            welcome.session, welcome.programs, welcome.program_version
        ),
        WorkerMessage::Refused(refusal) => format!("refused: {refusal}"),
        WorkerMessage::Report(report) => {
            let ending = match &report.position {
                Position::Ended(ending) => format!(" ({ending})"),
                Position::Idle
                | Position::Ready
                | Position::Starting
                | Position::Running
                | Position::Released => String::new(),
            };
            format!("report {:?}{ending} in repetition {}", report.position.stage(), report.repetition)
        }
    }
}
