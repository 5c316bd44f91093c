//! The host of the coordinators: what outlives its processes, and what the user wants of them.

use super::journal::Journal;
use super::mailbox::Mailbox;
use super::options::Options;
use super::orchestrator::Process;
use super::record::Record;
use crate::Random;
use crate::model::HostId;
use crate::run::Known;
use russula_proto::{CoordinatorConfig, Failure, Group, Key, QuietWindow, RunId, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

/// The number that tells this session from others.
const SESSION: u64 = 1;

/// The groups of a run.
pub(super) const GROUPS: [Group; 2] = [Group::Server, Group::Client];

/// What the outside does to the process of the coordinators while it is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// The user wants something else than before.
    Look,
    /// The user interrupts the repetition.
    GiveUp,
    /// The user ends the run, whether the workers are found or not.
    Finish,
    /// The host says out of band that it will not come back.
    HostLost(HostId),
    /// The connection to this host breaks if it is older than this.
    Break(HostId, Timestamp),
}

/// What is known of a repetition at its end.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) gave_up: bool,
    pub(super) failure: Option<Failure>,
    pub(super) quiet: Option<QuietWindow>,
    pub(super) start_at: Option<Timestamp>,
    pub(super) known: Vec<Known>,
}

/// The desk at which the coordinators sit, shared by their process and by the outside.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) options: Options,
    pub(super) record: Rc<Record>,
    pub(super) mailbox: Mailbox<Command>,
    pub(super) journal: RefCell<Journal>,
    /// The repetition that the user wants.
    pub(super) wanted: Cell<u32>,
    /// The user wants the run to end.
    pub(super) wants_end: Cell<bool>,
    /// Groups that the process that runs now has brought to the end of the run.
    pub(super) finished: RefCell<Vec<Group>>,
    /// There is a process.
    pub(super) is_up: Cell<bool>,
    /// About the newest repetition, once it is over.
    pub(super) report: RefCell<Option<Report>>,
    /// What was said on the newest connection to each host.
    pub(super) recorded: RefCell<BTreeMap<HostId, Vec<u8>>>,
    pub(super) random: RefCell<Random>,
    pub(super) addresses: BTreeMap<HostId, IpAddr>,
    run: RunId,
    key: Key,
}

impl Desk {
    pub(super) fn new(
        options: Options,
        run: RunId,
        key: Key,
        record: Rc<Record>,
        addresses: BTreeMap<HostId, IpAddr>,
    ) -> Self {
        Self {
            random: RefCell::new(Random::new(options.network.seed)),
            options,
            record,
            mailbox: Mailbox::default(),
            journal: RefCell::default(),
            wanted: Cell::new(0),
            wants_end: Cell::new(false),
            finished: RefCell::default(),
            is_up: Cell::new(true),
            report: RefCell::default(),
            recorded: RefCell::default(),
            addresses,
            run,
            key,
        }
    }

    /// What runs on the host from its boot on: a process that takes over what was begun before it.
    ///
    /// # Errors
    /// Never.
    pub(super) async fn boot(self: Rc<Self>) -> ::turmoil::Result {
        self.finished.borrow_mut().clear();
        Process::begin(Rc::clone(&self)).run().await;
        self.is_up.set(false);
        std::future::pending().await
    }

    /// Whether the process has come to the end of the run.
    pub(super) fn has_finished(&self) -> bool {
        self.finished.borrow().len() == GROUPS.len()
    }

    /// What a coordinator of the process that runs now is told.
    pub(super) fn config(&self, group: Group) -> CoordinatorConfig {
        let base = &self.options.base;
        let workers = match group {
            Group::Server => base.servers,
            Group::Client => base.clients,
            Group::Probe => 0,
        };
        CoordinatorConfig {
            run: self.run.clone(),
            group,
            workers,
            limits: base.coordinator,
            key: self.key.clone(),
            session: SESSION,
            incarnation: self.journal.borrow().processes - 1,
            work: None,
        }
    }

    /// Keeps what was said, so that somebody can say it again.
    pub(super) fn keep(&self, host: HostId, said: &[u8], is_first: bool) {
        const KEPT_MAX_LEN: usize = 2000;
        let mut recorded = self.recorded.borrow_mut();
        let kept = recorded.entry(host).or_default();
        if is_first {
            kept.clear();
        }
        if kept.len() < KEPT_MAX_LEN {
            kept.extend_from_slice(said);
        }
    }
}
