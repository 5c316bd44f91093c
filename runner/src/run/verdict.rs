//! How a repetition, and the run as a whole, ended: for the summary and for the exit code.

use crate::exit;
use crate::summary::Status;
use russula_proto::{Ending, Failure, StartFailure};
use serde::{Deserialize, Serialize};

/// How something ended, for the exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) status: Status,
    pub(super) exit_code: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Verdict {
    pub(super) const OK: Self = Self { status: Status::Ok, exit_code: 0, error: None };

    /// Not the driver's fault.
    pub(super) fn infrastructure(error: String) -> Self {
        Self { status: Status::Failed, exit_code: exit::INFRASTRUCTURE, error: Some(error) }
    }

    /// Hosts that end by themselves are about to.
    pub(super) fn out_of_time() -> Self {
        let error = "the hosts' time limit (--ttl) leaves no time for more repetitions";
        Self { status: Status::Failed, exit_code: exit::DEADLINE, error: Some(error.to_owned()) }
    }

    /// The user's wish.
    pub(super) fn interrupted() -> Self {
        Self {
            status: Status::Interrupted,
            exit_code: exit::INTERRUPTED,
            error: Some("interrupted by the user".to_owned()),
        }
    }

    /// The first thing that went wrong decides, but an interruption outweighs it.
    pub(super) fn worse(&mut self, other: Self) {
        if self.status == Status::Ok || other.status == Status::Interrupted {
            *self = other;
        }
    }

    /// How a repetition with this failure ended; the words for it are the caller's.
    pub(super) fn of(failure: &Failure) -> Self {
        let exit_code = match failure {
            Failure::Worker { ending: Ending::StartFailed(StartFailure::PortInUse { .. }), .. }
            | Failure::Lost { .. }
            | Failure::Restarted { .. }
            | Failure::Refused { .. }
            | Failure::Protocol { .. }
            | Failure::OutOfOrder { .. } => exit::INFRASTRUCTURE,
            Failure::Worker { .. } => exit::DRIVER,
            Failure::Deadline { .. } => exit::DEADLINE,
        };
        Self { status: Status::Failed, exit_code, error: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(exit_code: u8) -> Verdict {
        Verdict { status: Status::Failed, exit_code, error: None }
    }

    #[test]
    fn the_first_failure_decides_unless_the_user_interrupts() {
        let mut verdict = Verdict::OK;
        verdict.worse(failed(4));
        verdict.worse(failed(5));
        verdict.worse(Verdict::OK);
        assert_eq!((verdict.status, verdict.exit_code), (Status::Failed, 4));
        verdict.worse(Verdict { status: Status::Interrupted, exit_code: 130, error: None });
        verdict.worse(Verdict::infrastructure("lost".into()));
        assert_eq!((verdict.status, verdict.exit_code), (Status::Interrupted, 130));
    }
}
