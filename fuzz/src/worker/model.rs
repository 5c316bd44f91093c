//! What a worker should know, and what it may do: a model of goals, coordinators and the one program.

use super::PROGRAMS;
use super::connections::{Connection, Standing};
use super::quiet::{Chunk, Windows};
use super::words::Words;
use russula_proto::wire::{CoordinatorMessage, Goal, Hello, Refusal, WorkerMessage};
use russula_proto::worker::{Finish, Rejection};
use russula_proto::{ConnectionId, Ending, Group, Target, Timestamp, Work, WorkerLimits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A repetition of the coordinators that came before the worker was taken over so often.
pub(super) type Part = (u32, u32);

/// What the worker has to say of its connections, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Attached(ConnectionId),
    Detached(ConnectionId),
    Rejected(ConnectionId, Rejection),
}

pub(super) struct Program {
    pub(super) part: Part,
    pub(super) terminated_at: Option<Timestamp>,
    pub(super) is_killed: bool,
}

pub(super) struct Model {
    pub(super) group: Group,
    limits: WorkerLimits,
    /// Session and epoch of the newest one.
    pub(super) coordinator: Option<(u64, u64)>,
    pub(super) attachments: u64,
    pub(super) era: u32,
    pub(super) attached: Option<ConnectionId>,
    pub(super) orphaned_at: Option<Timestamp>,
    /// The connection on which the goal that counts was last heard.
    goal_from: Option<ConnectionId>,
    pub(super) verdicts: VecDeque<Verdict>,
    /// Every goal of the coordinator.
    goals: Vec<Goal>,
    pub(super) program: Option<Program>,
    started: BTreeSet<Part>,
    pub(super) ran: BTreeMap<Part, Timestamp>,
    pub(super) endings: BTreeMap<Part, Ending>,
    pub(super) shutdown: Option<(Finish, Timestamp)>,
    pub(super) is_finished: bool,
    pub(super) finish_asked: bool,
    words: BTreeMap<ConnectionId, Words>,
    /// The messages that arrived with the input under way.
    pub(super) chunk: Chunk,
    pub(super) windows: Windows,
}

impl Model {
    pub(super) fn new(group: Group, limits: WorkerLimits) -> Self {
        Self {
            group,
            limits,
            coordinator: None,
            attachments: 0,
            era: 0,
            attached: None,
            orphaned_at: None,
            verdicts: VecDeque::new(),
            goals: vec![],
            goal_from: None,
            program: None,
            started: BTreeSet::new(),
            ran: BTreeMap::new(),
            endings: BTreeMap::new(),
            shutdown: None,
            is_finished: false,
            finish_asked: false,
            words: BTreeMap::new(),
            chunk: Chunk::default(),
            windows: Windows::default(),
        }
    }

    // --- what arrives ---

    pub(super) fn arrives(
        &mut self,
        id: ConnectionId,
        connections: &mut BTreeMap<ConnectionId, Connection>,
        message: CoordinatorMessage,
        now: Timestamp,
    ) {
        let Some(connection) = connections.get_mut(&id) else { return };
        let is_attached = match connection.standing {
            Standing::Rejected | Standing::Refused(_) => return,
            Standing::Stranger => false,
            Standing::Attached => true,
        };
        match message {
            CoordinatorMessage::Hello(hello) if !is_attached => match self.refusal(&hello) {
                Some(refusal) => {
                    self.verdicts.push_back(Verdict::Rejected(id, Rejection::Refused(refusal.clone())));
                    connection.standing = Standing::Refused(refusal);
                    connection.since = now;
                }
                None => self.attach(id, connections, &hello),
            },
            CoordinatorMessage::Goal(goal) if is_attached => {
                if self.goal().is_none_or(|known| known.repetition <= goal.repetition) {
                    self.goal_from = Some(id);
                }
                self.goals.push(goal);
            }
            CoordinatorMessage::ReadClock(number) if is_attached => {
                self.words.entry(id).or_default().questions.push((number, now));
            }
            CoordinatorMessage::Finish if is_attached => {
                self.finish_asked = true;
                self.begin_shutdown(Finish::RunOver, now);
            }
            CoordinatorMessage::Hello(_)
            | CoordinatorMessage::Goal(_)
            | CoordinatorMessage::ReadClock(_)
            | CoordinatorMessage::Finish => {
                self.verdicts.push_back(Verdict::Rejected(id, Rejection::OutOfOrder));
                if is_attached {
                    self.verdicts.push_back(Verdict::Detached(id));
                }
                connection.standing = Standing::Rejected;
            }
        }
    }

    fn refusal(&self, hello: &Hello) -> Option<Refusal> {
        let is_newer = match self.coordinator {
            Some((session, epoch)) if session == hello.session => hello.epoch > epoch,
            Some(_) | None => hello.ticket == self.attachments,
        };
        let (own, theirs) = (Work::default(), hello.work.unwrap_or_default());
        if !is_newer {
            Some(Refusal::Stale)
        } else if own.scenario != theirs.scenario {
            Some(Refusal::Scenario { expected: own.scenario, got: theirs.scenario })
        } else if own.drivers != theirs.drivers {
            Some(Refusal::Drivers { expected: own.drivers, got: theirs.drivers })
        } else {
            None
        }
    }

