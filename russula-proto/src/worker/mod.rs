//! The worker: listens for its coordinator, runs one program at a time, and says what became of it.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Worker::poll_output`] until it says [`Output::Wait`].

mod config;
mod connections;
mod greeting;
mod output;
mod rejection;
mod task;

use crate::noise::Entropy;
use crate::outcome::{Ending, Outcome, StartFailure};
use crate::quiet::Traffic;
use crate::time::Timestamp;
use crate::wire::{ClockReading, CoordinatorMessage, Goal, Memory, Stage, Target, WorkerMessage};
use crate::workflow::{WorkerInput, WorkerStep};
use alloc::collections::VecDeque;
use connections::{Connections, Standing};
use task::Task;

pub use config::{WorkerConfig, WorkerLimits};
pub use connections::MAX_GREETINGS;
pub use output::{Event, Finish, Output};
pub use rejection::{Rejection, Rejections};

/// A connection of a worker; the driver chooses the number and never uses it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One worker.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    connections: Connections,
    /// Session and epoch of the coordinator that was last attached.
    coordinator: Option<(u64, u64)>,
    /// How many connections have been the coordinator's.
    attachments: u64,
    memory: Memory,
    /// The newest goal of the coordinator.
    goal: Option<Goal>,
    task: Task,
    /// Whether the coordinator is to hear where the task is.
    report_due: bool,
    clock_due: Option<ClockReading>,
    farewell: Farewell,
    /// Bytes of the coordinator's connections that are gone.
    past_control_bytes: u64,
    /// Length of the message that is being handled, as it crossed the wire.
    message_len: usize,
    rejections: Rejections,
    kill_at: Option<Timestamp>,
    orphaned_at: Option<Timestamp>,
    shutdown: Option<Shutdown>,
    outputs: VecDeque<Output>,
}

