//! What a model consists of.

use crate::toy_suite;
use russula_proto::{
    CoordinatorLimits, Group, Identity, Key, Milestone, Text, Timestamp, Work, WorkerConfig, WorkerLimits,
};
use std::time::Duration;

/// One coordinator and two workers, or two coordinators with a worker each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Two servers, which are stopped once they run.
    Servers,
    /// Two clients, which start together.
    Clients,
    /// A server and a client, in a whole repetition.
    Both,
}

impl Setup {
    /// Every setup.
    pub const ALL: [Self; 3] = [Self::Servers, Self::Clients, Self::Both];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Clients => "clients",
            Self::Both => "both",
        }
    }

    pub(super) fn groups(self) -> &'static [(Group, u16)] {
        match self {
            Self::Servers => &[(Group::Server, 2)],
            Self::Clients => &[(Group::Client, 2)],
            Self::Both => &[(Group::Server, 1), (Group::Client, 1)],
        }
    }

    /// How far a group without the other one is told to go at first.
    pub(super) fn first_milestone(self) -> Milestone {
        match self {
            Self::Servers => Milestone::WorkersRunning,
            Self::Clients | Self::Both => Milestone::Done,
        }
    }
}

pub(super) const START: Timestamp = Timestamp::from_micros(1_000_000_000);

pub(super) const SESSION: u64 = 1;

pub(super) const KEY: Key = Key::for_simulation([7; Key::LEN], toy_suite::resolver);

/// One exchange tells as much about the order of events as eight do, and the time for a worker to come back is
/// bounded by the deadlines of the phases.
pub(super) const LIMITS: CoordinatorLimits = CoordinatorLimits {
    attempt: Duration::from_secs(5),
    backoff_min: Duration::from_millis(10),
    backoff_max: Duration::from_millis(500),
    reconnect: Duration::from_secs(1_000_000),
    ready: Duration::from_secs(30),
    start: Duration::from_secs(30),
    run: Duration::from_secs(60),
    stop: Duration::from_secs(15),
    clock_exchanges: 1,
    start_lead: Duration::from_millis(10),
};

pub(super) fn worker_config(group: Group, index: u16) -> WorkerConfig {
    WorkerConfig {
        identity: Identity { run: "model".parse().expect("a valid name"), group, index },
        key: KEY,
        session: 100,
        work: Work::default(),
        programs: 1,
        program_version: Text::default(),
        limits: WorkerLimits::default(),
    }
}