    fn attach(
        &mut self,
        id: ConnectionId,
        connections: &mut BTreeMap<ConnectionId, Connection>,
        hello: &Hello,
    ) {
        let older = connections.iter_mut().find(|(_, connection)| connection.is_attached());
        if let Some((older, connection)) = older {
            self.verdicts.push_back(Verdict::Detached(*older));
            connection.standing = Standing::Rejected;
        }
        self.verdicts.push_back(Verdict::Attached(id));
        if self.coordinator.is_some_and(|(session, _)| session != hello.session) {
            self.era += 1;
            self.goals.clear();
        }
        self.coordinator = Some((hello.session, hello.epoch));
        self.attachments += 1;
        if let Some(connection) = connections.get_mut(&id) {
            connection.standing = Standing::Attached;
            connection.era = self.era;
        }
    }

    // --- what the worker says ---

    pub(super) fn hears(&mut self, id: ConnectionId, era: u32, message: WorkerMessage) {
        let mut words = self.words.remove(&id).unwrap_or_default();
        words.hear(self, era, message);
        self.words.insert(id, words);
    }

    // --- goals ---

    /// The goal that counts: the newest of the newest repetition.
    pub(super) fn goal(&self) -> Option<Goal> {
        let newest = self.goals.iter().map(|goal| goal.repetition).max();
        self.goals.iter().rev().find(|goal| Some(goal.repetition) == newest).copied()
    }

    /// When the worker wants to be called for a start, if it is ready for it.
    pub(super) fn start_at(&self, repetition: u32) -> Option<Timestamp> {
        let goal = self.goal().filter(|goal| goal.target == Target::Run && goal.repetition == repetition)?;
        // Nothing is started for a goal that was not heard on the connection that is there now.
        let is_current = self.attached.is_some() && self.attached == self.goal_from;
        goal.start_at.filter(|_| self.shutdown.is_none() && is_current)
    }

    // --- the program ---

    pub(super) fn start(&mut self, program: u16, repetition: u32, now: Timestamp) {
        let part = (self.era, repetition);
        assert!(self.program.is_none(), "one program at a time");
        // The word to end may have come with the same input, after the goal.
        let may_start = self.shutdown.is_none() || self.chunk.messages > 1;
        assert!(may_start, "a worker that ends starts nothing");
        assert!(self.group != Group::Probe && program < PROGRAMS, "there is no program {program}");
        assert!(self.started.insert(part), "a program starts at most once in repetition {repetition}");
        let is_asked = |goal: &Goal| {
            let is_due = goal.start_at.is_none_or(|at| at <= now);
            goal.target == Target::Run && goal.repetition == repetition && goal.program == program && is_due
        };
        assert!(self.goals.iter().any(is_asked), "nobody has asked for that");
        self.program = Some(Program { part, terminated_at: None, is_killed: false });
    }

    pub(super) fn terminate(&mut self, now: Timestamp) {
        let goal = self.goal();
        let is_wanted = |part: Part| {
            let stop = |goal: Goal| goal.target >= Target::Stop || goal.repetition > part.1;
            self.shutdown.is_some() || part.0 < self.era || goal.is_some_and(stop)
        };
        let Some(program) = &self.program else { panic!("there is no program to stop") };
        // A goal of the same chunk may have been followed by another one.
        assert!(is_wanted(program.part) || self.chunk.messages > 1, "nobody wants the program to stop");
        assert_eq!(program.terminated_at, None, "a program is told to end once");
        if let Some(program) = &mut self.program {
            program.terminated_at = Some(now);
        }
    }

    pub(super) fn kill(&mut self, now: Timestamp) {
        let kill_at = self.kill_at();
        let Some(program) = &mut self.program else { panic!("there is no program to kill") };
        assert!(
            kill_at.is_some_and(|at| at <= now),
            "a program is killed after it had its time to end, and once"
        );
        program.is_killed = true;
    }

    /// When a program that was told to end is to be killed.
    pub(super) fn kill_at(&self) -> Option<Timestamp> {
        let program = self.program.as_ref().filter(|program| !program.is_killed)?;
        program.terminated_at.map(|at| at + self.limits.kill_grace)
    }

    pub(super) fn is_terminated(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.terminated_at.is_some())
    }

    pub(super) fn is_killed(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.is_killed)
    }

    pub(super) fn program_runs(&mut self, now: Timestamp) {
        if let Some(program) = &self.program {
            self.ran.entry(program.part).or_insert(now);
        }
    }

    pub(super) fn program_gone(&mut self, ending: Ending) {
        if let Some(program) = self.program.take() {
            self.endings.insert(program.part, ending);
        }
    }

    // --- the end ---

    pub(super) fn shut_down(&mut self, now: Timestamp) {
        self.begin_shutdown(Finish::Requested, now);
    }

    fn begin_shutdown(&mut self, reason: Finish, now: Timestamp) {
        self.shutdown.get_or_insert((reason, now + self.limits.kill_grace + self.limits.kill_grace));
    }

    pub(super) fn time_passes(&mut self, now: Timestamp) {
        if self.orphaned_at.is_some_and(|at| at <= now) {
            self.orphaned_at = None;
            self.begin_shutdown(Finish::Orphaned, now);
        }
    }

    pub(super) fn finish(&mut self, reason: Finish, now: Timestamp) {
        let Some((expected, until)) = self.shutdown else { panic!("nobody wants the worker to end") };
        assert!(!self.is_finished, "a worker ends once");
        assert_eq!(reason, expected);
        let is_left = self.program.is_some() && !self.is_killed();
        assert!(!is_left, "a worker does not leave its program behind");
        assert!(self.program.is_none() || until <= now, "a program has its time to end");
        self.is_finished = true;
    }
}
