//! The netbench server workflow: a server never ends by itself, the coordinator stops it.
//!
//! ```text
//! worker                                        coordinator
//!
//! WaitCoordInit                                 CheckWorker
//!      | target Ready                                | all ready
//!    Ready                                         Ready
//!      | target Run: start the program               | till workers running
//!     Run ------------------+                      RunWorker
//!      | started            | start failed           | all running
//! RunningAwaitKill ---------|                      WorkersRunning
//!      | target Stop:       | ended by itself        | till done
//!      | stop the program   |                      KillWorker <--- abort, from any state above
//!   Killing                 |                        | all ended
//!      | ended              |                      WorkerKilled
//!   Stopped <---------------+                        | all released
//!      | target Release                            Done
//!     Done
//! ```

use super::{CoordinatorInput, CoordinatorWorkflow, Milestone, WorkerInput, WorkerStep, WorkerWorkflow};
use crate::outcome::Ending;
use crate::wire::{Stage, Target};

/// States of a server worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for a goal of the coordinator.
    WaitCoordInit,
    /// Ready to start the server.
    Ready,
    /// The server is started, its port is not bound yet.
    Run,
    /// The server listens, until it is told to stop.
    RunningAwaitKill,
    /// The server was told to stop.
    Killing,
    /// The server has ended; the coordinator may not know yet.
    Stopped,
    /// The coordinator has the outcome.
    Done,
}

impl WorkerState {
    /// Every state, in order.
    pub const ALL: [Self; 7] = [
        Self::WaitCoordInit,
        Self::Ready,
        Self::Run,
        Self::RunningAwaitKill,
        Self::Killing,
        Self::Stopped,
        Self::Done,
    ];

    fn next(self, input: WorkerInput) -> Option<(Self, WorkerStep)> {
        use Target::{Ready, Release, Run, Stop};
        use WorkerInput::{Ended, Reported, StartFailed, Started, Target as Goal};
        use WorkerStep::Enter;
        match (self, input) {
            (Self::WaitCoordInit, Goal(Ready | Run)) => Some((Self::Ready, Enter)),
            (Self::WaitCoordInit | Self::Ready, Goal(Stop)) => Some((Self::Stopped, Enter)),
            (Self::WaitCoordInit | Self::Ready, Goal(Release)) => Some((Self::Done, Enter)),
            (Self::Ready, Goal(Run)) => Some((Self::Run, WorkerStep::Start)),
            (Self::Run, Started) => Some((Self::RunningAwaitKill, Enter)),
            (Self::Run | Self::RunningAwaitKill, Goal(Stop | Release)) => {
                Some((Self::Killing, WorkerStep::Stop))
            }
            (Self::Run | Self::RunningAwaitKill | Self::Killing, StartFailed | Ended) => {
                Some((Self::Stopped, Enter))
            }
            (Self::Stopped, Goal(Release)) => Some((Self::Done, Enter)),
            (
                Self::WaitCoordInit
                | Self::Ready
                | Self::Run
                | Self::RunningAwaitKill
                | Self::Killing
                | Self::Stopped
                | Self::Done,
                Goal(_) | Started | StartFailed | Ended | Reported,
            ) => None,
        }
    }
}

impl WorkerWorkflow for WorkerState {
    fn handle(&mut self, input: WorkerInput) -> Option<WorkerStep> {
        let (next, step) = self.next(input)?;
        *self = next;
        Some(step)
    }

    fn stage(&self) -> Stage {
        match self {
            Self::WaitCoordInit => Stage::Idle,
            Self::Ready => Stage::Ready,
            // A server that was told to stop may never have run.
            Self::Run | Self::Killing => Stage::Starting,
            Self::RunningAwaitKill => Stage::Running,
            Self::Stopped => Stage::Ended,
            Self::Done => Stage::Released,
        }
    }

    fn is_quiet(&self) -> bool {
        matches!(self, Self::RunningAwaitKill)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::WaitCoordInit => "WaitCoordInit",
            Self::Ready => "Ready",
            Self::Run => "Run",
            Self::RunningAwaitKill => "RunningAwaitKill",
            Self::Killing => "Killing",
            Self::Stopped => "Stopped",
            Self::Done => "Done",
        }
    }
}

/// States of the coordinator of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorState {
    /// Brings every worker to ready.
    CheckWorker,
    /// Every worker is ready; waits for the user.
    Ready,
    /// Brings every server to run.
    RunWorker,
    /// Every server runs; waits for the user.
    WorkersRunning,
    /// Stops every server.
    KillWorker,
    /// Every server has ended; the workers are told that their outcomes arrived.
    WorkerKilled,
    /// The repetition is over.
    Done,
}

