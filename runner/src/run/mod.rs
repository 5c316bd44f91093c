//! A run: every repetition of every driver over the hosts of one backend, and what came of it.

mod collect;
mod directory;
mod error;
mod execute;
mod explain;
mod first_failure;
mod interrupt;
mod limits;
mod machine;
mod pause;
mod plan;
mod progress;
mod record;
mod sequence;
mod takeover;
mod together;
mod unreached;
mod verdict;

pub use directory::RunDirectory;
pub use error::RunError;
pub use interrupt::Interrupts;
pub use limits::raise_file_limit;
pub use plan::{DriverPrograms, Plan, PlannedDriver, ScenarioSource, SkewPolicy, work_of};
pub use progress::{Observer, Progress, Stage};
pub use sequence::{Beginning, Outcome, run};
pub use takeover::RunState;
