//! What every verb that runs a scenario is told, and what it does with the result.

use super::CommandError;
use crate::causes::with_causes;
use crate::exit;
use crate::report;
use crate::run::{Outcome, RunDirectory, SkewPolicy};
use crate::table::{self, Style};
use backends::drivers::{DriverName, DriverPaths, DriverSource, EMBEDDED};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Most drivers of a run, as for a worker.
const DRIVERS_MAX: usize = 256;

/// Most repetitions of a run.
const REPEAT_MAX: u32 = 10_000;

/// Options of every run.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct RunOptions {
    /// Driver to run, by name; repeat it to compare drivers, which then take turns [default: embedded]
    #[arg(long = "driver", value_name = "NAME")]
    pub(super) drivers: Vec<DriverName>,

    /// How often each driver runs the scenario
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPEAT_MAX)))]
    pub(super) repeat: u32,

    /// Directory that gets a directory for each run
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(super) out: PathBuf,

    /// Most time for the clients of one repetition; what runs is stopped after that
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = backends::durations::parse_limit)]
    pub(super) timeout: Duration,

    /// The largest time between the first and the last start of the clients that is not suspect
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = backends::durations::parse_skew)]
    pub(super) max_start_skew: Duration,

    /// What becomes of a repetition whose clients did not start together
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = SkewPolicy::Suspect)]
    pub(super) on_start_skew: SkewPolicy,

    /// Print the summary as JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

impl RunOptions {
    /// The names of the drivers, each once.
    pub(super) fn driver_names(&self) -> Result<Vec<DriverName>, CommandError> {
        let mut names: Vec<DriverName> = Vec::new();
        for name in &self.drivers {
            if names.contains(name) {
                return Err(CommandError::Input(format!(
                    "--driver {name} was given twice; to run it more often, use --repeat"
                )));
            }
            names.push(name.clone());
        }
        if names.len() > DRIVERS_MAX {
            return Err(CommandError::Input(format!(
                "--driver was given {} times, at most {DRIVERS_MAX} are possible",
                names.len()
            )));
        }
        if names.is_empty() {
            names.push(EMBEDDED.parse().expect("the embedded driver's name is a legal one"));
        }
        Ok(names)
    }

    /// Shows what came of the run, and writes the report.
    pub(super) fn show(
        &self,
        directory: &RunDirectory,
        outcome: &Outcome,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        let mut stdout = std::io::stdout().lock();
        let text = if self.json {
            let mut json = serde_json::to_string_pretty(&outcome.summary)
                .map_err(|error| CommandError::Input(error.to_string()))?;
            json.push('\n');
            json
        } else {
            table::render(&outcome.summary, Style { color: super::use_color(&stdout), verbose })
        };
        // A closed stdout is the reader's wish; the files are there.
        let _ = stdout.write_all(text.as_bytes());
        let mut stderr = std::io::stderr();
        let mut exit_code = outcome.exit_code;
        // Without its summary there is nothing to report on, and the user knows why.
        let report = outcome.is_written.then(|| report::write(directory.path()));
        match report {
            Some(Ok(report)) => {
                let _ = writeln!(stderr, "report:  {}", report.display());
            }
            Some(Err(error)) => {
                let _ = writeln!(stderr, "error: {}", with_causes(&error));
                if exit_code == 0 {
                    exit_code = exit::INFRASTRUCTURE;
                }
            }
            None => {}
        }
        let _ = writeln!(stderr, "results: {}", directory.path().join("results").display());
        Ok(ExitCode::from(exit_code))
    }
}

/// The places where drivers are looked for.
pub(super) fn driver_paths(driver_dir: Option<PathBuf>) -> Result<DriverPaths, CommandError> {
    Ok(DriverPaths::from_env(driver_dir)?)
}

/// Each source is for another driver, and that one is used.
pub(super) fn check_sources(sources: &[DriverSource], used: &[DriverName]) -> Result<(), CommandError> {
    for (place, source) in sources.iter().enumerate() {
        let driver = &source.driver;
        let problem = if driver.is_embedded() {
            "the embedded driver is part of the worker, and has no source of its own"
        } else if sources[..place].iter().any(|earlier| earlier.driver == *driver) {
            "a driver has one source, and this one was given two"
        } else if !used.contains(driver) {
            "this driver is not among those that were asked for"
        } else {
            continue;
        };
        return Err(CommandError::Input(format!("--driver-source {driver}=...: {problem}")));
    }
    Ok(())
}
