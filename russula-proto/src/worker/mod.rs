//! The worker: listens for its coordinator, runs one program at a time, and says what became of it.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Worker::poll_output`] until it says [`Output::Wait`].

mod config;
mod connections;
mod output;

use crate::outcome::{Ending, Outcome, StartFailure};
use crate::time::Timestamp;
use crate::wire::{
    CoordinatorMessage, Goal, Hello, Position, Refusal, Report, Stage, Target, Welcome, WorkerMessage,
};
use crate::workflow::{Group, WorkerInput, WorkerStep, WorkerWorkflow};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use connections::{Connections, Standing};

pub use config::{WorkerConfig, WorkerLimits};
pub use connections::MAX_GREETINGS;
pub use output::{Event, Finish, Output};

/// A connection of a worker; the driver chooses the number and never uses it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One worker.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    connections: Connections,
    /// The session of the coordinator that was last attached.
    coordinator: Option<u64>,
    /// The newest goal of the coordinator.
    goal: Option<Goal>,
    task: Task,
    /// Whether the coordinator is to hear where the task is.
    report_due: bool,
    kill_at: Option<Timestamp>,
    orphaned_at: Option<Timestamp>,
    shutdown: Option<Shutdown>,
    outputs: VecDeque<Output>,
}

/// One repetition as this worker lives through it.
#[derive(Debug)]
struct Task {
    repetition: u32,
    workflow: Box<dyn WorkerWorkflow>,
    /// A program was asked for and its end was not heard of yet.
    program_active: bool,
    stop_asked: bool,
    ending: Option<Ending>,
    /// It was begun for a coordinator that another one has replaced.
    is_abandoned: bool,
}

