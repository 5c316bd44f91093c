//! `runner ec2 --scenario FILE`: one run in the cloud.

use super::Session;
use super::options::{AccountArgs, Ec2Run, PlaceArgs};
use super::plan::{Planned, tags_of};
use super::programs::{OnHosts, Supplies};
use super::publish::{self, Publication};
use crate::command::CommandError;
use crate::run::{
    self, Beginning, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory,
    RunError, ScenarioSource,
};
use backends::drivers::DriverName;
use backends::hosts::Hosts;
use backends::key_file;
use backends::scenario::Scenario;
use backends::signals::Patience;
use ec2::api::Cause;
use ec2::artifacts::Artifact;
use ec2::cloud::{CloudHosts, CloudParts};
use ec2::hosts::CloudHost;
use ec2::journal::{self, Entry, Journal};
use ec2::launch::{Launch, Settings, open_control_port, read_key};
use ec2::names::RunNames;
use ec2::patience::out_of_patience;
use ec2::plan::LaunchPlan;
use ec2::provision::{News, Preparation, ProvisionError, provision};
use ec2::steps::ScriptContext;
use ec2::tags::Tags;
use russula_proto::{CoordinatorLimits, Key};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const NO_SCENARIO: &str =
    "which scenario is to be run? give --scenario FILE, or scenario = \"FILE\" in the file of --config";

