//! The proof of the protocol: the real state machines in a world in memory.
//!
//! - [`world`]: coordinators, workers, their programs, a network and a time that jumps;
//! - [`model`]: a small model of what a run may show;
//! - [`run`]: whole runs drawn from a seed, with faults;
//! - [`turmoil`]: the same over simulated hosts and streams;
//! - [`check`]: the rules that every run keeps, each with a name and a sentence;
//! - [`mutations`]: faults put into the core, which the rules have to find;
//! - [`model_check`]: every state that a few machines can come to.

pub mod check;
mod cpu_time;
pub mod examine;
pub mod model;
pub mod model_check;
pub mod mutations;
mod random;
pub mod run;
pub mod sweep;
pub mod toy_suite;
pub mod turmoil;
pub mod world;

pub use cpu_time::cpu_time;
pub use model::HostId;
pub use random::Random;
