//! `runner ec2 --scenario FILE`: one run in the cloud.

use super::Session;
use super::options::{AccountArgs, Ec2Run};
use super::plan::Planned;
use super::publish::{self, Publication};
use crate::command::programs::Found;
use crate::command::{CommandError, EMBEDDED_CLIENT, EMBEDDED_SERVER};
use crate::run::{
    self, Beginning, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory,
    RunError, ScenarioSource,
};
use backends::hosts::Hosts;
use backends::key_file;
use backends::scenario::Scenario;
use ec2::artifacts::{AL2023_GLIBC, Artifact, check};
use ec2::cloud::{self, CloudHosts, CloudParts, News, Preparation, ProvisionError};
use ec2::hosts::CloudHost;
use ec2::journal::{self, Entry, Journal};
use ec2::launch::{CONTROL_PORT, Launch, read_key};
use ec2::names::RunNames;
use ec2::steps::{ScriptContext, WorkerDriver};
use ec2::tags::Tags;
use jiff::Timestamp;
use russula_proto::{CoordinatorLimits, Key};
use serde_json::json;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Permissions of programs and of the scenario on a host.
const PROGRAM_MODE: u32 = 0o755;
const SCENARIO_MODE: u32 = 0o600;

impl Ec2Run {
    pub(super) fn run(self, account: &AccountArgs, verbose: bool) -> Result<ExitCode, CommandError> {
        let source = ScenarioSource::new(self.scenario.clone());
        let scenario = source.load().map_err(|error| CommandError::Input(error.to_string()))?;
        let (found, collector) = self.programs.find(&self.run)?;
        let worker = match &self.worker {
            Some(worker) => worker.clone(),
            None => std::env::current_exe().map_err(RunError::OwnPath)?,
        };
        let session = Session::open(account)?;
        let planned = self.plan(&session, &account.stack, &scenario)?;
        self.check_programs(&planned, &worker, &found, collector.as_deref())?;
        planned.check_permission(&session)?;
        if self.dry_run {
            let _ = write!(std::io::stdout(), "{}", planned.describe(&session));
            return Ok(ExitCode::SUCCESS);
        }
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let directory = RunDirectory::create(&self.run.out)?;
        tracing::info!("the run directory is {}", directory.path().display());
        let file = directory.place_scenario(&source, scenario.name())?;
        let files = Files::collect(&worker, &found, collector.as_deref(), &file, scenario.name())?;
        let plan = self.run_plan(&directory, key_file::generate()?, &files.drivers, (&file, scenario))?;
        let options = json!({"account": account, "ec2": self});
        directory.write_plan("ec2", &plan, &options)?;
        let impatience = interrupts.as_fd().try_clone_to_owned().ok();
        let bucket = &planned.infrastructure.bucket;
        let publication = Publication::begin(&session, bucket, &directory, &plan, impatience);
        let progress = Progress::new(&plan).observed_by(publication.observer());
        let outcome =
            self.carry_out(session, planned, &plan, files, &directory, &progress, &publication, interrupts);
        let outcome = outcome.inspect_err(|error| directory.note_failure(error));
        self.show(&directory, outcome, publication, verbose)
    }

    /// Takes the run in `directory` over, which was begun with these options.
    pub(super) fn resume(
        &self,
        account: &AccountArgs,
        directory: &RunDirectory,
        (file, scenario): (PathBuf, Scenario),
        beginning: Beginning,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        let left = Left::read(directory)?;
        let account = AccountArgs { region: Some(left.region.clone()), ..account.clone() };
        let session = Session::open(&account)?;
        let names = RunNames::new(directory.run_id().clone());
        let (found, collector) = self.programs.find(&self.run)?;
        let worker = std::env::current_exe().map_err(RunError::OwnPath)?;
        let worker = self.worker.as_deref().unwrap_or(&worker);
        let files = Files::collect(worker, &found, collector.as_deref(), &file, scenario.name())?;
        let (infrastructure, key) = session.runtime.block_on(async {
            let infrastructure = self.infrastructure(&session, &account.stack).await?;
            let key = read_key(&session.account, &names).await?;
            Ok::<_, CommandError>((infrastructure, key))
        })?;
        let plan = self.run_plan(directory, key, &files.drivers, (&file, scenario))?;
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let impatience = interrupts.as_fd().try_clone_to_owned().map_err(RunError::Signals)?;
        let context = self.context(&session, &infrastructure.bucket, &names, &plan, &files);
        let publication = Publication::begin(
            &session,
            &infrastructure.bucket,
            directory,
            &plan,
            impatience.try_clone().ok(),
        );
        let progress = Progress::new(&plan).observed_by(publication.observer());
        progress.message(publication.launched(&left.hosts));
        let mut hosts = CloudHosts::new(CloudParts {
            runtime: session.runtime,
            account: session.account,
            infrastructure,
            context,
            hosts: left.hosts,
            run_directory: directory.path().to_owned(),
            keep: self.keep,
            impatience: Some(impatience),
        });
        let outcome =
            run::run(&plan, &mut hosts as &mut dyn Hosts, directory, &progress, interrupts, beginning);
        // Whatever became of the run, they are given back before anything is shown.
        drop(hosts);
        self.show(directory, outcome, publication, verbose)
    }