impl Ec2Run {
    pub(super) fn run(self, place: &PlaceArgs, verbose: bool) -> Result<ExitCode, CommandError> {
        let Some(file) = self.scenario.clone() else {
            return Err(CommandError::Input(NO_SCENARIO.to_owned()));
        };
        let place = &place.absolute().map_err(RunError::OwnPath)?;
        let source = ScenarioSource::File(file);
        let scenario = source.load().map_err(|error| CommandError::Input(error.to_string()))?;
        let local = self.local_programs()?;
        let session = Session::open(&place.account)?;
        let planned = self.plan(&session, place, &scenario)?;
        let supplies = local.supplies(&session, &planned)?;
        if self.dry_run {
            let text = planned.describe(&session) + &supplies.describe();
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        planned.check_permission(&session)?;
        if self.dry_run {
            let _ = writeln!(
                std::io::stdout(),
                "the hosts may be launched: EC2 says so (dry run of RunInstances)"
            );
            return Ok(ExitCode::SUCCESS);
        }
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let directory = RunDirectory::create(&self.run.out)?;
        tracing::info!("the run directory is {}", directory.path().display());
        let file = directory.place_scenario(&source, scenario.name())?;
        let on_hosts = self.on_hosts(scenario.name())?;
        let artifacts = supplies.artifacts(&file, &on_hosts)?;
        let plan = self.run_plan(&directory, key_file::generate()?, &supplies.drivers, (&file, scenario))?;
        let options = json!({"place": place, "ec2": self});
        directory.write_plan("ec2", &plan, &options)?;
        let files = HostFiles { artifacts, supplies, on_hosts };
        let patience = interrupts.patience().map_err(RunError::Signals)?;
        let bucket = &planned.infrastructure.bucket;
        let publication = Publication::begin(&session, bucket, &directory, &plan, patience.clone());
        let progress = Progress::new(&plan).observed_by(publication.observer());
        let part = RunParts {
            place,
            plan: &plan,
            directory: &directory,
            progress: &progress,
            publication: &publication,
        };
        let outcome = self.carry_out(session, planned, files, &part, interrupts, patience);
        let outcome = outcome.inspect_err(|error| directory.note_failure(error));
        self.show(&directory, outcome, publication, verbose)
    }

    /// Takes the run in `directory` over, which was begun with these options.
    pub(super) fn resume(
        &self,
        place: &PlaceArgs,
        directory: &RunDirectory,
        (file, scenario): (PathBuf, Scenario),
        beginning: Result<Beginning, RunError>,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        let left = LeftBehind::read(directory, place)?;
        let options = place.options(&left.region);
        let taken_over = self.take_over(place, directory, (file, scenario), beginning, left);
        if !matches!(taken_over, Ok((Ok(_), _))) {
            let run = directory.run_id();
            let _ = writeln!(
                std::io::stderr(),
                "what there is of the run stays as it is; `runner ec2 destroy {run}{options}` removes it"
            );
        }
        let (outcome, publication) = taken_over?;
        self.show(directory, outcome, publication, verbose)
    }

    /// Has the hosts that are `left` go on. If that cannot begin, nothing of the run has changed.
    fn take_over(
        &self,
        place: &PlaceArgs,
        directory: &RunDirectory,
        (file, scenario): (PathBuf, Scenario),
        beginning: Result<Beginning, RunError>,
        left: LeftBehind,
    ) -> Result<(Result<Outcome, RunError>, Publication), CommandError> {
        let beginning = beginning?;
        let account = AccountArgs { region: Some(left.region), ..place.account.clone() };
        let session = Session::open(&account)?;
        let names = RunNames::new(directory.run_id().clone());
        let on_hosts = self.on_hosts(scenario.name())?;
        // They are on the hosts already, wherever they came from.
        let driver = |name: &DriverName| PlannedDriver {
            name: name.to_string(),
            programs: DriverPrograms::OnWorkers {},
        };
        let drivers: Vec<PlannedDriver> = self.run.driver_names()?.iter().map(driver).collect();
        let (infrastructure, key) = session.runtime.block_on(async {
            let infrastructure = place.infrastructure(&session).await?;
            let key = read_key(&session.account, &names).await.map_err(|error| {
                let is_gone = error.cause == Cause::NotFound;
                let gone = || CommandError::Input(format!("the run is being given back already: {error}"));
                if is_gone { gone() } else { error.into() }
            })?;
            let cidrs = self.control_cidrs().await?;
            open_control_port(&session.account, &infrastructure, &names, &cidrs).await?;
            Ok::<_, CommandError>((infrastructure, key))
        })?;
        let plan = self.run_plan(directory, key, &drivers, (&file, scenario))?;
        run::raise_file_limit();
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let patience = interrupts.patience().map_err(RunError::Signals)?;
        let context = self.context(&session, &infrastructure.bucket, &names, &plan, &on_hosts);
        let bucket = &infrastructure.bucket;
        let publication = Publication::begin(&session, bucket, directory, &plan, patience.clone());
        let progress = Progress::new(&plan).observed_by(publication.observer());
        progress.message(publication.launched(&left.hosts));
        let mut hosts = CloudHosts::new(CloudParts {
            place: place.options(&session.account.region),
            runtime: session.runtime,
            account: session.account,
            infrastructure,
            context,
            hosts: left.hosts,
            run_directory: directory.path().to_owned(),
            keep: self.keep,
            patience: Some(patience),
        });
        let outcome =
            run::run(&plan, &mut hosts as &mut dyn Hosts, directory, &progress, interrupts, beginning);
        // Whatever became of the run, they are given back before anything is shown.
        drop(hosts);
        Ok((outcome, publication))
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
            over_by: Some(SystemTime::from(directory.started()) + self.ttl - collection_time(self.ttl)),
            max_start_skew: self.run.max_start_skew,
            on_start_skew: self.run.on_start_skew,
            pause: false,
            work: run::work_of(file, drivers)?,
            scenario,
        })
    }

    fn on_hosts(&self, scenario: &str) -> Result<OnHosts, CommandError> {
        Ok(OnHosts::new(&self.run.driver_names()?, self.programs.collector, scenario))
    }

    /// Everything from the first thing that is created to the last that is given back.
    fn carry_out(
        &self,
        session: Session,
        planned: Planned,
        files: HostFiles,
        part: &RunParts<'_>,
        interrupts: Interrupts,
        patience: Patience,
    ) -> Result<Outcome, RunError> {
        let RunParts { plan, directory, progress, .. } = *part;
        let names = RunNames::new(plan.run.clone());
        let HostFiles { artifacts, supplies: Supplies { built, builds, .. }, on_hosts } = files;
        let context = self.context(&session, &planned.infrastructure.bucket, &names, plan, &on_hosts);
        let preparation = Preparation { artifacts, built, builds, context: context.clone(), ttl: self.ttl };
        let tags = tags_of(&session, names.run().as_str(), self.ttl, &planned.infrastructure.bucket);
        let Planned { infrastructure, plan: launch_plan, settings, .. } = planned;
        // From here on, whatever is created is given back when these are dropped.
        let mut hosts = CloudHosts::new(CloudParts {
            place: part.place.options(&session.account.region),
            runtime: session.runtime,
            account: session.account,
            infrastructure,
            context,
            hosts: vec![],
            run_directory: directory.path().to_owned(),
            keep: self.keep,
            patience: Some(patience),
        });
        match part.provision(hosts.parts(), &launch_plan, &settings, &tags, &preparation) {
            Ok(ready) => hosts.adopt(ready),
            Err(error) => {
                progress.phase("giving back what was created");
                for what in hosts.release() {
                    progress.message(&format!("left: {what}"));
                }
                return Err(error);
            }
        }
        directory.write_hosts(&hosts)?;
        run::run(plan, &mut hosts as &mut dyn Hosts, directory, progress, interrupts, Beginning::New)
    }

    fn context(
        &self,
        session: &Session,
        bucket: &str,
        names: &RunNames,
        plan: &Plan,
        on_hosts: &OnHosts,
    ) -> ScriptContext {
        let mut worker_options = Vec::from(self.programs.worker_args());
        worker_options.extend(["--scenario-name".to_owned(), plan.scenario.name().to_owned()]);
        // Whoever resumes the run may come at any time: a worker that gives up would not outlive its host by it.
        let life = humantime::format_duration(self.ttl);
        worker_options.extend(["--orphan-timeout".to_owned(), life.to_string()]);
        if let Some(collector) = &on_hosts.collector {
            worker_options.extend(["--stock-collector".to_owned(), collector.clone()]);
        }
        ScriptContext {
            names: names.clone(),
            region: session.account.region.clone(),
            bucket: bucket.to_owned(),
            scenario: on_hosts.scenario.clone(),
            drivers: on_hosts.drivers.clone(),
            driver_port: self.driver_port,
            worker_options,
            step_limit: self.step_timeout,
        }
    }
}

