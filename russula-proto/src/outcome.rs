//! What became of a driver process: data that travels from the worker to the coordinator.

use crate::text::Text;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Longest tail of a program's stderr that travels, in bytes.
pub const STDERR_TAIL_MAX: usize = 4096;
/// Longest explanation of a failure that travels, in bytes.
pub const DETAIL_MAX: usize = 1024;

/// How a process ended, as `wait` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exit {
    /// It exited with this status (0 to 255; 0 is success).
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// Whether the process exited with status 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// The outcome of a driver process that was started, with the kernel's totals for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Exit status or signal.
    pub exit: Exit,
    /// From the start of the process to its end, in microseconds of a monotonic clock.
    pub duration_us: u64,
    /// User and system time of the process and of its reaped children, in microseconds (`ru_utime` + `ru_stime`).
    pub cpu_us: u64,
    /// Peak resident memory in bytes (`ru_maxrss`).
    pub max_rss_bytes: u64,
    /// Times the process gave up the processor by itself (`ru_nvcsw`).
    pub voluntary_switches: u64,
    /// Times the processor was taken from the process (`ru_nivcsw`).
    pub involuntary_switches: u64,
    /// The last bytes that the process wrote to stderr.
    pub stderr_tail: Text<STDERR_TAIL_MAX>,
}

/// Why a program could not be brought to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartFailure {
    /// The port that the program is to listen on is taken already.
    #[error("port {port} is in use before the program is started: {detail}")]
    PortInUse {
        /// The port.
        port: u16,
        /// Who holds it, as far as that is known.
        detail: Text<DETAIL_MAX>,
    },
    /// The program could not be executed.
    #[error("the program cannot be started: {0}")]
    Spawn(Text<DETAIL_MAX>),
    /// The program ended before it listened on its port.
    #[error("the program ended ({}) before it listened on port {port}", outcome.exit)]
    EndedBeforeListening {
        /// The port it should have bound.
        port: u16,
        /// How it ended.
        outcome: Outcome,
    },
    /// The worker has no program with the index that the coordinator named.
    #[error("there is no program number {index}; this worker has {count}")]
    UnknownProgram {
        /// Index asked for, from 0.
        index: u16,
        /// Programs that the worker has.
        count: u16,
    },
}

/// How a worker's part in a repetition ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The repetition was stopped before the program was started.
    NotStarted,
    /// The program could not be brought to run.
    StartFailed(StartFailure),
    /// The program ran and ended by itself.
    Exited(Outcome),
    /// The program ran and was told to stop.
    Stopped(Outcome),
}

impl Ending {
    /// The outcome of the process, if there was one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Exited(outcome) | Self::Stopped(outcome) => Some(outcome),
            Self::StartFailed(StartFailure::EndedBeforeListening { outcome, .. }) => Some(outcome),
            Self::StartFailed(
                StartFailure::PortInUse { .. } | StartFailure::Spawn(_) | StartFailure::UnknownProgram { .. },
            )
            | Self::NotStarted => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("was not started"),
            Self::StartFailed(failure) => write!(f, "did not start: {failure}"),
            Self::Exited(outcome) => write!(f, "ended by itself with {}", outcome.exit),
            Self::Stopped(outcome) => write!(f, "was stopped, {}", outcome.exit),
        }
    }
}

impl StartFailure {
    /// A spawn failure with its cause.
    pub fn spawn(cause: impl fmt::Display) -> Self {
        let cause: String = cause.to_string();
        Self::Spawn(Text::tail_of(&cause))
    }
}
