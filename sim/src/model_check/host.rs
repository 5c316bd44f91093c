//! A worker's host in the model: the worker, its program, and the connections to it.

use super::mutation::Mutation;
use super::wire::Wire;
use russula_proto::{ConnectionId, Exit, Outcome, Text, Timestamp, Worker, WorkerConfig};
use std::hash::{Hash, Hasher};

/// A host, and what was seen of it.
pub(super) struct Host {
    config: WorkerConfig,
    /// `None` as long as there is no worker.
    pub(super) worker: Option<Worker>,
    pub(super) life: Life,
    pub(super) program: Program,
    /// Oldest first; those that are closed at both ends are gone.
    pub(super) wires: Vec<Wire>,
    /// Whether the coordinator waits for a connection.
    pub(super) is_dialed: bool,
    /// Until when the worker waits, once it is at rest.
    pub(super) wait: Option<Timestamp>,
    next_socket: u64,
    restarts: u8,
    /// How often a program was started.
    pub(super) starts: u8,
    /// What the last program came to, as its worker saw it.
    pub(super) produced: Option<Outcome>,
    /// Whether the worker that saw it, or that had started it, is gone.
    pub(super) has_forgotten: bool,
    /// Whether a worker was ready here.
    pub(super) was_ready: bool,
    /// Whether a program ran here.
    pub(super) has_run: bool,
    /// The newest epoch that this worker has heard of.
    pub(super) newest_epoch: u64,
    /// Whether the newest goal that this worker was told is to run.
    pub(super) is_to_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Up,
    /// Its worker has died; another one can be started.
    Down,
    /// Its worker has ended by itself.
    Ended,
    /// It is gone for good.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Program {
    None,
    Starting,
    Running,
    /// It was told to stop.
    Stopping,
}

impl Host {
    pub(super) fn new(config: WorkerConfig) -> Self {
        Self {
            worker: Some(Worker::new(config.clone())),
            config,
            life: Life::Up,
            program: Program::None,
            wires: vec![],
            is_dialed: false,
            wait: None,
            next_socket: 0,
            restarts: 0,
            starts: 0,
            produced: None,
            has_forgotten: false,
            was_ready: false,
            has_run: false,
            newest_epoch: 0,
            is_to_run: false,
        }
    }

    /// The worker dies, and its program with it.
    pub(super) fn kill(&mut self, life: Life, mutation: Mutation) {
        self.life = life;
        self.worker = None;
        if mutation != Mutation::LeavesPrograms {
            self.program = Program::None;
        }
        (self.is_to_run, self.newest_epoch) = (false, 0);
        self.has_forgotten |= self.starts > 0;
        self.wires.iter_mut().for_each(Wire::close_worker);
        self.wires.retain(Wire::is_open);
    }

    /// A worker takes the place of one that died. Whether it is known for another one is up to its session.
    pub(super) fn restart(&mut self, has_new_session: bool) {
        self.life = Life::Up;
        self.restarts += 1;
        self.config.session += u64::from(has_new_session);
        self.worker = Some(Worker::new(self.config.clone()));
    }

    pub(super) fn next_socket(&mut self) -> ConnectionId {
        self.next_socket += 1;
        ConnectionId(self.next_socket)
    }

    /// What decides about the future, and about what the rules will say to it.
    pub(super) fn hash_state(&self, hasher: &mut impl Hasher) {
        if let Some(worker) = &self.worker {
            worker.hash_state(hasher);
        }
        (self.life, self.program, self.is_dialed, self.starts, self.has_forgotten).hash(hasher);
        (self.was_ready, self.has_run, self.is_to_run).hash(hasher);
        self.produced.as_ref().map(|outcome| outcome.exit).hash(hasher);
        self.wires.iter().for_each(|wire| wire.hash_state(self.newest_epoch, hasher));
    }

    /// What the program comes to. Every program of a host has another outcome.
    pub(super) fn outcome(&self, exit: Exit) -> Outcome {
        Outcome {
            exit,
            duration_us: u64::from(self.starts),
            cpu_us: 0,
            max_rss_bytes: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            stderr_tail: Text::default(),
        }
    }
}
