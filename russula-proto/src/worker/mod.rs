//! The worker: listens for its coordinator, runs one program at a time, and says what became of it.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Worker::poll_output`] until it says [`Output::Wait`].

mod config;
mod connections;
mod converge;
mod fingerprint;
mod greeting;
mod output;
mod rejection;
mod shutdown;
mod speaking;
mod task;

use crate::noise::Entropy;
use crate::outcome::{Ending, Outcome, StartFailure};
use crate::quiet::Traffic;
use crate::time::Timestamp;
use crate::wire::{ClockReading, CoordinatorMessage, Goal, Memory, Stage, Target};
use crate::workflow::WorkerInput;
use alloc::collections::VecDeque;
use connections::{Connections, Standing};
use shutdown::{Farewell, Shutdown};
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
    /// Whether the goal was heard on the connection that is there now. Nothing is started for one that was not: the
    /// coordinator may have given the repetition up since.
    is_goal_current: bool,
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
            is_goal_current: false,
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

    /// The program that is to be started next and its repetition, while the worker is ready for it.
    pub fn upcoming(&self) -> Option<(u16, u32)> {
        let goal = self.goal.filter(|goal| goal.repetition == self.task.repetition)?;
        let is_near = self.task.workflow.stage() == Stage::Ready && goal.target <= Target::Run;
        (is_near && goal.program < self.config.programs).then_some((goal.program, goal.repetition))
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
            let message_len = peer.link.last_frame_len();
            if peer.link.is_open() && !was_open {
                self.outputs.push_back(Output::Transmit(connection));
            }
            match received {
                Ok(Some(message)) => {
                    self.message_len = message_len;
                    self.handle_message(connection, message, now);
                }
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
                    self.is_goal_current = true;
                }
            }
            CoordinatorMessage::ReadClock(exchange) if attached => {
                self.clock_due = Some(ClockReading { exchange, at: now });
            }
            CoordinatorMessage::Finish if attached => {
                if self.farewell == Farewell::NotAsked {
                    self.farewell = Farewell::Due;
                }
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

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
