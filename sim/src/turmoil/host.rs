//! The host of a worker: what outlives its processes.

use super::mailbox::Mailbox;
use super::options::{Network, Options};
use super::record::Record;
use super::socket::PORT;
use super::worker::Process;
use crate::Random;
use crate::model::{HostId, Observation};
use crate::world::{Clock, Kind, Script, Split};
use ::turmoil::net::TcpListener;
use russula_proto::{Entropy, Identity, Key, RunId, Text, Timestamp, Work, WorkerConfig};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

/// What the outside does to a host while it is up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// The worker process is killed with -9.
    Kill,
    /// A new worker process is begun; one that is still there is killed.
    Begin,
    /// The host tells the worker to end.
    ShutDown,
    /// Somebody kills the program.
    KillProgram,
    /// The coordinator's connections that are older than this break.
    Break(Timestamp),
}

/// A host, shared by its software and by the outside.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) id: HostId,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) record: Rc<Record>,
    pub(super) mailbox: Mailbox<Command>,
    /// What its program does next time.
    pub(super) script: RefCell<Script>,
    /// A worker process is there.
    pub(super) is_up: Cell<bool>,
    /// A coordinator has come to this worker process.
    pub(super) has_met_coordinator: Cell<bool>,
    pub(super) random: RefCell<Random>,
    config: RefCell<WorkerConfig>,
}

/// Name of a host in turmoil.
pub(super) fn name(id: HostId) -> String {
    format!("{}-{}", id.group, id.index)
}

impl Host {
    pub(super) fn new(id: HostId, options: &Options, run: RunId, key: Key, record: Rc<Record>) -> Self {
        let of_host = options.base.hosts.iter().find(|host| host.id == id).expect("every host has options");
        let index = u16::try_from(id.index).expect("groups are small");
        let config = WorkerConfig {
            identity: Identity { run, group: id.group, index },
            key,
            session: 0,
            work: Work::default(),
            programs: 1,
            program_version: Text::tail_of("1.0"),
            limits: options.base.worker,
        };
        let seed = options.network.seed ^ ((id.group as u64 + 1) << 32 | id.index as u64);
        Self {
            id,
            clock: of_host.clock,
            network: options.network,
            record,
            mailbox: Mailbox::default(),
            script: RefCell::new(of_host.scripts[0].clone()),
            is_up: Cell::new(false),
            has_met_coordinator: Cell::new(false),
            random: RefCell::new(Random::new(seed)),
            config: RefCell::new(config),
        }
    }

    /// What runs on the host from its boot on: worker processes, one after another.
    ///
    /// # Errors
    /// If turmoil does not let it listen.
    pub(super) async fn boot(self: Rc<Self>) -> ::turmoil::Result {
        loop {
            let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
            let config = self.begin_process();
            let mut process = Process::new(Rc::clone(&self), config, listener);
            let is_restarted = process.run().await;
            drop(process);
            while !is_restarted && !matches!(self.mailbox.next().await, Command::Begin) {}
        }
    }

    /// A worker process is there, which knows nothing of the one before.
    fn begin_process(&self) -> WorkerConfig {
        let mut config = self.config.borrow_mut();
        config.session += 1;
        self.is_up.set(true);
        self.has_met_coordinator.set(false);
        if config.session > 1 {
            self.record.note(Observation::WorkerUp(self.id));
            self.record.say(self.id, Kind::Fault, || "a new worker process".into());
        }
        config.clone()
    }

    /// The worker process and its program were killed at `at`, if there was one.
    pub(super) fn lose_process(&self, at: Timestamp) {
        if self.is_up.replace(false) {
            self.record.note_at(at, Observation::WorkerKilled(self.id));
        }
    }

    pub(super) fn entropy(&self) -> Entropy {
        self.random.borrow_mut().bytes()
    }
}

impl Network {
    /// How many of `waiting` bytes a socket takes at once.
    pub(super) fn piece_len(&self, waiting: usize, random: &RefCell<Random>) -> usize {
        match self.split {
            Split::Whole => waiting,
            Split::Bytes => waiting.min(1),
            Split::UpTo(most) => waiting.min(1 + random.borrow_mut().index(most)),
        }
    }
}
