//! `runner attach`: a scenario over workers that somebody else started.

use super::CommandError;
use super::options::RunOptions;
use crate::run::{
    self, Beginning, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory,
    RunError, ScenarioSource,
};
use backends::hosts::{AttachedHosts, Hosts};
use backends::key_file;
use backends::scenario::Scenario;
use clap::Args;
use russula_proto::RunId;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Options of `runner attach`; what it does is told to the user at its verb.
#[derive(Debug, Args, Serialize, Deserialize)]
pub(super) struct Attach {
    /// The scenario file, the same that the workers have
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,

    /// A server's worker; one for each server of the scenario, in order
    #[arg(long = "server", value_name = "IP:PORT", num_args = 1.., required = true)]
    servers: Vec<SocketAddr>,

    /// A client's worker; one for each client of the scenario, in order
    #[arg(long = "client", value_name = "IP:PORT", num_args = 1.., required = true)]
    clients: Vec<SocketAddr>,

    /// The run that the workers were started for
    #[arg(long = "run", value_name = "ID", default_value = "manual")]
    run_id: RunId,

    /// File with the key that the workers were started with (`runner key FILE` makes one)
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: PathBuf,

    /// Wait for Enter before the servers are stopped; the end of stdin ends the wait
    #[arg(long)]
    pause: bool,

    /// Most time for all workers to be reached and ready; they may be started later than this
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = backends::durations::parse_limit)]
    ready_timeout: Duration,

    #[command(flatten)]
    pub(super) run: RunOptions,
}

impl Attach {
    pub(super) fn run(self, verbose: bool) -> Result<ExitCode, CommandError> {
        let source = ScenarioSource::new(Some(self.scenario.clone()));
        let scenario = source.load().map_err(|error| CommandError::Input(error.to_string()))?;
        let groups = [
            ("server", self.servers.len(), scenario.servers().len()),
            ("client", self.clients.len(), scenario.clients().len()),
        ];
        for (group, given, expected) in groups {
            if given != expected {
                let (given, expected) = (count(given, "time"), count(expected, group));
                return Err(CommandError::Input(format!(
                    "--{group} was given {given}, the scenario has {expected}: give one worker for each"
                )));
            }
        }
        // Where a process that takes this run over finds it, wherever it is started.
        let key_file = std::path::absolute(&self.key_file).map_err(|error| {
            CommandError::Input(format!("--key-file {}: {error}", self.key_file.display()))
        })?;
        let options = Self { key_file, ..self };
        let plan = options.plan(scenario, &options.scenario)?;
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let directory = RunDirectory::create(&options.run.out)?;
        let outcome = options.run_in(&directory, &plan, Some(&source), interrupts, Beginning::New);
        let outcome = outcome.inspect_err(|error| directory.note_failure(error))?;
        options.run.show(&directory, &outcome, verbose)
    }

    /// Takes the run in `directory` over, which was begun with these options.
    pub(super) fn resume(
        self,
        directory: &RunDirectory,
        scenario: (PathBuf, Scenario),
        beginning: Beginning,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        let (file, scenario) = scenario;
        let plan = self.plan(scenario, &file)?;
        if !directory.has_key(&plan.key) {
            return Err(CommandError::Input(format!(
                "--key-file {}: it holds another key than the one that the run was begun with, and the workers would \
                 refuse it",
                self.key_file.display()
            )));
        }
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let outcome = self.run_in(directory, &plan, None, interrupts, beginning)?;
        self.run.show(directory, &outcome, verbose)
    }

    fn plan(&self, scenario: Scenario, file: &Path) -> Result<Plan, CommandError> {
        let names = self.run.driver_names()?.into_iter();
        let drivers: Vec<PlannedDriver> = names
            .map(|name| PlannedDriver { name: name.to_string(), programs: DriverPrograms::OnWorkers {} })
            .collect();
        Ok(Plan {
            run: self.run_id.clone(),
            key: key_file::read(&self.key_file)?,
            repeat: self.run.repeat,
            ready_timeout: self.ready_timeout,
            timeout: self.run.timeout,
            over_by: None,
            max_start_skew: self.run.max_start_skew,
            on_start_skew: self.run.on_start_skew,
            pause: self.pause,
            work: run::work_of(file, &drivers)?,
            drivers,
            scenario,
        })
    }

    fn run_in(
        &self,
        directory: &RunDirectory,
        plan: &Plan,
        source: Option<&ScenarioSource>,
        interrupts: Interrupts,
        beginning: Beginning,
    ) -> Result<Outcome, RunError> {
        let mut hosts = AttachedHosts::new(&self.servers, &self.clients);
        if let Some(source) = source {
            directory.place_scenario(source, plan.scenario.name())?;
            directory.write_plan("attach", plan, self)?;
            directory.write_fingerprint(&plan.key)?;
            directory.write_hosts(&hosts)?;
        }
        let progress = Progress::new(plan);
        run::run(plan, &mut hosts as &mut dyn Hosts, directory, &progress, interrupts, beginning)
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