    fn run_plan(
        &self,
        directory: &RunDirectory,
        key: Key,
        drivers: &[PlannedDriver],
        (file, scenario): (&Path, Scenario),
    ) -> Result<Plan, RunError> {
        Ok(Plan {
            run: directory.run_id().clone(),
            key,
            drivers: drivers.to_vec(),
            repeat: self.run.repeat,
            ready_timeout: CoordinatorLimits::default().ready,
            timeout: self.run.timeout,
            max_start_skew: self.run.max_start_skew,
            on_start_skew: self.run.on_start_skew,
            pause: false,
            work: run::work_of(file, drivers)?,
            scenario,
        })
    }

    /// A program that could not run on the hosts is found out before they cost anything.
    fn check_programs(
        &self,
        planned: &Planned,
        worker: &Path,
        found: &[Found],
        collector: Option<&Path>,
    ) -> Result<(), CommandError> {
        // An image of the user's may have any C library.
        let glibc = if self.ami.is_some() { (u16::MAX, u16::MAX) } else { AL2023_GLIBC };
        let drivers = found.iter().flat_map(|driver| match driver {
            Found::Embedded(_) => vec![],
            Found::Programs { server, client, .. } => vec![server.as_path(), client.as_path()],
        });
        let programs: Vec<&Path> = [Some(worker), collector].into_iter().flatten().chain(drivers).collect();
        for architecture in planned.plan.architectures.values() {
            for program in &programs {
                check(program, *architecture, glibc)
                    .map_err(|error| CommandError::Input(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Everything from the first thing that is created to the last that is given back.
    #[allow(clippy::too_many_arguments, reason = "each is made at another moment of the verb")]
    fn carry_out(
        &self,
        session: Session,
        planned: Planned,
        plan: &Plan,
        files: Files,
        directory: &RunDirectory,
        progress: &Progress,
        publication: &Publication,
        mut interrupts: Interrupts,
    ) -> Result<Outcome, RunError> {
        let names = RunNames::new(plan.run.clone());
        let bucket = &planned.infrastructure.bucket;
        let context = self.context(&session, bucket, &names, plan, &files);
        let preparation = Preparation { artifacts: files.artifacts, context, ttl: self.ttl };
        let impatience = interrupts.as_fd().try_clone_to_owned().map_err(RunError::Signals)?;
        let mut tell = |news: News<'_>| match news {
            News::Doing(what) => progress.phase(what),
            News::Running(hosts) => {
                publish::write_facts(directory.path(), hosts, &planned.plan);
                progress.message(publication.launched(hosts));
            }
        };
        let provisioned = self.provision(
            &session,
            &planned,
            &names,
            plan,
            &preparation,
            directory,
            progress,
            &mut tell,
            &impatience,
        );
        let hosts = match provisioned {
            Ok(hosts) => hosts,
            Err(error) => {
                progress.phase("giving back what was created");
                // From now on, one more signal means that the user has no patience left.
                interrupts.drain();
                let bucket = &planned.infrastructure.bucket;
                let (account, keep) = (&session.account, self.keep);
                if !keep {
                    let left = session.runtime.block_on(cloud::give_back(
                        account,
                        &names,
                        bucket,
                        Some(&impatience),
                    ));
                    if left.is_nothing() {
                        cloud::note_gone(directory.path());
                    }
                    for what in left.describe() {
                        progress.message(&format!("left: {what}"));
                    }
                }
                return Err(error);
            }
        };
        let parts = CloudParts {
            runtime: session.runtime,
            account: session.account,
            infrastructure: planned.infrastructure,
            context: preparation.context,
            hosts,
            run_directory: directory.path().to_owned(),
            keep: self.keep,
            impatience: Some(impatience),
        };
        let mut hosts = CloudHosts::new(parts);
        directory.write_hosts(&hosts)?;
        run::run(plan, &mut hosts as &mut dyn Hosts, directory, progress, interrupts, Beginning::New)
    }

    #[allow(clippy::too_many_arguments, reason = "each is made at another moment of the verb")]
    fn provision(
        &self,
        session: &Session,
        planned: &Planned,
        names: &RunNames,
        plan: &Plan,
        preparation: &Preparation,
        directory: &RunDirectory,
        progress: &Progress,
        tell: &mut dyn FnMut(News<'_>),
        impatience: &OwnedFd,
    ) -> Result<Vec<CloudHost>, RunError> {
        let journal = Journal::open(directory.path()).map_err(ProvisionError::from)?;
        let (run, region) = (names.run().to_string(), session.account.region.clone());
        let bucket = planned.infrastructure.bucket.clone();
        journal.write(&Entry::Run { run, region, bucket }).map_err(ProvisionError::from)?;
        let now = Timestamp::now();
        let tags = Tags {
            run: names.run().to_string(),
            owner: session.caller.arn.clone(),
            created: now.to_string(),
            expires: now.saturating_add(self.ttl).unwrap_or(now).to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let launch = Launch {
            account: &session.account,
            infrastructure: &planned.infrastructure,
            names,
            tags: &tags,
            plan: &planned.plan,
            settings: &planned.settings,
            journal: &journal,
        };
        let hosts = session.runtime.block_on(async {
            let interrupted = cloud::readable(Some(impatience));
            cloud::provision(&launch, &plan.key, preparation, tell, interrupted).await
        });
        Ok(hosts?)
    }

    fn context(
        &self,
        session: &Session,
        bucket: &str,
        names: &RunNames,
        plan: &Plan,
        files: &Files,
    ) -> ScriptContext {
        let mut worker_options = Vec::from(self.programs.worker_args());
        worker_options.extend(["--scenario-name".to_owned(), plan.scenario.name().to_owned()]);
        if let Some(collector) = &files.collector {
            worker_options.extend(["--stock-collector".to_owned(), collector.clone()]);
        }
        ScriptContext {
            names: names.clone(),
            region: session.account.region.clone(),
            bucket: bucket.to_owned(),
            scenario: files.scenario.clone(),
            drivers: files.on_hosts.clone(),
            control_port: CONTROL_PORT,
            driver_port: self.driver_port,
            worker_options,
            builds: vec![],
            step_limit: self.step_timeout,
        }
    }
}

/// What a process that died has left in the cloud.
struct Left {
    region: String,
    hosts: Vec<CloudHost>,
}

impl Left {
    fn read(directory: &RunDirectory) -> Result<Self, CommandError> {
        let path = directory.path().display();
        let entries = journal::read(directory.path());
        let entries =
            entries.map_err(|error| CommandError::Input(format!("{path}: {}: {error}", journal::FILE)))?;
        let mut left = Self { region: String::new(), hosts: vec![] };
        for entry in entries {
            match entry {
                Entry::Run { region, .. } => left.region = region,
                Entry::Hosts { hosts } => left.hosts = hosts,
                Entry::GivingBack | Entry::Gone => left.hosts.clear(),
                Entry::Intent { .. } | Entry::Created { .. } => {}
            }
        }
        if left.hosts.is_empty() {
            let run = directory.run_id();
            return Err(CommandError::Input(format!(
                "the run in {path} has no hosts that are ready: its orchestrator died before they were, or when \
                 it had begun to give them back; `runner ec2 destroy {run}` removes what is left"
            )));
        }
        Ok(left)
    }
}

/// What goes to the hosts.
struct Files {
    artifacts: Vec<Artifact>,
    drivers: Vec<PlannedDriver>,
    on_hosts: Vec<WorkerDriver>,
    scenario: String,
    collector: Option<String>,
}

impl Files {
    fn collect(
        worker: &Path,
        found: &[Found],
        collector: Option<&Path>,
        scenario_file: &Path,
        scenario: &str,
    ) -> Result<Self, CommandError> {
        let mut files = Self {
            artifacts: vec![],
            drivers: vec![],
            on_hosts: vec![],
            scenario: format!("scenario/{scenario}.json"),
            collector: None,
        };
        files.add(worker, "bin/runner", PROGRAM_MODE)?;
        files.add(scenario_file, &files.scenario.clone(), SCENARIO_MODE)?;
        for driver in found {
            let (name, server, client, programs) = match driver {
                // The worker's program itself, under the names that make it the driver.
                Found::Embedded(name) => {
                    let server = files.add(worker, &format!("bin/{EMBEDDED_SERVER}"), PROGRAM_MODE)?;
                    let client = files.add(worker, &format!("bin/{EMBEDDED_CLIENT}"), PROGRAM_MODE)?;
                    (name, server, client, DriverPrograms::BuiltIn { builtin: env!("CARGO_PKG_VERSION") })
                }
                Found::Programs { name, server, client } => {
                    let programs = DriverPrograms::Files { server: server.clone(), client: client.clone() };
                    let server = files.add(server, &format!("bin/{name}-server"), PROGRAM_MODE)?;
                    let client = files.add(client, &format!("bin/{name}-client"), PROGRAM_MODE)?;
                    (name, server, client, programs)
                }
            };
            let (server, client) = (Some(server), Some(client));
            files.on_hosts.push(WorkerDriver { name: name.to_string(), server, client });
            files.drivers.push(PlannedDriver { name: name.to_string(), programs });
        }
        if let Some(collector) = collector {
            files.collector = Some(files.add(collector, "bin/collector", PROGRAM_MODE)?);
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path, name: &str, mode: u32) -> Result<String, CommandError> {
        // The worker's program is wanted under several names, and a digest takes its time.
        let known = self.artifacts.iter().find(|artifact| artifact.path == path);
        let artifact = match known {
            Some(known) => Ok(Artifact { name: name.to_owned(), mode, ..known.clone() }),
            None => Artifact::of_file(path, name, mode),
        };
        self.artifacts.push(artifact.map_err(|error| CommandError::Input(error.to_string()))?);
        Ok(name.to_owned())
    }
}
