//! What a run is to do, before anything is started.

use super::RunError;
use backends::scenario::{self, Scenario, ScenarioError};
use backends::work;
use clap::ValueEnum;
use russula_proto::{Key, RunId, Work};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Everything that a run needs to know, whatever its backend.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name, which the workers know as well.
    pub run: RunId,
    /// What lets the orchestrator and the workers know each other.
    pub key: Key,
    /// The drivers in the order in which they take turns; a worker's programs have the same order.
    pub drivers: Vec<PlannedDriver>,
    /// How often each driver has its turn.
    pub repeat: u32,
    /// Most time for all workers to be reached and ready.
    pub ready_timeout: Duration,
    /// Most time for the clients of one repetition.
    pub timeout: Duration,
    /// When repetitions have to be over, on hosts that end by themselves and have results to be collected from.
    pub over_by: Option<SystemTime>,
    /// The largest start skew of the clients that is not suspect.
    pub max_start_skew: Duration,
    /// What becomes of a repetition whose start skew is larger.
    pub on_start_skew: SkewPolicy,
    /// Wait for the user before the servers are stopped.
    pub pause: bool,
    /// What they run.
    pub scenario: Scenario,
    /// The same, as the workers compare it with theirs.
    pub work: Work,
}

/// What becomes of a repetition whose clients did not start together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum SkewPolicy {
    /// It is marked as suspect
    Suspect,
    /// It fails
    Fail,
}

/// A driver, as `run.json` has it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlannedDriver {
    /// Its name.
    pub name: String,
    /// What it consists of.
    #[serde(flatten)]
    pub programs: DriverPrograms,
}

/// What a driver consists of.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum DriverPrograms {
    /// Two programs on this machine.
    Files {
        /// The server.
        server: PathBuf,
        /// The client.
        client: PathBuf,
    },
    /// Programs that hosts of several kinds get each in its own way.
    Supplied {
        /// What is uploaded, and what is built from which source.
        supplies: Vec<String>,
    },
    /// This program itself, under names that last as long as the run.
    BuiltIn {
        /// Its version.
        builtin: &'static str,
    },
    /// Whatever the workers' own command lines say.
    OnWorkers {},
}

/// What `scenario` and `drivers` are for the comparison with the workers.
///
/// # Errors
/// If the file cannot be read any more.
pub fn work_of(scenario: &Path, drivers: &[PlannedDriver]) -> Result<Work, RunError> {
    let names = drivers.iter().map(|driver| driver.name.as_str());
    work::of(scenario, names).map_err(|source| RunError::ReadScenario { path: scenario.to_owned(), source })
}

/// Where the scenario comes from.
#[derive(Clone, Debug)]
pub enum ScenarioSource {
    /// The user's file.
    File(PathBuf),
    /// The demonstration.
    Demo,
}

impl ScenarioSource {
    /// The user's file, or the demonstration if there is none.
    pub fn new(file: Option<PathBuf>) -> Self {
        file.map_or(Self::Demo, Self::File)
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(&self) -> Result<Scenario, ScenarioError> {
        match self {
            Self::File(path) => Scenario::load(path),
            Self::Demo => Ok(scenario::demo()),
        }
    }

    /// Writes a copy into `file`.
    pub(super) fn copy_to(&self, file: &mut File) -> io::Result<()> {
        match self {
            Self::File(source) => io::copy(&mut File::open(source)?, file).map(drop),
            Self::Demo => file.write_all(scenario::DEMO.as_bytes()),
        }
    }
}
