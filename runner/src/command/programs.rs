//! The programs that the hosts of a run need, and what workers are told of them.

use super::CommandError;
use super::options;
use backends::drivers::{DriverName, DriverPaths, Role};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Options of every run that starts its workers itself.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct ProgramOptions {
    /// Directory with driver programs, looked at before the driver cache and PATH
    #[arg(long, value_name = "DIR")]
    pub(super) driver_dir: Option<PathBuf>,

    /// Time between two samples of cpu, memory and throughput; 0 turns sampling off
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = backends::durations::parse_interval)]
    pub(super) sample_interval: Duration,

    /// Who measures the drivers
    #[arg(long, value_enum, default_value_t = Collector::Own)]
    pub(super) collector: Collector,

    /// How long a driver may take to end after SIGTERM before it gets SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = backends::durations::parse_limit)]
    pub(super) kill_grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(super) enum Collector {
    /// The workers
    Own,
    /// s2n-netbench-collector, which hides the drivers' exit status
    Stock,
}

impl ProgramOptions {
    /// The programs of every driver, and the stock collector if it is to be used.
    #[cfg(target_os = "linux")]
    pub(super) fn find(
        &self,
        run: &options::RunOptions,
    ) -> Result<(Vec<Found>, Option<PathBuf>), CommandError> {
        // Asked for only where needed: the embedded driver does without a place for a cache.
        let paths = || options::driver_paths(self.driver_dir.clone());
        let names = run.driver_names()?;
        let found = names.iter().map(|name| find_driver(paths, name)).collect::<Result<Vec<_>, _>>()?;
        let collector = match self.collector {
            Collector::Own => None,
            Collector::Stock => Some(paths()?.find_collector()?),
        };
        Ok((found, collector))
    }

    /// What every worker is told.
    pub(super) fn worker_args(&self) -> [String; 4] {
        let text = |duration| humantime::format_duration(duration).to_string();
        ["--sample-interval".into(), text(self.sample_interval), "--kill-grace".into(), text(self.kill_grace)]
    }
}

/// A driver and its programs; the embedded one has none of its own.
pub(super) enum Found {
    Embedded(DriverName),
    Programs { name: DriverName, server: PathBuf, client: PathBuf },
}

/// Finds one driver.
pub(super) fn find_driver(
    paths: impl Fn() -> Result<DriverPaths, CommandError>,
    name: &DriverName,
) -> Result<Found, CommandError> {
    if name.is_embedded() {
        return Ok(Found::Embedded(name.clone()));
    }
    let driver = paths()?.find(name)?;
    tracing::info!("driver {name}: {} and {}", driver.server.display(), driver.client.display());
    for program in [&driver.server, &driver.client] {
        if program.to_str().is_none() {
            // It travels as text, in run.json and on the workers' command lines.
            return Err(CommandError::Input(format!("{} is a path that is not UTF-8", program.display())));
        }
    }
    Ok(Found::Programs {
        name: name.clone(),
        server: driver.program(Role::Server).to_owned(),
        client: driver.program(Role::Client).to_owned(),
    })
}
