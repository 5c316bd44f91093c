//! The messages: closed enums, level-triggered.
//!
//! A goal says where the worker should be, a report where it is. Both may be repeated at any point
//! without a change in meaning. No path, argument or program crosses the wire: the worker's own command
//! line decides what may be run, and a goal names one of those by its index.

use crate::identity::{Digest, Work};
use crate::outcome::Ending;
use crate::quiet::Quiet;
use crate::text::Text;
use crate::time::Timestamp;
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
    /// Asks what the worker's clock says; the answer carries the same number.
    ReadClock(u32),
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
    /// What the worker's clock said when it was asked.
    Clock(ClockReading),
    /// Answers `Finish`: nothing runs any more, and the worker ends.
    Farewell,
}

/// How a coordinator introduces itself.
///
/// A connection may stand still for any time and then deliver what was said on it long ago. So a worker
/// takes a `Hello` only if it is the newest: of the session that it knows, by the epoch; of another one, by
/// the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Drawn for every run of a coordinator. Another number means another coordinator, whose repetitions are
    /// others too: what was begun for the one before is given up.
    pub session: u64,
    /// Grows with every connection of the session, also when another process takes it over.
    pub epoch: u64,
    /// What the worker said in the handshake: how many connections had been the coordinator's before.
    pub ticket: u64,
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
    /// For [`Target::Run`]: when to start the program, on the worker's clock; at once if it has passed.
    pub start_at: Option<Timestamp>,
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
    /// By which a worker that has forgotten what it did is known.
    pub memory: Memory,
    /// How many programs the worker can run.
    pub programs: u16,
    /// Version of the worker's software.
    pub program_version: Text<PROGRAM_VERSION_MAX>,
    /// How long a program that was told to stop may take before it is killed, in milliseconds. Whoever waits for
    /// that waits longer.
    pub kill_grace_ms: u32,
}

/// What a worker remembers; another one means that what was begun before is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// Drawn when the worker starts.
    pub session: u64,
    /// How often another coordinator took the worker over.
    pub takeovers: u32,
}

/// Why a worker refuses a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another connection has been the coordinator's since this one was made.
    #[error("another connection of a coordinator came first")]
    Stale,
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
    /// Compares what a coordinator works on with what the worker does.
    pub fn check(work: Work, hello: &Hello) -> Result<(), Self> {
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

/// An answer to [`CoordinatorMessage::ReadClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The number of the question.
    pub exchange: u32,
    /// What the worker's clock said.
    pub at: Timestamp,
}

/// Where a worker is in a repetition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The repetition; 0 before the first goal.
    pub repetition: u32,
    /// When the program ran, on the worker's clock, once it did.
    pub started_at: Option<Timestamp>,
    /// How quiet it was while the program ran, once that is over.
    pub quiet: Option<Quiet>,
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
    /// The coordinator has the ending, and the worker knows it. The ending is kept all the same until the next
    /// repetition: a coordinator that takes over from one that died has to hear it again.
    Released(Ending),
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
            Self::Released(_) => Stage::Released,
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
