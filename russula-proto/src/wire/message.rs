//! The messages: closed enums, level-triggered.
//!
//! A goal says where the worker should be, a report where it is. Both may be repeated at any point
//! without a change in meaning. No path, argument or program crosses the wire: the worker's own command
//! line decides what may be run, and a goal names one of those by its index.

use crate::identity::{Digest, Identity, RunId, Work};
use crate::outcome::Ending;
use crate::text::Text;
use crate::workflow::Group;
use serde::{Deserialize, Serialize};

/// Longest program version in a [`Welcome`], in bytes.
pub const PROGRAM_VERSION_MAX: usize = 64;

/// What a coordinator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordinatorMessage {
    /// Opens the exchange.
    Hello(Hello),
    /// Where the worker should be.
    Goal(Goal),
    /// The run is over; the worker may end.
    Finish,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerMessage {
    /// Answers a `Hello` that was meant for this worker.
    Welcome(Welcome),
    /// Answers a `Hello` that was not; the connection ends after it.
    Refused(Refusal),
    /// Where the worker is.
    Report(Report),
}

/// How a coordinator introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The worker that this connection is meant for.
    pub worker: Identity,
    /// Drawn for every coordinator. Another number means another coordinator, whose repetitions are others too:
    /// what was begun for the one before is given up.
    pub session: u64,
    /// What the run is about, if the coordinator knows; the worker's work has to be the same.
    pub work: Option<Work>,
}

/// Where a worker should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Goal {
    /// Which repetition of the run, from 1, strictly growing.
    pub repetition: u32,
    /// Which of the worker's programs, from 0.
    pub program: u16,
    /// How far to go.
    pub target: Target,
}

/// How far a worker should go in a repetition. The order is that of a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// Be ready to start the program.
    Ready,
    /// Start the program.
    Run,
    /// Stop the program.
    Stop,
    /// Forget the repetition; its ending has arrived.
    Release,
}

impl Target {
    /// Every target, in order.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Run, Self::Stop, Self::Release];
}

/// The worker's answer to a `Hello` that was meant for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Drawn when the worker starts. Another number means another process: what the old one knew is lost.
    pub session: u64,
    /// How many programs the worker can run.
    pub programs: u16,
    /// Version of the worker's software.
    pub program_version: Text<PROGRAM_VERSION_MAX>,
    /// How long a program that was told to stop may take before it is killed, in milliseconds. Whoever waits for
    /// that waits longer.
    pub kill_grace_ms: u32,
}

/// Why a worker refuses a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The connection was meant for another run.
    #[error("this worker belongs to run {expected}, the coordinator asked for run {got}")]
    Run {
        /// The worker's run.
        expected: RunId,
        /// The coordinator's.
        got: RunId,
    },
    /// The connection was meant for a worker of another group.
    #[error("this worker is a {expected}, the coordinator asked for a {got}")]
    Group {
        /// The worker's group.
        expected: Group,
        /// The coordinator's.
        got: Group,
    },
    /// The connection was meant for another worker of the group.
    #[error("this is worker {expected} of its group, the coordinator asked for worker {got}")]
    Index {
        /// The worker's index.
        expected: u16,
        /// The coordinator's.
        got: u16,
    },
    /// The two sides have different scenario files.
    #[error("the worker's scenario file is another one (digest {expected}) than the coordinator's ({got})")]
    Scenario {
        /// The worker's.
        expected: Digest,
        /// The coordinator's.
        got: Digest,
    },
    /// The two sides have different drivers.
    #[error(
        "the worker was started with other drivers, or in another order, than the coordinator (digests {expected} and {got})"
    )]
    Drivers {
        /// The worker's.
        expected: Digest,
        /// The coordinator's.
        got: Digest,
    },
}

impl Refusal {
    /// Compares what a coordinator asks for with what the worker is.
    pub fn check(own: &Identity, work: Work, hello: &Hello) -> Result<(), Self> {
        let asked = &hello.worker;
        if own.run != asked.run {
            return Err(Self::Run { expected: own.run.clone(), got: asked.run.clone() });
        }
        if own.group != asked.group {
            return Err(Self::Group { expected: own.group, got: asked.group });
        }
        if own.index != asked.index {
            return Err(Self::Index { expected: own.index, got: asked.index });
        }
        let asked = hello.work.unwrap_or(work);
        if work.scenario != asked.scenario {
            return Err(Self::Scenario { expected: work.scenario, got: asked.scenario });
        }
        if work.drivers != asked.drivers {
            return Err(Self::Drivers { expected: work.drivers, got: asked.drivers });
        }
        Ok(())
    }
}

/// Where a worker is in a repetition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The repetition; 0 before the first goal.
    pub repetition: u32,
    /// The place in it.
    pub position: Position,
}

/// A place in a repetition, with what is known there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Waits for a goal.
    Idle,
    /// Ready to start the program.
    Ready,
    /// The program is being started.
    Starting,
    /// The program runs; a server's port is bound.
    Running,
    /// The program ended, or was never started.
    Ended(Ending),
    /// The coordinator has the ending; nothing is left to be said.
    Released,
}

impl Position {
    /// The place without what is known there.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Idle => Stage::Idle,
            Self::Ready => Stage::Ready,
            Self::Starting => Stage::Starting,
            Self::Running => Stage::Running,
            Self::Ended(_) => Stage::Ended,
            Self::Released => Stage::Released,
        }
    }
}

/// A [`Position`] without its data, in the order of a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "see `Position`")]
pub enum Stage {
    Idle,
    Ready,
    Starting,
    Running,
    Ended,
    Released,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Ready, Self::Starting, Self::Running, Self::Ended, Self::Released];
}
