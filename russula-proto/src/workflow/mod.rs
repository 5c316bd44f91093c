//! Workflows: what a coordinator and its workers go through in one repetition.
//!
//! A workflow is one file: a diagram, the states of both roles, their transition tables, and a test over
//! every state and event. The machinery around it ([`Worker`](crate::Worker), [`Coordinator`](crate::Coordinator),
//! the drivers) knows only the two traits below, so a new workflow is a new file here and a new variant of
//! [`Group`].

pub mod client;
pub mod probe;
pub mod server;

use crate::outcome::Ending;
use crate::wire::{Stage, Target};
use alloc::boxed::Box;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A group of workers that go through the same workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Hosts that run a netbench server: [`server`].
    Server,
    /// Hosts that run a netbench client: [`client`].
    Client,
    /// Hosts that only say that they are there: [`probe`].
    Probe,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Probe];

    /// A worker's side of the group's workflow, at its beginning.
    pub fn worker(self) -> Box<dyn WorkerWorkflow> {
        match self {
            Self::Server => Box::new(server::WorkerState::WaitCoordInit),
            Self::Client => Box::new(client::WorkerState::WaitCoordInit),
            Self::Probe => Box::new(probe::WorkerState::WaitCoordInit),
        }
    }

    /// The coordinator's side of the group's workflow, at its beginning.
    pub fn coordinator(self) -> Box<dyn CoordinatorWorkflow> {
        match self {
            Self::Server => Box::new(server::CoordinatorState::CheckWorker),
            Self::Client => Box::new(client::CoordinatorState::CheckWorker),
            Self::Probe => Box::new(probe::CoordinatorState::CheckWorker),
        }
    }

    /// The name of the group, as on the screen and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Probe => "probe",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A worker's side of a workflow: a state that changes only by [`Self::handle`].
pub trait WorkerWorkflow: fmt::Debug + Send {
    /// Applies `input`. `None` if it changes nothing in this state; inputs may be repeated at any time.
    fn handle(&mut self, input: WorkerInput) -> Option<WorkerStep>;

    /// The stage that the worker reports in this state.
    fn stage(&self) -> Stage;

    /// Whether everything has been said until something happens to the program.
    fn is_quiet(&self) -> bool;

    /// Name of the state.
    fn name(&self) -> &'static str;
}

/// What can happen to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerInput {
    /// The coordinator wants the worker to be there, and has wanted so since it last said something else.
    Target(Target),
    /// The program runs; a server's port is bound.
    Started,
    /// The program could not be started.
    StartFailed,
    /// The program ended.
    Ended,
    /// The coordinator's socket has taken all of the report about this state.
    Reported,
}

impl WorkerInput {
    /// Every input.
    pub const ALL: [Self; 8] = [
        Self::Target(Target::Ready),
        Self::Target(Target::Run),
        Self::Target(Target::Stop),
        Self::Target(Target::Release),
        Self::Started,
        Self::StartFailed,
        Self::Ended,
        Self::Reported,
    ];
}

/// A change of a worker's state, and what is to be done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerStep {
    /// Nothing but the change.
    Enter,
    /// Start the program.
    Start,
    /// Stop the program.
    Stop,
}

/// A coordinator's side of a workflow, for its whole group.
pub trait CoordinatorWorkflow: fmt::Debug + Send {
    /// Applies `input`; returns whether the state changed. Inputs may be repeated at any time.
    fn handle(&mut self, input: CoordinatorInput) -> bool;

    /// Where the workers should be in this state.
    fn target(&self) -> Target;

    /// Whether this state is at or past `milestone`.
    fn has_reached(&self, milestone: Milestone) -> bool;

    /// Whether all programs of the group are to start at the same instant. The coordinator measures the workers'
    /// clocks for it before it says that they are ready.
    fn starts_together(&self) -> bool;

    /// Whether `ending` is a failure of the worker. `was_stopped`: the group was told to go to its end by a process
    /// that has died, whose state nobody knows.
    fn is_failure(&self, ending: &Ending, was_stopped: bool) -> bool;

    /// Name of the state.
    fn name(&self) -> &'static str;
}

/// What can happen to a coordinator's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorInput {
    /// The user wants the group to go there.
    Till(Milestone),
    /// Every worker has reached this stage, or a later one.
    All(Stage),
    /// The repetition is given up: stop what runs.
    Abort,
}

impl CoordinatorInput {
    /// Every input.
    pub const ALL: [Self; 10] = [
        Self::Till(Milestone::Ready),
        Self::Till(Milestone::WorkersRunning),
        Self::Till(Milestone::Done),
        Self::All(Stage::Idle),
        Self::All(Stage::Ready),
        Self::All(Stage::Starting),
        Self::All(Stage::Running),
        Self::All(Stage::Ended),
        Self::All(Stage::Released),
        Self::Abort,
    ];
}

/// How far a group has come in a repetition, in the user's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// Every worker is connected and ready to start.
    Ready,
    /// Every worker's program runs.
    WorkersRunning,
    /// Every worker's program has ended and its outcome is known.
    Done,
}

impl Milestone {
    /// Every milestone, in order.
    pub const ALL: [Self; 3] = [Self::Ready, Self::WorkersRunning, Self::Done];
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::WorkersRunning => "workers running",
            Self::Done => "done",
        })
    }
}

/// Renders the whole transition table of a state type, for the exhaustive tests of the workflow files.
#[cfg(test)]
pub(crate) mod table {
    use super::*;
    use alloc::string::String;
    use core::fmt::Write;

    /// One line per state and input that changes something.
    pub(crate) fn of_worker<S: WorkerWorkflow + Copy>(states: &[S]) -> String {
        let mut out = String::new();
        for state in states {
            for input in WorkerInput::ALL {
                let mut next = *state;
                if let Some(step) = next.handle(input) {
                    let _ = writeln!(out, "{} + {input:?} -> {} / {step:?}", state.name(), next.name());
                }
            }
        }
        out
    }

    /// One line per state and input that changes something.
    pub(crate) fn of_coordinator<S: CoordinatorWorkflow + Copy>(states: &[S]) -> String {
        let mut out = String::new();
        for state in states {
            for input in CoordinatorInput::ALL {
                let mut next = *state;
                if next.handle(input) {
                    let _ = writeln!(
                        out,
                        "{} + {input:?} -> {} / target {:?}",
                        state.name(),
                        next.name(),
                        next.target()
                    );
                }
            }
        }
        out
    }

    /// Compares a rendered table with the expected one, ignoring indentation.
    pub(crate) fn assert_is(actual: &str, expected: &str) {
        let expected: alloc::vec::Vec<&str> =
            expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let actual: alloc::vec::Vec<&str> = actual.lines().collect();
        assert_eq!(actual, expected);
    }
}
