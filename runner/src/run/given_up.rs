//! Whether a coordinator has given a worker up: it is not dialed again, so no later repetition can run.

use russula_proto::coordinator::Phase;
use russula_proto::{Coordinator, Failure, Stage};

/// Whether a worker of the group is gone for good, once the repetition is over.
pub(super) fn is_a_worker_given_up(coordinator: &Coordinator) -> bool {
    let by_failure = match coordinator.failure() {
        Some(
            Failure::Lost { .. }
            | Failure::Refused { .. }
            | Failure::Protocol { .. }
            | Failure::OutOfOrder { .. },
        ) => true,
        // Only those who have never answered are not waited for again; the others may be ready next time.
        Some(Failure::Deadline { phase: Phase::Ready, .. }) => {
            coordinator.peers().any(|peer| peer.welcome.is_none())
        }
        Some(
            Failure::Deadline { phase: Phase::Start | Phase::Run | Phase::Stop, .. }
            | Failure::Worker { .. }
            | Failure::Restarted { .. },
        )
        | None => false,
    };
    // A repetition is over when every worker that is not given up has been released.
    by_failure || coordinator.peers().any(|peer| !peer.is_connected && peer.stage < Stage::Released)
}
