//! A host: a worker, and the programs that it runs by a script.

use super::clock::Clock;
use super::network::WireId;
use super::{GroupOptions, HostId, World};
use russula_proto::{
    ConnectionId, Exit, Group, Identity, Outcome, StartFailure, Text, Timestamp, Work, Worker, WorkerConfig,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a program does once it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// From the start until it listens, or fails to.
    pub start: Duration,
    /// What becomes of the start.
    pub starts: Starts,
    /// From the start to the end; `None`: it runs until it is stopped.
    pub run: Option<Duration>,
    /// How it ends when it ends by itself.
    pub exit: Exit,
    /// What it writes to stderr.
    pub stderr: String,
    /// It goes on when it is told to end, until it is killed.
    pub ignores_term: bool,
}

/// What becomes of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starts {
    /// It comes to run.
    Listens,
    /// It neither runs nor fails.
    NeverListens,
    /// It fails.
    Fails(StartFailure),
}

impl Script {
    /// Runs until it is stopped.
    pub fn for_ever() -> Self {
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
    pub fn running(run: Duration) -> Self {
        Self { run: Some(run), ..Self::for_ever() }
    }
}

/// A program that was started.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) script: Script,
    pub(super) started_at: Timestamp,
    pub(super) runs: bool,
}

impl Program {
    /// The outcome of this program if it ends now.
    pub(super) fn outcome(&self, exit: Exit, now: Timestamp) -> Outcome {
        let duration = now.since(self.started_at);
        let duration_us = u64::try_from(duration.as_micros()).expect("the times of a run are short");
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

/// What the network does not let through to and from a host at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Nothing reaches the worker.
    pub to_worker: bool,
    /// Nothing reaches the coordinator.
    pub to_coordinator: bool,
    /// The sockets take bytes all the same, up to the end of their buffers, which is far away.
    pub sockets_take: bool,
}

impl Hold {
    /// Nothing moves at all.
    pub const ALL: Self = Self { to_worker: true, to_coordinator: true, sockets_take: false };
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Which.
    pub id: HostId,
    /// What its worker is told when it is made.
    pub config: WorkerConfig,
    /// `None` while no worker process is there.
    pub worker: Option<Worker>,
    /// What each of the worker's programs does.
    pub scripts: Vec<Script>,
    /// The program that runs, or is being started.
    pub program: Option<Program>,
    /// Dials are refused although the worker is there.
    pub refuses: bool,
    /// What does not get through.
    pub hold: Hold,
    /// What it shows as the time.
    pub clock: Clock,
    /// A coordinator has come to this worker process.
    pub has_met_coordinator: bool,
    /// Counts the programs, so that what was meant for an older one is known as such.
    pub(super) generation: u64,
    pub(super) sockets: BTreeMap<ConnectionId, WireId>,
    pub(super) next_socket: u64,
    /// Connections with bytes that the worker has announced, oldest first.
    pub(super) announced: Vec<WireId>,
    /// What its coordinator said on the newest connection, where worlds keep it.
    pub(super) recorded: Vec<u8>,
    /// Its coordinator has given it up.
    pub(super) is_dismissed: bool,
    /// When the worker wants to be called, in the time of the world.
    pub(super) wait: Option<Timestamp>,
}

impl World {
    pub(super) fn new_host(&self, group: Group, index: u16, options: &GroupOptions) -> Host {
        let config = WorkerConfig {
            identity: Identity { run: options.run.parse().expect("a world's run id is valid"), group, index },
            key: self.key(),
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
        Host {
            id: HostId { group, index: usize::from(index) },
            worker: Some(Worker::new(config.clone())),
            config,
            scripts: vec![script; usize::from(options.programs)],
            program: None,
            refuses: false,
            hold: Hold::default(),
            clock: Clock::default(),
            has_met_coordinator: false,
            generation: 0,
            sockets: BTreeMap::new(),
            next_socket: 0,
            announced: vec![],
            recorded: vec![],
            is_dismissed: false,
            wait: None,
        }
    }
}

impl Host {
    /// The worker process ends, and its program with it.
    pub(super) fn lose_worker(&mut self) {
        self.worker = None;
        self.wait = None;
        self.program = None;
        self.generation += 1;
        self.sockets.clear();
        self.announced.clear();
    }

    /// A new worker process, which knows nothing of the old one.
    pub(super) fn restart_worker(&mut self) {
        self.lose_worker();
        self.config.session += 1;
        self.has_met_coordinator = false;
        self.worker = Some(Worker::new(self.config.clone()));
    }
}
