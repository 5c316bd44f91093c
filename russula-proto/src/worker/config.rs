//! What a worker is told when it is made.

use crate::identity::{Identity, Work};
use crate::key::Key;
use crate::text::Text;
use crate::wire::PROGRAM_VERSION_MAX;
use core::time::Duration;

/// What a worker is told when it is made.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Who the worker is.
    pub identity: Identity,
    /// The key of its run.
    pub key: Key,
    /// A random number, drawn anew for every process.
    pub session: u64,
    /// What it was started to work on.
    pub work: Work,
    /// How many programs the driver can start.
    pub programs: u16,
    /// Version of the worker's software.
    pub program_version: Text<PROGRAM_VERSION_MAX>,
    /// Its deadlines.
    pub limits: WorkerLimits,
}

/// How long a worker waits.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// For a new connection to show that it is the coordinator.
    pub greeting: Duration,
    /// For a program that was told to stop, before it is killed.
    pub kill_grace: Duration,
    /// For a coordinator that is gone to come back, before the program is stopped and the worker ends.
    pub orphan: Duration,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(5),
            kill_grace: Duration::from_secs(2),
            orphan: Duration::from_secs(600),
        }
    }
}
