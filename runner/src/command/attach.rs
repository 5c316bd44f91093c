//! `runner attach`: a scenario over workers that somebody else started.

use super::CommandError;
use super::options::RunOptions;
use crate::run::{
    self, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory, RunError,
    ScenarioSource,
};
use backends::hosts::{AttachedHosts, Hosts};
use clap::Args;
use russula_proto::RunId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `runner attach`; what it does is told to the user at its verb.
#[derive(Debug, Args)]
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

    /// Wait for Enter before the servers are stopped; the end of stdin ends the wait
    #[arg(long)]
    pause: bool,

    /// Most time for all workers to be reached and ready; they may be started later than this
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = backends::durations::parse_limit)]
    ready_timeout: Duration,

    #[command(flatten)]
    run: RunOptions,
}

impl Attach {
    pub(super) fn run(&self, verbose: bool) -> Result<ExitCode, CommandError> {
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
        let drivers = self
            .run
            .driver_names()?
            .into_iter()
            .map(|name| PlannedDriver { name: name.to_string(), programs: DriverPrograms::OnWorkers {} });
        let drivers: Vec<PlannedDriver> = drivers.collect();
        let plan = Plan {
            run: self.run_id.clone(),
            repeat: self.run.repeat,
            ready_timeout: self.ready_timeout,
            timeout: self.run.timeout,
            pause: self.pause,
            work: run::work_of(&self.scenario, &drivers)?,
            drivers,
            scenario,
        };
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let directory = RunDirectory::create(&self.run.out)?;
        let outcome = self.run_in(&directory, &plan, interrupts);
        let outcome = outcome.inspect_err(|error| directory.note_failure(error))?;
        self.run.show(&directory, &outcome, verbose)
    }

    fn run_in(
        &self,
        directory: &RunDirectory,
        plan: &Plan,
        interrupts: Interrupts,
    ) -> Result<Outcome, RunError> {
        directory.write_plan("attach", plan)?;
        let mut hosts = AttachedHosts::new(&self.servers, &self.clients);
        directory.write_hosts(&hosts)?;
        let progress = Progress::new(plan);
        run::run(plan, &mut hosts as &mut dyn Hosts, directory, &progress, interrupts)
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
