//! What happened, in words for people.
//!
//! Text is made only while somebody wants to read it: a sweep over a million seeds reads none.

use super::World;
use crate::model::HostId;
use russula_proto::wire::{CoordinatorMessage, Goal, Position, WorkerMessage};
use russula_proto::{Group, Timestamp, coordinator};
use std::fmt;

/// What an entry is about, so that a reader can leave kinds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sockets: dialing, closing.
    Socket,
    /// A message, when its last byte has left.
    Message,
    /// A question for a clock, or the answer to one; there are many.
    Clock,
    /// An event of a machine.
    Event,
    /// A program: started, asked to end, ended.
    Program,
    /// Something goes wrong from outside, or is mended.
    Fault,
}

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaker {
    /// The coordinator of a group.
    Coordinator(Group),
    /// A worker or its host.
    Host(HostId),
    /// The repetition over both groups.
    Repetition,
    /// The process that the coordinators live in.
    Orchestrator,
    /// Whoever brings the faults.
    Outside,
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator(group) => f.pad(&format!("{group}s")),
            Self::Host(host) => f.pad(&host.to_string()),
            Self::Repetition => f.pad("repetition"),
            Self::Orchestrator => f.pad("runner"),
            Self::Outside => f.pad("outside"),
        }
    }
}

impl From<HostId> for Speaker {
    fn from(host: HostId) -> Self {
        Self::Host(host)
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in the time of the world.
    pub at: Timestamp,
    /// Whom it is about.
    pub who: Speaker,
    /// What it is about.
    pub kind: Kind,
    /// The words.
    pub text: String,
}

impl fmt::Display for Entry {
    /// The time in seconds, cut to milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.at.as_micros() / 1000;
        write!(f, "{:>4}.{:03}  {:<10}  {}", millis / 1000, millis % 1000, self.who, self.text)
    }
}

impl World {
    /// The whole trace as text; empty unless [`World::traced`] asked for one.
    pub fn text(&self) -> String {
        self.trace.iter().map(|entry| format!("{entry}\n")).collect()
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn say(&mut self, who: impl Into<Speaker>, kind: Kind, text: impl FnOnce() -> String) {
        if self.is_traced {
            let entry = Entry { at: self.now, who: who.into(), kind, text: text() };
            if let Some(reader) = self.reader {
                reader(&entry);
            }
            self.trace.push(entry);
        }
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

/// What a message of a coordinator is about.
pub(super) fn kind_of_coordinator_message(message: &CoordinatorMessage) -> Kind {
    match message {
        CoordinatorMessage::ReadClock(_) => Kind::Clock,
        CoordinatorMessage::Hello(_) | CoordinatorMessage::Goal(_) | CoordinatorMessage::Finish => {
            Kind::Message
        }
    }
}

/// What a message of a worker is about.
pub(super) fn kind_of_worker_message(message: &WorkerMessage) -> Kind {
    match message {
        WorkerMessage::Clock(_) => Kind::Clock,
        WorkerMessage::Welcome(_)
        | WorkerMessage::Refused(_)
        | WorkerMessage::Report(_)
        | WorkerMessage::Farewell => Kind::Message,
    }
}

/// A coordinator's message in words.
pub(super) fn of_coordinator_message(message: &CoordinatorMessage) -> String {
    match message {
        CoordinatorMessage::Hello(hello) => {
            format!("hello, session {}, epoch {:#x}, ticket {}", hello.session, hello.epoch, hello.ticket)
        }
        CoordinatorMessage::Goal(goal) => {
            let start_at = goal.start_at.map_or(String::new(), |at| format!(", start at {at}"));
            let Goal { repetition, program, target, .. } = goal;
            format!("goal {target:?} of repetition {repetition}, program {program}{start_at}")
        }
        CoordinatorMessage::ReadClock(exchange) => format!("what does your clock say? ({exchange})"),
        CoordinatorMessage::Finish => "finish".into(),
    }
}

/// A worker's message in words.
pub(super) fn of_worker_message(message: &WorkerMessage) -> String {
    match message {
        WorkerMessage::Welcome(welcome) => format!(
            "welcome, session {}, takeovers {}, {} programs, version {}",
            welcome.memory.session, welcome.memory.takeovers, welcome.programs, welcome.program_version
        ),
        WorkerMessage::Refused(refusal) => format!("refused: {refusal}"),
        WorkerMessage::Report(report) => {
            let ending = match &report.position {
                Position::Ended(ending) | Position::Released(ending) => format!(" ({ending})"),
                Position::Idle | Position::Ready | Position::Starting | Position::Running => String::new(),
            };
            let quiet =
                report.quiet.map_or(String::new(), |quiet| format!(", {} bytes in its window", quiet.bytes));
            let stage = report.position.stage();
            format!("report {stage:?}{ending} in repetition {}{quiet}", report.repetition)
        }
        WorkerMessage::Clock(reading) => format!("its clock says {} ({})", reading.at, reading.exchange),
        WorkerMessage::Farewell => "farewell".into(),
    }
}
