//! The steps that prepare the hosts of a run and bring back what they have: scripts, sent through SSM and watched.
//!
//! ```text
//! step         names, dependencies, deadlines
//! script       what a host does in a step (the text is in *.sh)
//! send         one command for all hosts, sent once
//! watch        one call a poll until it is done, whatever the number of hosts
//! turn         several steps at the same time, each after what it needs
//! invocations  what happened on each host, asked for at the end
//! online       all hosts can be reached by SSM
//! ```

mod error;
mod invocations;
mod online;
mod script;
mod send;
mod step;
mod turn;
mod watch;

#[cfg(test)]
pub(crate) mod fake_service;
#[cfg(test)]
mod script_host;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod watch_tests;

#[cfg(test)]
pub(crate) use script::example;

pub use error::{HostFailure, StepError};
pub use online::{REACHABLE, wait_online};
pub use script::{Build, ScriptContext, WorkerDriver, quote, script};
pub use send::HOSTS_BY_ID_MAX;
pub use step::{Reach, Step};
pub use turn::run_steps;
pub use watch::{StepTarget, run_build, run_step};