impl Task {
    fn begin(repetition: u32, group: Group) -> Self {
        Self {
            repetition,
            workflow: group.worker(),
            program_active: false,
            stop_asked: false,
            ending: None,
            is_abandoned: false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Shutdown {
    reason: Finish,
    /// When the worker ends even though the coordinator has not taken the last report.
    until: Timestamp,
    finished: bool,
}

impl Worker {
    /// A worker that waits for its coordinator.
    pub fn new(config: WorkerConfig) -> Self {
        Self {
            connections: Connections::new(config.limits.greeting),
            task: Task::begin(0, config.identity.group),
            coordinator: None,
            config,
            goal: None,
            report_due: false,
            kill_at: None,
            orphaned_at: None,
            shutdown: None,
            outputs: VecDeque::new(),
        }
    }

    // --- what the worker knows ---

    /// Name of the workflow's state.
    pub fn state(&self) -> &'static str {
        self.task.workflow.name()
    }

    /// The repetition under way; 0 before the first.
    pub fn repetition(&self) -> u32 {
        self.task.repetition
    }

    /// Whether a coordinator is connected.
    pub fn is_attached(&self) -> bool {
        self.connections.attached().is_some()
    }

    /// Bytes that wait to be written to `connection`.
    pub fn outgoing(&self, connection: ConnectionId) -> &[u8] {
        self.connections.get(connection).map_or(&[], |c| c.link.outgoing())
    }

    // --- inputs ---

    /// Somebody has connected.
    pub fn handle_accepted(&mut self, connection: ConnectionId, now: Timestamp) {
        if let Some(evicted) = self.connections.accept(connection, now) {
            self.event(Event::Dropped(evicted));
            self.outputs.push_back(Output::Close(evicted));
        }
    }

    /// Bytes have arrived.
    pub fn handle_bytes(&mut self, connection: ConnectionId, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
            let Some(peer) = self.connections.get_mut(connection) else { return };
            if peer.standing == Standing::Closing {
                return;
            }
            match peer.link.receive::<CoordinatorMessage>(&mut bytes) {
                Ok(Some(message)) => self.handle_message(connection, message, now),
                Ok(None) => return,
                Err(error) => {
                    self.event(Event::Broken(connection, error));
                    self.close_after_flush(connection, now);
                }
            }
            // Each message is brought to rest by itself: how the bytes were split makes no difference.
            self.settle(now);
        }
    }

    /// The peer has closed its side, or the connection broke.
    pub fn handle_end(&mut self, connection: ConnectionId, now: Timestamp) {
        if let Some(peer) = self.connections.get(connection)
            && let Err(error) = peer.link.handle_end()
        {
            self.event(Event::Broken(connection, error));
        }
        self.close(connection, now);
        self.settle(now);
    }

    /// The socket has taken `len` bytes of [`Self::outgoing`].
    pub fn handle_sent(&mut self, connection: ConnectionId, len: usize, now: Timestamp) {
        let Some(peer) = self.connections.get_mut(connection) else { return };
        peer.link.handle_sent(len);
        if peer.link.is_flushed() {
            match peer.standing {
                Standing::Greeting => {}
                Standing::Attached => {
                    if !self.report_due {
                        self.apply(WorkerInput::Reported, now);
                    }
                }
                Standing::Closing => self.close(connection, now),
            }
        }
        self.settle(now);
    }

    /// The program runs; a server's port is bound.
    pub fn handle_started(&mut self, now: Timestamp) {
        if self.task.program_active {
            self.apply(WorkerInput::Started, now);
            self.settle(now);
        }
    }

    /// The program that [`Output::Start`] asked for does not run.
    pub fn handle_start_failed(&mut self, failure: StartFailure, now: Timestamp) {
        if self.task.program_active {
            self.end_program(WorkerInput::StartFailed, Ending::StartFailed(failure), now);
        }
    }

    /// The program has ended.
    pub fn handle_program_ended(&mut self, outcome: Outcome, now: Timestamp) {
        if self.task.program_active {
            let ending =
                if self.task.stop_asked { Ending::Stopped(outcome) } else { Ending::Exited(outcome) };
            self.end_program(WorkerInput::Ended, ending, now);
        }
    }

    /// The worker's host wants it to end: a signal, or the end of whoever started it.
    pub fn handle_shutdown(&mut self, now: Timestamp) {
        self.shut_down(Finish::Requested, now);
        self.settle(now);
    }

    /// The time that [`Output::Wait`] named has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(late) = self.connections.expired(now) {
            self.event(Event::Dropped(late));
            self.close(late, now);
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.outputs.push_back(Output::Kill);
        }
        if self.orphaned_at.is_some_and(|at| at <= now) {
            self.orphaned_at = None;
            self.shut_down(Finish::Orphaned, now);
        }
        self.settle(now);
    }

    // --- output ---

    /// What to do next; to be called until it returns [`Output::Wait`].
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let shutdown = self.shutdown.and_then(|s| (!s.finished).then_some(s.until));
        let deadlines = [self.kill_at, self.orphaned_at, shutdown, self.connections.next_deadline()];
        Output::Wait(deadlines.into_iter().flatten().min())
    }

    // --- inside ---

    fn handle_message(&mut self, connection: ConnectionId, message: CoordinatorMessage, now: Timestamp) {
        let attached = self.connections.attached() == Some(connection);
        match message {
            CoordinatorMessage::Hello(hello) if !attached => self.greet(connection, &hello, now),
            CoordinatorMessage::Goal(goal) if attached => {
                if self.goal.is_none_or(|known| known.repetition <= goal.repetition) {
                    self.goal = Some(goal);
                }
            }
            CoordinatorMessage::Finish if attached => self.shut_down(Finish::RunOver, now),
            CoordinatorMessage::Hello(_) | CoordinatorMessage::Goal(_) | CoordinatorMessage::Finish => {
                self.event(Event::OutOfOrder(connection));
                self.close(connection, now);
            }
        }
    }

    fn greet(&mut self, connection: ConnectionId, hello: &Hello, now: Timestamp) {
        if let Err(refusal) = Refusal::check(&self.config.identity, self.config.work, hello) {
            self.send(connection, &WorkerMessage::Refused(refusal.clone()));
            self.event(Event::Refused(connection, refusal));
            self.close_after_flush(connection, now);
            return;
        }
        // A coordinator that dials again replaces its own older connection.
        if let Some(older) = self.connections.attached() {
            self.close(older, now);
        }
        self.connections.attach(connection);
        self.orphaned_at = None;
        if self.coordinator.replace(hello.session).is_some_and(|known| known != hello.session) {
            // Another coordinator counts its repetitions anew and knows nothing of what was begun before.
            self.goal = None;
            self.task.is_abandoned = true;
        }
        self.event(Event::Attached(connection));
        let welcome = Welcome {
            session: self.config.session,
            programs: self.config.programs,
            program_version: self.config.program_version.clone(),
            kill_grace_ms: u32::try_from(self.config.limits.kill_grace.as_millis()).unwrap_or(u32::MAX),
        };
        self.send(connection, &WorkerMessage::Welcome(welcome));
        self.report_due = true;
    }

    /// Brings everything that follows from the inputs to rest.
    fn settle(&mut self, now: Timestamp) {
        self.converge(now);
        self.report();
        self.finish_if_due(now);
    }

    /// Follows the newest goal as far as it goes.
    fn converge(&mut self, now: Timestamp) {
        if self.shutdown.is_some() {
            self.apply(WorkerInput::Target(Target::Stop), now);
            return;
        }
        let newer = self.goal.is_some_and(|goal| goal.repetition > self.task.repetition);
        if newer || self.task.is_abandoned {
            if self.task.program_active {
                // What is left of an older repetition ends before the new one begins.
                self.apply(WorkerInput::Target(Target::Stop), now);
                return;
            }
            let repetition = self.goal.map_or(0, |goal| goal.repetition);
            self.task = Task::begin(repetition, self.config.identity.group);
            self.report_due = true;
        }
        let Some(goal) = self.goal else { return };
        while self.apply(WorkerInput::Target(goal.target), now) {}
    }

    /// Applies one input to the workflow; the only place where its state changes.
    fn apply(&mut self, input: WorkerInput, now: Timestamp) -> bool {
        let (from, stage) = (self.task.workflow.name(), self.task.workflow.stage());
        let Some(step) = self.task.workflow.handle(input) else { return false };
        let to = self.task.workflow.name();
        self.event(Event::State { repetition: self.task.repetition, from, to });
        // What is behind the last report would tell the coordinator nothing.
        if self.task.workflow.stage() > stage {
            self.report_due = true;
        }
        match step {
            WorkerStep::Enter => {}
            WorkerStep::Start => self.start(now),
            WorkerStep::Stop => {
                assert!(self.task.program_active, "only a program that was started is stopped");
                self.task.stop_asked = true;
                self.kill_at = Some(now + self.config.limits.kill_grace);
                self.outputs.push_back(Output::Terminate);
            }
        }
        true
    }

    fn start(&mut self, now: Timestamp) {
        assert!(!self.task.program_active, "one program at a time");
        self.task.program_active = true;
        let program = self.goal.map_or(0, |goal| goal.program);
        if program < self.config.programs {
            self.outputs.push_back(Output::Start { program, repetition: self.task.repetition });
        } else {
            let failure = StartFailure::UnknownProgram { index: program, count: self.config.programs };
            self.end_program(WorkerInput::StartFailed, Ending::StartFailed(failure), now);
        }
    }

    fn end_program(&mut self, input: WorkerInput, ending: Ending, now: Timestamp) {
        self.task.program_active = false;
        self.task.ending = Some(ending);
        self.kill_at = None;
        self.apply(input, now);
        self.settle(now);
    }

    /// Tells the coordinator where the task is, as soon as its connection has room.
    fn report(&mut self) {
        let Some(connection) = self.connections.attached() else { return };
        let Some(peer) = self.connections.get(connection) else { return };
        // The welcome may share a segment with the first report; after that, only the newest report counts.
        let nothing_to_say = !self.report_due || self.task.is_abandoned;
        if nothing_to_say || peer.link.outgoing().len() > MAX_QUEUED_BEFORE_REPORT {
            return;
        }
        self.report_due = false;
        let position = self.position();
        let report = Report { repetition: self.task.repetition, position };
        self.send(connection, &WorkerMessage::Report(report));
    }

    fn position(&self) -> Position {
        match self.task.workflow.stage() {
            Stage::Idle => Position::Idle,
            Stage::Ready => Position::Ready,
            Stage::Starting => Position::Starting,
            Stage::Running => Position::Running,
            Stage::Ended => Position::Ended(self.task.ending.clone().unwrap_or(Ending::NotStarted)),
            Stage::Released => Position::Released,
        }
    }

    fn shut_down(&mut self, reason: Finish, now: Timestamp) {
        if self.shutdown.is_none() {
            // Time for the program to be stopped and killed, and for the last report to leave.
            let until = now + self.config.limits.kill_grace + self.config.limits.kill_grace;
            self.shutdown = Some(Shutdown { reason, until, finished: false });
        }
    }

    fn finish_if_due(&mut self, now: Timestamp) {
        let flushed = match self.connections.attached().and_then(|id| self.connections.get(id)) {
            Some(peer) => peer.link.is_flushed() && !self.report_due,
            None => true,
        };
        let at_rest = flushed && !self.task.program_active;
        if let Some(shutdown) = &mut self.shutdown
            && !shutdown.finished
            && (at_rest || shutdown.until <= now)
        {
            shutdown.finished = true;
            let reason = shutdown.reason;
            self.outputs.push_back(Output::Finished(reason));
        }
    }

    fn send(&mut self, connection: ConnectionId, message: &WorkerMessage) {
        if let Some(peer) = self.connections.get_mut(connection) {
            peer.link.send(message);
            self.outputs.push_back(Output::Transmit(connection));
        }
    }

    /// Lets what is queued leave, within the greeting's deadline, then closes.
    fn close_after_flush(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(peer) = self.connections.get(connection) else { return };
        if peer.link.is_flushed() {
            self.close(connection, now);
        } else {
            self.detach(connection, now);
            self.connections.begin_closing(connection, now);
            self.outputs.push_back(Output::Transmit(connection));
        }
    }

    fn close(&mut self, connection: ConnectionId, now: Timestamp) {
        self.detach(connection, now);
        if self.connections.remove(connection) {
            self.outputs.push_back(Output::Close(connection));
        }
    }

    fn detach(&mut self, connection: ConnectionId, now: Timestamp) {
        if self.connections.attached() == Some(connection) {
            self.event(Event::Detached(connection));
            self.orphaned_at = Some(now + self.config.limits.orphan);
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// Room that a welcome takes at the most.
const MAX_QUEUED_BEFORE_REPORT: usize = 256;