/// The answer to `Finish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// The coordinator has not said that the run is over.
    NotAsked,
    /// It has, and is to hear that this worker ends.
    Due,
    /// It was told so, on the connection that is there now.
    Said,
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
            attachments: 0,
            memory: Memory { session: config.session, takeovers: 0 },
            config,
            goal: None,
            report_due: false,
            clock_due: None,
            farewell: Farewell::NotAsked,
            past_control_bytes: 0,
            message_len: 0,
            rejections: Rejections::default(),
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

    /// How the last program ended, as long as no newer repetition has begun.
    pub fn ending(&self) -> Option<&Ending> {
        self.task.ending.as_ref()
    }

    /// The connections that were closed for a fault of their own.
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Bytes that wait to be written to `connection`.
    pub fn outgoing(&self, connection: ConnectionId) -> &[u8] {
        self.connections.get(connection).map_or(&[], |c| c.link.outgoing())
    }

    // --- inputs ---

    /// Somebody has connected. `entropy` is fresh for every connection.
    pub fn handle_accepted(&mut self, connection: ConnectionId, entropy: Entropy, now: Timestamp) {
        self.accept(connection, entropy, now);
        self.settle(now);
    }

    /// Bytes have arrived.
    pub fn handle_bytes(&mut self, connection: ConnectionId, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
            let Some(peer) = self.connections.get_mut(connection) else { return };
            if peer.standing == Standing::Closing {
                return;
            }
            let was_open = peer.link.is_open();
            let received = peer.link.receive::<CoordinatorMessage>(&mut bytes);
            self.message_len = peer.link.last_frame_len();
            if peer.link.is_open() && !was_open {
                self.outputs.push_back(Output::Transmit(connection));
            }
            match received {
                Ok(Some(message)) => self.handle_message(connection, message, now),
                Ok(None) => return,
                Err(error) => self.reject(connection, Rejection::Link(error), now),
            }
            // Each message is brought to rest by itself: how the bytes were split makes no difference.
            self.settle(now);
            self.message_len = 0;
        }
    }

    /// The peer has closed its side, or the connection broke.
    pub fn handle_end(&mut self, connection: ConnectionId, now: Timestamp) {
        let fault = self.connections.get(connection).and_then(|peer| peer.link.handle_end().err());
        match fault {
            Some(error) => self.reject(connection, Rejection::Link(error), now),
            None => self.close(connection, now),
        }
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
            self.task.started_at.get_or_insert(now);
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

    /// What the kernel has counted on `connection`, as [`Output::CheckKernel`] asked.
    pub fn handle_kernel_counters(&mut self, connection: ConnectionId, kernel: Traffic) {
        if let Some(peer) = self.connections.get(connection) {
            self.task.window.check(peer.link.traffic() == kernel);
        }
    }

    /// The worker's host wants it to end: a signal, or the end of whoever started it.
    pub fn handle_shutdown(&mut self, now: Timestamp) {
        self.shut_down(Finish::Requested, now);
        self.settle(now);
    }

    /// The time that [`Output::Wait`] named has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((late, is_closing)) = self.connections.expired(now) {
            if is_closing { self.close(late, now) } else { self.reject(late, Rejection::Silent, now) }
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
        let deadlines =
            [self.kill_at, self.orphaned_at, shutdown, self.start_at(), self.connections.next_deadline()];
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
            CoordinatorMessage::ReadClock(exchange) if attached => {
                self.clock_due = Some(ClockReading { exchange, at: now });
            }
            CoordinatorMessage::Finish if attached => {
                self.farewell = Farewell::Due;
                self.shut_down(Finish::RunOver, now);
            }
            CoordinatorMessage::Hello(_)
            | CoordinatorMessage::Goal(_)
            | CoordinatorMessage::ReadClock(_)
            | CoordinatorMessage::Finish => self.reject(connection, Rejection::OutOfOrder, now),
        }
    }

    /// Brings everything that follows from the inputs to rest.
    fn settle(&mut self, now: Timestamp) {
        self.converge(now);
        self.speak();
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
        let target = if self.start_at().is_some_and(|at| at > now) { Target::Ready } else { goal.target };
        while self.apply(WorkerInput::Target(target), now) {}
    }

    /// When the program is to be started, as long as it was not.
    fn start_at(&self) -> Option<Timestamp> {
        let goal = self.goal.filter(|goal| goal.target == Target::Run && self.shutdown.is_none())?;
        let is_due = goal.repetition == self.task.repetition && self.task.workflow.stage() <= Stage::Ready;
        goal.start_at.filter(|_| is_due)
    }

    /// Applies one input to the workflow; the only place where its state changes.
    fn apply(&mut self, input: WorkerInput, now: Timestamp) -> bool {
        let (from, stage) = (self.task.workflow.name(), self.task.workflow.stage());
        let was_quiet = self.task.workflow.is_quiet();
        let Some(step) = self.task.workflow.handle(input) else { return false };
        let to = self.task.workflow.name();
        self.event(Event::State { repetition: self.task.repetition, from, to });
        // What is behind the last report would tell the coordinator nothing.
        if self.task.workflow.stage() > stage {
            self.report_due = true;
        }
        self.note_window(was_quiet);
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

    /// Opens and closes the quiet window, and has the kernel asked at both ends of it.
    fn note_window(&mut self, was_quiet: bool) {
        let bytes = self.control_bytes();
        match (was_quiet, self.task.workflow.is_quiet()) {
            (false, true) => self.task.window.open(bytes),
            (true, false) => self.task.window.close(bytes.saturating_sub(self.message_len as u64)),
            (false, false) | (true, true) => return,
        }
        if let Some(connection) = self.connections.attached() {
            self.outputs.push_back(Output::CheckKernel(connection));
        }
    }

    /// Tells the coordinator what it is to know, as soon as its connection has room.
    fn speak(&mut self) {
        let Some(connection) = self.connections.attached() else { return };
        if let Some(reading) = self.clock_due
            && self.has_room(connection)
        {
            self.clock_due = None;
            self.send(connection, &WorkerMessage::Clock(reading));
        }
        if self.report_due && !self.task.is_abandoned && self.has_room(connection) {
            self.report_due = false;
            let report = self.task.report();
            self.send(connection, &WorkerMessage::Report(report));
        }
        let is_silent = !self.report_due || self.task.is_abandoned;
        let may_leave = self.farewell == Farewell::Due && is_silent && !self.task.program_active;
        if may_leave && self.has_room(connection) {
            self.farewell = Farewell::Said;
            self.send(connection, &WorkerMessage::Farewell);
        }
    }

    /// Small messages may share a segment; after that, only the newest report counts.
    fn has_room(&self, connection: ConnectionId) -> bool {
        let peer = self.connections.get(connection);
        peer.is_some_and(|peer| peer.link.outgoing().len() <= MAX_QUEUED_BEFORE_REPORT)
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
            Some(peer) => peer.link.is_flushed() && !self.report_due && self.farewell != Farewell::Due,
            // Without a connection the coordinator, who said that the run is over, still waits for the answer.
            None => self.farewell != Farewell::Due,
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

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// Room that a welcome and a reading of the clock take at the most.
const MAX_QUEUED_BEFORE_REPORT: usize = 256;