impl CoordinatorState {
    /// Every state, in order.
    pub const ALL: [Self; 7] = [
        Self::CheckWorker,
        Self::Ready,
        Self::RunWorker,
        Self::WorkersRunning,
        Self::KillWorker,
        Self::WorkerKilled,
        Self::Done,
    ];

    fn next(self, input: CoordinatorInput) -> Option<Self> {
        use CoordinatorInput::{Abort, All, Till};
        match (self, input) {
            (Self::CheckWorker, All(stage)) if stage >= Stage::Ready => Some(Self::Ready),
            (Self::Ready, Till(milestone)) if milestone >= Milestone::WorkersRunning => Some(Self::RunWorker),
            (Self::RunWorker, All(stage)) if stage >= Stage::Running => Some(Self::WorkersRunning),
            (Self::WorkersRunning, Till(Milestone::Done)) => Some(Self::KillWorker),
            (Self::KillWorker, All(stage)) if stage >= Stage::Ended => Some(Self::WorkerKilled),
            (Self::WorkerKilled, All(Stage::Released)) => Some(Self::Done),
            (Self::CheckWorker | Self::Ready | Self::RunWorker | Self::WorkersRunning, Abort) => {
                Some(Self::KillWorker)
            }
            (
                Self::CheckWorker
                | Self::Ready
                | Self::RunWorker
                | Self::WorkersRunning
                | Self::KillWorker
                | Self::WorkerKilled
                | Self::Done,
                Till(_) | All(_) | Abort,
            ) => None,
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
            Self::RunWorker | Self::WorkersRunning => Target::Run,
            Self::KillWorker => Target::Stop,
            Self::WorkerKilled | Self::Done => Target::Release,
        }
    }

    fn has_reached(&self, milestone: Milestone) -> bool {
        let reached = match self {
            Self::CheckWorker => None,
            Self::Ready | Self::RunWorker => Some(Milestone::Ready),
            Self::WorkersRunning | Self::KillWorker | Self::WorkerKilled => Some(Milestone::WorkersRunning),
            Self::Done => Some(Milestone::Done),
        };
        reached >= Some(milestone)
    }

    /// A server ends when it is told to and not before, also when its worker's host stops it.
    fn is_failure(&self, ending: &Ending, was_stopped: bool) -> bool {
        match ending {
            Ending::StartFailed(_) | Ending::Exited(_) => true,
            Ending::NotStarted => self.target() < Target::Stop,
            Ending::Stopped(_) => self.target() < Target::Stop && !was_stopped,
        }
    }

    fn starts_together(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CheckWorker => "CheckWorker",
            Self::Ready => "Ready",
            Self::RunWorker => "RunWorker",
            Self::WorkersRunning => "WorkersRunning",
            Self::KillWorker => "KillWorker",
            Self::WorkerKilled => "WorkerKilled",
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
            WaitCoordInit + Target(Ready) -> Ready / Enter
            WaitCoordInit + Target(Run) -> Ready / Enter
            WaitCoordInit + Target(Stop) -> Stopped / Enter
            WaitCoordInit + Target(Release) -> Done / Enter
            Ready + Target(Run) -> Run / Start
            Ready + Target(Stop) -> Stopped / Enter
            Ready + Target(Release) -> Done / Enter
            Run + Target(Stop) -> Killing / Stop
            Run + Target(Release) -> Killing / Stop
            Run + Started -> RunningAwaitKill / Enter
            Run + StartFailed -> Stopped / Enter
            Run + Ended -> Stopped / Enter
            RunningAwaitKill + Target(Stop) -> Killing / Stop
            RunningAwaitKill + Target(Release) -> Killing / Stop
            RunningAwaitKill + StartFailed -> Stopped / Enter
            RunningAwaitKill + Ended -> Stopped / Enter
            Killing + StartFailed -> Stopped / Enter
            Killing + Ended -> Stopped / Enter
            Stopped + Target(Release) -> Done / Enter
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
            CheckWorker + Abort -> KillWorker / target Stop
            Ready + Till(WorkersRunning) -> RunWorker / target Run
            Ready + Till(Done) -> RunWorker / target Run
            Ready + Abort -> KillWorker / target Stop
            RunWorker + All(Running) -> WorkersRunning / target Run
            RunWorker + All(Ended) -> WorkersRunning / target Run
            RunWorker + All(Released) -> WorkersRunning / target Run
            RunWorker + Abort -> KillWorker / target Stop
            WorkersRunning + Till(Done) -> KillWorker / target Stop
            WorkersRunning + Abort -> KillWorker / target Stop
            KillWorker + All(Ended) -> WorkerKilled / target Release
            KillWorker + All(Released) -> WorkerKilled / target Release
            WorkerKilled + All(Released) -> Done / target Release
            ",
        );
    }
}
