//! What a coordinator is told when it is made.

use crate::identity::{RunId, Work};
use crate::key::Key;
use crate::workflow::Group;
use core::time::Duration;

/// What a coordinator is told when it is made.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// The run that the workers belong to.
    pub run: RunId,
    /// The group, which decides the workflow.
    pub group: Group,
    /// How many workers the group has.
    pub workers: u16,
    /// Its deadlines.
    pub limits: CoordinatorLimits,
    /// The key of the run.
    pub key: Key,
    /// A random number, drawn anew for every coordinator: workers tell it from an earlier one by it, and the jitter
    /// of the back-off comes from it. A process that takes over from one that died has the session of that one.
    pub session: u64,
    /// How many processes have driven this session before.
    pub incarnation: u32,
    /// What the run is about; workers with other work refuse. `None` if the caller does not know.
    pub work: Option<Work>,
}

/// How long a coordinator waits.
#[derive(Clone, Copy, Debug)]
pub struct CoordinatorLimits {
    /// For one attempt to connect and be welcomed.
    pub attempt: Duration,
    /// Before the second attempt; doubled for each one after it.
    pub backoff_min: Duration,
    /// Most time between two attempts.
    pub backoff_max: Duration,
    /// For a worker whose connection broke to be reached again.
    pub reconnect: Duration,
    /// For all workers to be ready.
    pub ready: Duration,
    /// For all programs to run.
    pub start: Duration,
    /// For all programs to end by themselves.
    pub run: Duration,
    /// For all programs to end after they were told to stop, on top of the longest time that a worker gives them
    /// before it kills them.
    pub stop: Duration,
    /// How often each worker is asked for its clock before programs start together; the best answer counts.
    pub clock_exchanges: u8,
    /// Least time from the order to start together until the start; more where workers are far or many.
    pub start_lead: Duration,
}

impl Default for CoordinatorLimits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(5),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(2),
            reconnect: Duration::from_secs(30),
            ready: Duration::from_secs(30),
            start: Duration::from_secs(30),
            run: Duration::from_secs(3600),
            stop: Duration::from_secs(15),
            clock_exchanges: 8,
            start_lead: Duration::from_millis(10),
        }
    }
}

/// The part of a repetition that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// All workers are to become ready.
    Ready,
    /// All programs are to run.
    Start,
    /// All programs are to end by themselves.
    Run,
    /// All programs are to be stopped.
    Stop,
}
