//! A worker as the coordinator meets it: one that may do what it is told.

use crate::strangers::Differs;
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::noise::TAG_LEN;
use russula_proto::wire::{
    self, ClockReading, CoordinatorMessage, Goal, LENGTH_PREFIX_LEN, Position, Report, WorkerMessage,
};
use russula_proto::{Ending, Exit, Group, Link, Memory, Outcome, Target, Text, Timestamp, Welcome};
use std::collections::VecDeque;

use super::words::Said;

pub(super) struct Host {
    group: Group,
    index: u16,
    pub(super) socket: Socket,
    pub(super) memory: Memory,
    repetition: u32,
    position: Position,
    clock_offset_us: i64,
    /// In this repetition it said that it is ready, or further.
    pub(super) was_ready: bool,
}

pub(super) enum Socket {
    None,
    Dialed,
    Connected(Box<Connection>),
}

pub(super) struct Connection {
    link: Link,
    pub(super) differs: Differs,
    pub(super) ticket: u64,
    pub(super) is_disturbed: bool,
    /// The coordinator has bytes for it.
    pub(super) is_announced: bool,
    /// What the coordinator has said on it.
    pub(super) said: Said,
    under_way: VecDeque<(u64, WorkerMessage)>,
    queued: u64,
    arrived: u64,
}

impl Host {
    pub(super) fn new(group: Group, index: u16) -> Self {
        Self {
            group,
            index,
            socket: Socket::None,
            memory: Memory { session: 1000 * u64::from(index), takeovers: 0 },
            repetition: 0,
            position: Position::Idle,
            clock_offset_us: i64::from(index) * 1_000_000,
            was_ready: false,
        }
    }

    pub(super) fn is_dialed(&self) -> bool {
        matches!(self.socket, Socket::Dialed)
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.socket {
            Socket::Connected(connection) => Some(connection),
            Socket::None | Socket::Dialed => None,
        }
    }

    pub(super) fn accept(&mut self, differs: Differs, number: u8, ticket: u64) {
        let identity = differs.identity(self.group, self.index);
        self.socket = Socket::Connected(Box::new(Connection {
            link: Link::accepted(&differs.toy_key(), &identity, [number & 0x7f; 32], ticket),
            differs,
            ticket,
            is_disturbed: false,
            is_announced: false,
            said: Said::default(),
            under_way: VecDeque::new(),
            queued: 0,
            arrived: 0,
        }));
    }

    pub(super) fn restart(&mut self) {
        self.memory.session += 1;
        self.repetition = 0;
        self.position = Position::Idle;
        self.clock_offset_us += 1000;
    }

    // --- what it says ---

    pub(super) fn say(&mut self, message: WorkerMessage) {
        if let Some(connection) = self.connection() {
            connection.say(message);
        }
    }

    /// Does what a worker does that was told so.
    pub(super) fn obey(&mut self, message: &CoordinatorMessage, now: Timestamp) {
        match message {
            CoordinatorMessage::Hello(_) => {
                let welcome = self.welcome(0);
                self.say(welcome);
                self.report();
            }
            CoordinatorMessage::Goal(goal) => {
                self.follow(*goal);
                self.report();
            }
            CoordinatorMessage::ReadClock(number) => {
                let clock = self.clock(*number, now);
                self.say(clock);
            }
            CoordinatorMessage::Finish => self.say(WorkerMessage::Farewell),
        }
    }

    pub(super) fn program_ends(&mut self, outcome: Outcome) {
        if self.position == Position::Running {
            self.position = Position::Ended(Ending::Exited(outcome));
            self.report();
        }
    }

    /// As a worker that has forgotten so often what it did.
    pub(super) fn welcome(&self, forgotten: u64) -> WorkerMessage {
        WorkerMessage::Welcome(Welcome {
            memory: Memory { session: self.memory.session + forgotten, takeovers: self.memory.takeovers },
            programs: 2,
            program_version: Text::tail_of("1.0"),
            kill_grace_ms: 2000,
        })
    }

    pub(super) fn clock(&self, exchange: u32, now: Timestamp) -> WorkerMessage {
        WorkerMessage::Clock(ClockReading { exchange, at: now.offset_by(self.clock_offset_us) })
    }

    fn follow(&mut self, goal: Goal) {
        if goal.repetition > self.repetition {
            self.repetition = goal.repetition;
            self.position = Position::Idle;
        }
        let position = self.position.clone();
        self.position = match (goal.target, position) {
            (Target::Ready, Position::Idle) => Position::Ready,
            (Target::Run, Position::Idle | Position::Ready) if self.group == Group::Probe => {
                Position::Ended(Ending::NotStarted)
            }
            (Target::Run, Position::Idle | Position::Ready) => Position::Running,
            (Target::Stop, Position::Idle | Position::Ready) => Position::Ended(Ending::NotStarted),
            (Target::Stop | Target::Release, Position::Starting | Position::Running) => {
                Position::Ended(Ending::Stopped(success()))
            }
            (Target::Release, Position::Idle | Position::Ready) => Position::Released(Ending::NotStarted),
            (Target::Release, Position::Ended(ending)) => Position::Released(ending),
            (_, position) => position,
        };
    }

    fn report(&mut self) {
        let started_at = (self.position == Position::Running).then_some(Timestamp::ZERO);
        let (repetition, position) = (self.repetition, self.position.clone());
        self.say(WorkerMessage::Report(Report { repetition, started_at, quiet: None, position }));
    }
}

impl Connection {
    /// Whether what its link says can come from the worker only.
    pub(super) fn is_intact(&self) -> bool {
        self.differs == Differs::Nothing && !self.is_disturbed
    }

    fn say(&mut self, message: WorkerMessage) {
        let len = LENGTH_PREFIX_LEN + wire::encode(&message).len() + TAG_LEN;
        if self.link.is_open() && self.link.outgoing().len() + len <= MAX_OUTGOING_LEN {
            self.link.send(&message);
            let end = self.queued_len();
            self.under_way.push_back((end, message));
        }
    }

    /// Where the stream ends that is queued and sent so far.
    fn queued_len(&mut self) -> u64 {
        self.queued = self.arrived + self.link.outgoing().len() as u64;
        self.queued
    }

    /// Bytes that are to arrive at the coordinator, and the messages that are complete with them.
    pub(super) fn give(&mut self, len: usize) -> (Vec<u8>, Vec<WorkerMessage>) {
        let waiting = self.link.outgoing();
        let bytes = waiting[..len.min(waiting.len())].to_vec();
        self.link.handle_sent(bytes.len());
        self.arrived += bytes.len() as u64;
        let mut messages = vec![];
        while self.under_way.front().is_some_and(|(end, _)| *end <= self.arrived) {
            messages.extend(self.under_way.pop_front().map(|(_, message)| message));
        }
        if !self.is_intact() {
            messages.clear();
        }
        (bytes, messages)
    }

    /// The worker reads what the coordinator says; nothing, if it was said to somebody else.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Vec<CoordinatorMessage> {
        let mut messages = vec![];
        while !bytes.is_empty() {
            match self.link.receive::<CoordinatorMessage>(&mut bytes) {
                Ok(message) => messages.extend(message),
                Err(error) => assert!(self.differs != Differs::Nothing, "{error}"),
            }
        }
        messages
    }
}

pub(super) fn success() -> Outcome {
    Outcome {
        exit: Exit::Code(0),
        duration_us: 1,
        cpu_us: 1,
        max_rss_bytes: 1,
        voluntary_switches: 0,
        involuntary_switches: 0,
        stderr_tail: Text::default(),
    }
}
