//! The netbench client workflow: a client ends by itself, the coordinator waits in silence.
//!
//! ```text
//! worker                                        coordinator
//!
//! WaitCoordInit                                 CheckWorker
//!      | target Ready                                | all ready
//!    Ready                                         Ready
//!      | target Run: start the program               | till workers running, or done
//!     Run ------------------+                      RunWorker
//!      | started            | start failed           | all running
//!   Running ----------------|                      WorkersRunning --+
//!      | reported           | ended                  | all released | abort, from any state above
//! RunningAwaitComplete -----|                        |            KillWorker
//!      | ended              |                        |              | all released
//!   Stopped <---------------+                      Done <-----------+
//!      | target Release
//!     Done             From Run, Running and RunningAwaitComplete, target Stop (the repetition is
//!                      aborted) stops the program: Killing, then Stopped.
//! ```
//!
//! `RunningAwaitComplete` is the quiet window of this worker: its last report has left, and the next byte
//! goes out when the program has ended.

use super::{CoordinatorInput, CoordinatorWorkflow, Milestone, WorkerInput, WorkerStep, WorkerWorkflow};
use crate::outcome::Ending;
use crate::wire::{Stage, Target};

/// States of a client worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Waits for a goal of the coordinator.
    WaitCoordInit,
    /// Ready to start the client.
    Ready,
    /// The client is being started.
    Run,
    /// The client runs; the report about it is under way.
    Running,
    /// The client runs and everything has been said until it ends.
    RunningAwaitComplete,
    /// The repetition was aborted and the client told to stop.
    Killing,
    /// The client has ended; the coordinator may not know yet.
    Stopped,
    /// The coordinator has the outcome.
    Done,
}

impl WorkerState {
    /// Every state, in order.
    pub const ALL: [Self; 8] = [
        Self::WaitCoordInit,
        Self::Ready,
        Self::Run,
        Self::Running,
        Self::RunningAwaitComplete,
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
            (Self::Run, Started) => Some((Self::Running, Enter)),
            (Self::Running, Reported) => Some((Self::RunningAwaitComplete, Enter)),
            (Self::Run | Self::Running | Self::RunningAwaitComplete, Goal(Stop | Release)) => {
                Some((Self::Killing, WorkerStep::Stop))
            }
            (Self::Run | Self::Running | Self::RunningAwaitComplete | Self::Killing, StartFailed | Ended) => {
                Some((Self::Stopped, Enter))
            }
            (Self::Stopped, Goal(Release)) => Some((Self::Done, Enter)),
            (
                Self::WaitCoordInit
                | Self::Ready
                | Self::Run
                | Self::Running
                | Self::RunningAwaitComplete
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
            // A client that was told to stop may never have run.
            Self::Run | Self::Killing => Stage::Starting,
            Self::Running | Self::RunningAwaitComplete => Stage::Running,
            Self::Stopped => Stage::Ended,
            Self::Done => Stage::Released,
        }
    }

    fn is_quiet(&self) -> bool {
        matches!(self, Self::RunningAwaitComplete)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::WaitCoordInit => "WaitCoordInit",
            Self::Ready => "Ready",
            Self::Run => "Run",
            Self::Running => "Running",
            Self::RunningAwaitComplete => "RunningAwaitComplete",
            Self::Killing => "Killing",
            Self::Stopped => "Stopped",
            Self::Done => "Done",
        }
    }
}

/// States of the coordinator of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorState {
    /// Brings every worker to ready.
    CheckWorker,
    /// Every worker is ready; waits for the user.
    Ready,
    /// Brings every client to run.
    RunWorker,
    /// Every client runs; silence until they end.
    WorkersRunning,
    /// The repetition is aborted: stops every client.
    KillWorker,
    /// The repetition is over.
    Done,
}

impl CoordinatorState {
    /// Every state, in order.
    pub const ALL: [Self; 6] =
        [Self::CheckWorker, Self::Ready, Self::RunWorker, Self::WorkersRunning, Self::KillWorker, Self::Done];

    fn next(self, input: CoordinatorInput) -> Option<Self> {
        use CoordinatorInput::{Abort, All, Till};
        match (self, input) {
            (Self::CheckWorker, All(stage)) if stage >= Stage::Ready => Some(Self::Ready),
            (Self::Ready, Till(milestone)) if milestone >= Milestone::WorkersRunning => Some(Self::RunWorker),
            (Self::RunWorker, All(stage)) if stage >= Stage::Running => Some(Self::WorkersRunning),
            (Self::WorkersRunning | Self::KillWorker, All(Stage::Released)) => Some(Self::Done),
            (Self::CheckWorker | Self::Ready | Self::RunWorker | Self::WorkersRunning, Abort) => {
                Some(Self::KillWorker)
            }
            (
                Self::CheckWorker
                | Self::Ready
                | Self::RunWorker
                | Self::WorkersRunning
                | Self::KillWorker
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
            Self::Done => Target::Release,
        }
    }

    fn has_reached(&self, milestone: Milestone) -> bool {
        let reached = match self {
            Self::CheckWorker => None,
            Self::Ready | Self::RunWorker => Some(Milestone::Ready),
            Self::WorkersRunning | Self::KillWorker => Some(Milestone::WorkersRunning),
            Self::Done => Some(Milestone::Done),
        };
        reached >= Some(milestone)
    }

    /// A client's exit status tells whether its script ran to the end. One that its worker's host stopped
    /// did not run to the end. Nobody else stops a client without giving the repetition up.
    fn is_failure(&self, ending: &Ending, _: bool) -> bool {
        match ending {
            Ending::StartFailed(_) => true,
            Ending::Exited(outcome) => !outcome.exit.is_success(),
            Ending::NotStarted | Ending::Stopped(_) => self.target() < Target::Stop,
        }
    }

    fn starts_together(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CheckWorker => "CheckWorker",
            Self::Ready => "Ready",
            Self::RunWorker => "RunWorker",
            Self::WorkersRunning => "WorkersRunning",
            Self::KillWorker => "KillWorker",
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
            Run + Started -> Running / Enter
            Run + StartFailed -> Stopped / Enter
            Run + Ended -> Stopped / Enter
            Running + Target(Stop) -> Killing / Stop
            Running + Target(Release) -> Killing / Stop
            Running + StartFailed -> Stopped / Enter
            Running + Ended -> Stopped / Enter
            Running + Reported -> RunningAwaitComplete / Enter
            RunningAwaitComplete + Target(Stop) -> Killing / Stop
            RunningAwaitComplete + Target(Release) -> Killing / Stop
            RunningAwaitComplete + StartFailed -> Stopped / Enter
            RunningAwaitComplete + Ended -> Stopped / Enter
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
            WorkersRunning + All(Released) -> Done / target Release
            WorkersRunning + Abort -> KillWorker / target Stop
            KillWorker + All(Released) -> Done / target Release
            ",
        );
    }
}
