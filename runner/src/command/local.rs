//! `runner local`: a scenario on this machine.

use super::options::RunOptions;
use super::programs::{Found, ProgramOptions};
use super::{CommandError, EMBEDDED_CLIENT, EMBEDDED_SERVER, WORKER};
use crate::run::{
    self, Beginning, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory,
    RunError, ScenarioSource,
};
use backends::drivers::DriverName;
use backends::hosts::Hosts;
use backends::key_file;
use backends::local::{LocalHosts, LocalPlan};
use backends::scenario::Scenario;
use clap::Args;
use russula_proto::CoordinatorLimits;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `runner local`.
///
/// Each server and client of the scenario is a host: a loopback address with a worker process. Without
/// --scenario, a demonstration runs: one client and four servers for about five seconds.
#[derive(Debug, Args, Serialize, Deserialize)]
pub(super) struct Local {
    /// The scenario file; s2n-netbench-scenarios makes them
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    #[command(flatten)]
    pub(super) run: RunOptions,

    #[command(flatten)]
    programs: ProgramOptions,
}

impl Local {
    pub(super) fn run(mut self, verbose: bool) -> Result<ExitCode, CommandError> {
        let source = ScenarioSource::new(self.scenario.clone());
        let scenario = source.load().map_err(|error| CommandError::Input(error.to_string()))?;
        let (found, collector) = self.programs.find(&self.run)?;
        if let Some(directory) = &mut self.programs.driver_dir {
            *directory = std::path::absolute(&*directory).map_err(RunError::OwnPath)?;
        }
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let directory = RunDirectory::create(&self.run.out)?;
        tracing::info!("the run directory is {}", directory.path().display());
        let outcome = directory.place_scenario(&source, scenario.name()).and_then(|file| {
            self.run_in(&directory, (file, scenario), (&found, collector), interrupts, Beginning::New)
        });
        let outcome = outcome.inspect_err(|error| directory.note_failure(error))?;
        self.run.show(&directory, &outcome, verbose)
    }

    /// Takes the run in `directory` over, which was begun with these options.
    pub(super) fn resume(
        &self,
        directory: &RunDirectory,
        scenario: (PathBuf, Scenario),
        beginning: Beginning,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        let (found, collector) = self.programs.find(&self.run)?;
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let outcome = self.run_in(directory, scenario, (&found, collector), interrupts, beginning)?;
        self.run.show(directory, &outcome, verbose)
    }

    fn run_in(
        &self,
        directory: &RunDirectory,
        (scenario_file, scenario): (PathBuf, Scenario),
        (found, collector): (&[Found], Option<PathBuf>),
        interrupts: Interrupts,
        beginning: Beginning,
    ) -> Result<Outcome, RunError> {
        let programs = Programs::place(directory, found)?;
        let plan = Plan {
            run: directory.run_id().clone(),
            key: key_file::generate()?,
            drivers: programs.drivers.clone(),
            repeat: self.run.repeat,
            ready_timeout: CoordinatorLimits::default().ready,
            timeout: self.run.timeout,
            over_by: None,
            max_start_skew: self.run.max_start_skew,
            on_start_skew: self.run.on_start_skew,
            pause: false,
            work: run::work_of(&scenario_file, &programs.drivers)?,
            scenario,
        };
        if matches!(beginning, Beginning::New) {
            directory.write_plan("local", &plan, self)?;
        }
        let progress = Progress::new(&plan);
        progress.phase("starting workers");
        let local = LocalPlan {
            worker: std::env::current_exe().map_err(RunError::OwnPath)?,
            worker_args: vec![WORKER.into()],
            key: plan.key.clone(),
            common_args: self.worker_args(directory, &plan, &scenario_file, collector.as_deref()),
            server_args: programs.server_args.clone(),
            client_args: programs.client_args.clone(),
            out: directory.path().to_owned(),
            servers: plan.scenario.servers().len(),
            clients: plan.scenario.clients().len(),
            kill_grace: self.programs.kill_grace,
        };
        let mut hosts = LocalHosts::launch(&local, interrupts.as_fd())?;
        directory.write_hosts(&hosts)?;
        run::run(&plan, &mut hosts as &mut dyn Hosts, directory, &progress, interrupts, beginning)
    }

    fn worker_args(
        &self,
        directory: &RunDirectory,
        plan: &Plan,
        scenario: &Path,
        collector: Option<&Path>,
    ) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            "--run".into(),
            plan.run.as_str().into(),
            "--scenario".into(),
            scenario.into(),
            "--scenario-name".into(),
            plan.scenario.name().into(),
            "--out".into(),
            directory.path().into(),
        ];
        args.extend(self.programs.worker_args().map(OsString::from));
        if let Some(collector) = collector {
            args.extend(["--stock-collector".into(), collector.into()]);
        }
        args
    }
}

/// The programs of a run, for the plan and for the workers' command lines. The embedded driver is this executable
/// under another name, so it gets links in the run directory as long as the run lasts.
#[derive(Default)]
struct Programs {
    drivers: Vec<PlannedDriver>,
    server_args: Vec<OsString>,
    client_args: Vec<OsString>,
    links: Option<PathBuf>,
}

impl Programs {
    fn place(directory: &RunDirectory, found: &[Found]) -> Result<Self, RunError> {
        let mut programs = Self::default();
        for driver in found {
            match driver {
                Found::Programs { name, server, client } => {
                    let files = DriverPrograms::Files { server: server.clone(), client: client.clone() };
                    programs.add(name, files, server, client);
                }
                Found::Embedded(name) => {
                    let links = directory.link_to_self("bin", &[EMBEDDED_SERVER, EMBEDDED_CLIENT])?;
                    let builtin = DriverPrograms::BuiltIn { builtin: env!("CARGO_PKG_VERSION") };
                    programs.add(name, builtin, &links.join(EMBEDDED_SERVER), &links.join(EMBEDDED_CLIENT));
                    programs.links = Some(links);
                }
            }
        }
        Ok(programs)
    }

    fn add(&mut self, name: &DriverName, programs: DriverPrograms, server: &Path, client: &Path) {
        self.drivers.push(PlannedDriver { name: name.to_string(), programs });
        for (args, program) in [(&mut self.server_args, server), (&mut self.client_args, client)] {
            let mut entry = OsString::from(format!("{name}="));
            entry.push(program);
            args.extend(["--driver".into(), entry]);
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        if let Some(links) = &self.links
            && let Err(error) = std::fs::remove_dir_all(links)
        {
            tracing::warn!("{} cannot be removed: {error}", links.display());
        }
    }
}
