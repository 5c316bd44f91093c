//! A model check: the real coordinator and the real workers in every state that they can come to.
//!
//! What can happen is enumerated ([`Action`]): messages arrive or are lost, connections break at either end and
//! deliver late, workers and coordinators die and are replaced, programs run, end and fail, deadlines pass. Each
//! of it happens in each state; how many faults happen in one run is bounded, and within that bound the
//! exploration is exhaustive. The rules that hold everywhere are in [`Rule`].
//!
//! Two things are left out. Bytes are not split within a message: how they are split makes no difference, which
//! the tests of the link and the simulation check. And time has no length: whatever is due within a second
//! happens in any order, longer times pass when nothing else is to happen, or as a fault at any time.
//!
//! # Why an explorer of our own
//! The machines cannot be copied: a cipher that is copied would use its numbers twice. So a state is the path to
//! it, made again from the beginning each time, and known by a fingerprint of what decides about its future.
//! The `stateright` crate could walk over such states, but "an end can be reached from everywhere" is none of the
//! properties that it checks: its `eventually` does not look at cycles, and dialing again is one. It takes the
//! whole graph, which this explorer keeps.

mod action;
mod explorer;
mod host;
mod mutation;
mod rules;
mod setup;
mod wire;
mod world;

pub use action::{Action, Fault, Place};
pub use explorer::{Counterexample, Report};
pub use mutation::Mutation;
pub use rules::{Breach, Rule};
pub use setup::Setup;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Which machines there are.
    pub setup: Setup,
    /// Most faults in one run.
    pub faults: u8,
    /// What is broken, so that it is found.
    pub mutation: Mutation,
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// About so many states at the most.
    pub states: usize,
    /// On so many threads.
    pub threads: usize,
}

impl Model {
    /// Visits every state, nearest first. `progress` is told of the states and transitions so far, and the depth.
    pub fn explore(self, limits: Limits, progress: impl FnMut(usize, usize, usize)) -> Report {
        explorer::explore(self, limits, progress)
    }

    /// What happens on the way of a counterexample, line by line. A panic at its end is not caught.
    pub fn retell(self, path: &[Action]) -> Vec<String> {
        explorer::retell(self, path)
    }
}