/// What is left of the hosts' life, when no repetition goes on, for their results to be collected.
pub(super) fn collection_time(ttl: Duration) -> Duration {
    (ttl / 10).min(Duration::from_secs(600))
}

/// The run, and who is told of it.
#[derive(Clone, Copy)]
struct RunParts<'a> {
    place: &'a PlaceArgs,
    plan: &'a Plan,
    directory: &'a RunDirectory,
    progress: &'a Progress,
    publication: &'a Publication,
}

impl RunParts<'_> {
    /// Creates the hosts and has a worker listen on each.
    fn provision(
        &self,
        parts: &CloudParts,
        launch_plan: &LaunchPlan,
        settings: &Settings,
        tags: &Tags,
        preparation: &Preparation,
    ) -> Result<Vec<CloudHost>, RunError> {
        let names = &parts.context.names;
        let journal = Journal::open(self.directory.path()).map_err(ProvisionError::from)?;
        let (run, region) = (names.run().to_string(), parts.account.region.clone());
        let bucket = parts.infrastructure.bucket.clone();
        journal.write(&Entry::Run { run, region, bucket }).map_err(ProvisionError::from)?;
        let launch = Launch {
            account: &parts.account,
            infrastructure: &parts.infrastructure,
            names,
            tags,
            plan: launch_plan,
            settings,
            journal: &journal,
        };
        let mut tell = |news: News<'_>| match news {
            News::Doing(what) => self.progress.phase(what),
            News::Running(hosts) => {
                publish::write_facts(self.directory.path(), hosts, launch_plan);
                self.progress.message(self.publication.launched(hosts));
            }
        };
        Ok(parts.runtime.block_on(async {
            let interrupted = out_of_patience(parts.patience.as_ref(), 1, "");
            provision(&launch, &self.plan.key, preparation, &mut tell, interrupted).await
        })?)
    }
}

/// What a process that died has left in the cloud.
struct LeftBehind {
    region: String,
    hosts: Vec<CloudHost>,
}

impl LeftBehind {
    fn read(directory: &RunDirectory, place: &PlaceArgs) -> Result<Self, CommandError> {
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
            let (run, options) = (directory.run_id(), place.options(&left.region));
            return Err(CommandError::Input(format!(
                "the run in {path} has no hosts that are ready: its orchestrator died before they were, or when \
                 it had begun to give them back; `runner ec2 destroy {run}{options}` removes what is left"
            )));
        }
        Ok(left)
    }
}

/// What the hosts get, and where they have it.
struct HostFiles {
    artifacts: Vec<Artifact>,
    supplies: Supplies,
    on_hosts: OnHosts,
}
