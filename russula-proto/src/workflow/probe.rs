//! The probe workflow: a worker says that it is alive and which version of the software it is.
//!
//! Nothing is started. The version travels in the worker's `Welcome`; see `Coordinator::peer`.
//!
//! ```text
//! worker                          coordinator
//!
//! WaitCoordInit                   CheckWorker
//!      | any target                    | all alive
//!    Alive                           Ready
//!      | target Run                    | till workers running, or done; abort
//!   Answered                       RunWorker
//!      | target Release                | all released
//!     Done                           Done
//! ```

use super::{CoordinatorInput, CoordinatorWorkflow, Milestone, WorkerInput, WorkerStep, WorkerWorkflow};
use crate::outcome::Ending;
use crate::wire::{Stage, Target};

/// States of a probed worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for a goal of the coordinator.
    WaitCoordInit,
    /// Has said that it is there.
    Alive,
    /// Was asked to run, and has nothing to run.
    Answered,
    /// The coordinator has the answer.
    Done,
}

impl WorkerState {
    /// Every state, in order.
    pub const ALL: [Self; 4] = [Self::WaitCoordInit, Self::Alive, Self::Answered, Self::Done];

    fn next(self, input: WorkerInput) -> Option<Self> {
        use WorkerInput::{Ended, Reported, StartFailed, Started, Target as Goal};
        match (self, input) {
            (Self::WaitCoordInit, Goal(_)) => Some(Self::Alive),
            (Self::Alive, Goal(Target::Run | Target::Stop)) => Some(Self::Answered),
            (Self::Alive | Self::Answered, Goal(Target::Release)) => Some(Self::Done),
            (
                Self::WaitCoordInit | Self::Alive | Self::Answered | Self::Done,
                Goal(_) | Started | StartFailed | Ended | Reported,
            ) => None,
        }
    }
}

impl WorkerWorkflow for WorkerState {
    fn handle(&mut self, input: WorkerInput) -> Option<WorkerStep> {
        *self = self.next(input)?;
        Some(WorkerStep::Enter)
    }

    fn stage(&self) -> Stage {
        match self {
            Self::WaitCoordInit => Stage::Idle,
            Self::Alive => Stage::Ready,
            Self::Answered => Stage::Ended,
            Self::Done => Stage::Released,
        }
    }

    fn is_quiet(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        match self {
            Self::WaitCoordInit => "WaitCoordInit",
            Self::Alive => "Alive",
            Self::Answered => "Answered",
            Self::Done => "Done",
        }
    }
}

/// States of the coordinator of the probed workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorState {
    /// Waits for every worker's sign of life.
    CheckWorker,
    /// Every worker is alive.
    Ready,
    /// Lets the workers go.
    RunWorker,
    /// Every worker knows that it was heard.
    Done,
}

impl CoordinatorState {
    /// Every state, in order.
    pub const ALL: [Self; 4] = [Self::CheckWorker, Self::Ready, Self::RunWorker, Self::Done];

    fn next(self, input: CoordinatorInput) -> Option<Self> {
        use CoordinatorInput::{Abort, All, Till};
        match (self, input) {
            (Self::CheckWorker, All(stage)) if stage >= Stage::Ready => Some(Self::Ready),
            (Self::Ready, Till(milestone)) if milestone >= Milestone::WorkersRunning => Some(Self::RunWorker),
            (Self::CheckWorker | Self::Ready, Abort) => Some(Self::RunWorker),
            (Self::RunWorker, All(Stage::Released)) => Some(Self::Done),
            (Self::CheckWorker | Self::Ready | Self::RunWorker | Self::Done, Till(_) | All(_) | Abort) => {
                None
            }
        }
    }
}

impl CoordinatorWorkflow for CoordinatorState {
    fn handle(&mut self, input: CoordinatorInput) -> bool {
        let next = self.next(input);
        *self = next.unwrap_or(*self);
        next.is_some()
    }

    fn target(&self) -> Target {
        match self {
            Self::CheckWorker | Self::Ready => Target::Ready,
            Self::RunWorker => Target::Run,
            Self::Done => Target::Release,
        }
    }

    fn has_reached(&self, milestone: Milestone) -> bool {
        let reached = match self {
            Self::CheckWorker => None,
            Self::Ready | Self::RunWorker => Some(Milestone::Ready),
            Self::Done => Some(Milestone::Done),
        };
        reached >= Some(milestone)
    }

    /// A probed worker has nothing that could fail.
    fn is_failure(&self, _: &Ending, _: bool) -> bool {
        false
    }

    fn starts_together(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CheckWorker => "CheckWorker",
            Self::Ready => "Ready",
            Self::RunWorker => "RunWorker",
            Self::Done => "Done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::table;

    #[test]
    fn every_worker_state_and_input() {
        table::assert_is(
            &table::of_worker(&WorkerState::ALL),
            "
            WaitCoordInit + Target(Ready) -> Alive / Enter
            WaitCoordInit + Target(Run) -> Alive / Enter
            WaitCoordInit + Target(Stop) -> Alive / Enter
            WaitCoordInit + Target(Release) -> Alive / Enter
            Alive + Target(Run) -> Answered / Enter
            Alive + Target(Stop) -> Answered / Enter
            Alive + Target(Release) -> Done / Enter
            Answered + Target(Release) -> Done / Enter
            ",
        );
    }

    #[test]
    fn every_coordinator_state_and_input() {
        table::assert_is(
            &table::of_coordinator(&CoordinatorState::ALL),
            "
            CheckWorker + All(Ready) -> Ready / target Ready
            CheckWorker + All(Starting) -> Ready / target Ready
            CheckWorker + All(Running) -> Ready / target Ready
            CheckWorker + All(Ended) -> Ready / target Ready
            CheckWorker + All(Released) -> Ready / target Ready
            CheckWorker + Abort -> RunWorker / target Run
            Ready + Till(WorkersRunning) -> RunWorker / target Run
            Ready + Till(Done) -> RunWorker / target Run
            Ready + Abort -> RunWorker / target Run
            RunWorker + All(Released) -> Done / target Release
            ",
        );
    }
}
