//! `runner resume`: a run whose orchestrator has died.

use super::attach::Attach;
#[cfg(feature = "ec2")]
use super::ec2::Recorded;
#[cfg(target_os = "linux")]
use super::local::Local;
use super::{CommandError, options};
use crate::run::{Beginning, RunDirectory, RunError, RunState, ScenarioSource};
use crate::summary::Summary;
use backends::layout;
use clap::Args;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `runner resume`.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The run's directory, or its name in --out
    run: PathBuf,

    /// Directory that has a directory for each run
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,

    /// For `attach`: where the key is by now [default: where it was]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Print the summary as JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Resume {
    pub(super) fn run(self, verbose: bool) -> Result<ExitCode, CommandError> {
        let path = if self.run.is_dir() { self.run.clone() } else { self.out.join(&self.run) };
        let directory = RunDirectory::open(&path)?;
        let text = |key: &str| directory.recorded(key).as_str().unwrap_or_default().to_owned();
        if text("state") == "done" {
            return Err(CommandError::Input(format!(
                "the run in {} is over already; `runner report` shows it",
                directory.path().display()
            )));
        }
        let file = directory.path().join(layout::scenario_file(&text("scenario")));
        let scenario = ScenarioSource::new(Some(file.clone())).load();
        let scenario = scenario.map_err(|error| CommandError::Input(error.to_string()))?;
        let left = left_in(&directory).map(|left| Beginning::Again(Box::new(left)));
        match text("backend").as_str() {
            "attach" => {
                let mut attach: Attach = recorded_options(&directory)?;
                attach.run.json |= self.json;
                attach.key_file = self.key_file.unwrap_or(attach.key_file);
                attach.resume(&directory, (file, scenario), left?, verbose)
            }
            #[cfg(target_os = "linux")]
            "local" => {
                let mut local: Local = recorded_options(&directory)?;
                local.run.json |= self.json;
                local.resume(&directory, (file, scenario), left?, verbose)
            }
            #[cfg(feature = "ec2")]
            "ec2" => {
                let recorded: Recorded = recorded_options(&directory)?;
                recorded.resume(&directory, (file, scenario), left, (self.json, verbose))
            }
            backend => Err(CommandError::Input(format!(
                "the run in {} is one of {backend:?}, which this program cannot resume",
                directory.path().display()
            ))),
        }
    }
}

/// What the process that died has written last.
fn left_in(directory: &RunDirectory) -> Result<(RunState, Summary), RunError> {
    Ok((directory.read("state.json")?, directory.read("summary.json")?))
}

fn recorded_options<T: DeserializeOwned>(directory: &RunDirectory) -> Result<T, CommandError> {
    let options: Result<T, _> = serde_json::from_value(directory.recorded("options"));
    options.map_err(|error| {
        let version = directory.recorded("version");
        CommandError::Input(format!(
            "the options of the run in {} (begun by version {version}) cannot be read by version {}: {error}",
            directory.path().display(),
            options::VERSION
        ))
    })
}
