//! A host: a worker, and the programs that it runs by a script.

use super::{GroupOptions, HostId, WireId};
use russula_proto::{
    ConnectionId, Exit, Group, Identity, Outcome, StartFailure, Text, Timestamp, Work, Worker, WorkerConfig,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a program does once it is started.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// From the start until it listens, or fails to.
    pub(crate) start: Duration,
    pub(crate) starts: Starts,
    /// From the start to the end; `None`: it runs until it is stopped.
    pub(crate) run: Option<Duration>,
    /// How it ends when it ends by itself.
    pub(crate) exit: Exit,
    pub(crate) stderr: String,
    pub(crate) ignores_term: bool,
}

/// What becomes of a start.
#[derive(Clone, Debug)]
pub(crate) enum Starts {
    Listens,
    NeverListens,
    Fails(StartFailure),
}

impl Script {
    /// Runs until it is stopped.
    pub(crate) fn for_ever() -> Self {
        Self {
            start: Duration::from_millis(5),
            starts: Starts::Listens,
            run: None,
            exit: Exit::Code(0),
            stderr: String::new(),
            ignores_term: false,
        }
    }

    /// Ends by itself with status 0.
    pub(crate) fn running(run: Duration) -> Self {
        Self { run: Some(run), ..Self::for_ever() }
    }
}

/// A program that was started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) script: Script,
    pub(crate) started_at: Timestamp,
    pub(crate) runs: bool,
}

impl Program {
    /// The outcome of this program if it ends now.
    pub(crate) fn outcome(&self, exit: Exit, now: Timestamp) -> Outcome {
        let duration = now.since(self.started_at);
        let duration_us = u64::try_from(duration.as_micros()).expect("a test's times are short");
        Outcome {
            exit,
            duration_us,
            cpu_us: duration_us / 2,
            max_rss_bytes: 4 << 20,
            voluntary_switches: 3,
            involuntary_switches: 1,
            stderr_tail: Text::tail_of(&self.script.stderr),
        }
    }
}

/// One host.
pub(crate) struct Host {
    pub(crate) id: HostId,
    pub(crate) config: WorkerConfig,
    /// `None` while no worker process is there.
    pub(crate) worker: Option<Worker>,
    /// What each of the worker's programs does.
    pub(crate) scripts: Vec<Script>,
    pub(crate) program: Option<Program>,
    /// Counts the programs, so that what was meant for an older one is known as such.
    pub(crate) generation: u64,
    pub(crate) sockets: BTreeMap<ConnectionId, WireId>,
    pub(crate) next_socket: u64,
    /// Dials are refused although the worker is there.
    pub(crate) refuses: bool,
    /// Nothing is delivered and no socket takes anything.
    pub(crate) is_held: bool,
    /// Each side sees the other speak the next version of the protocol.
    pub(crate) other_version: bool,
    pub(crate) wait: Option<Timestamp>,
    /// Whether the worker may have something to say.
    pub(crate) is_touched: bool,
}

impl Host {
    pub(crate) fn new(group: Group, index: u16, options: &GroupOptions) -> Self {
        let config = WorkerConfig {
            identity: Identity { run: options.run.parse().expect("a test's run id is valid"), group, index },
            session: 1,
            work: Work::default(),
            programs: options.programs,
            program_version: Text::tail_of(&options.version),
            limits: options.worker,
        };
        let script = match group {
            Group::Server | Group::Probe => Script::for_ever(),
            Group::Client => Script::running(Duration::from_secs(1)),
        };
        Self {
            id: HostId { group, index: usize::from(index) },
            worker: Some(Worker::new(config.clone())),
            config,
            scripts: vec![script; usize::from(options.programs)],
            program: None,
            generation: 0,
            sockets: BTreeMap::new(),
            next_socket: 0,
            refuses: false,
            is_held: false,
            other_version: false,
            wait: None,
            is_touched: true,
        }
    }

    /// The worker process ends, and its program with it.
    pub(crate) fn lose_worker(&mut self) {
        self.worker = None;
        self.wait = None;
        self.program = None;
        self.generation += 1;
        self.sockets.clear();
    }

    /// A new worker process, which knows nothing of the old one.
    pub(crate) fn restart_worker(&mut self) {
        self.lose_worker();
        self.config.session += 1;
        self.worker = Some(Worker::new(self.config.clone()));
    }
}
