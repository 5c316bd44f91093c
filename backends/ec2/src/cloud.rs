//! The hosts of a run as the run sees them: made ready, watched, collected from, and given back.

use crate::api::Account;
use crate::artifacts::{self, Artifact, ArtifactError, BadManifest, ManifestFile};
use crate::build::{self, BuildError, BuildOrder, BuiltFile};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use crate::journal::{Entry, Journal, JournalError};
use crate::launch::{CONTROL_PORT, Launch, LaunchError, Launched};
use crate::names::RunNames;
use crate::steps::{self, REACHABLE, ScriptContext, Step, StepError, StepTarget};
use crate::teardown::{Left, Teardown};
use crate::watch::{self, Watcher};
use backends::hosts::{Host, Hosts, LostHost, Results};
use backends::tcp::Coordinators;
use mio::Token;
use russula_proto::{Group, Key};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What the hosts of a run are for.
#[derive(Clone, Debug)]
pub struct Preparation {
    /// Programs and the scenario.
    pub artifacts: Vec<Artifact>,
    /// Programs that were built for an earlier run.
    pub built: Vec<BuiltFile>,
    /// Programs that are built on hosts of this one.
    pub builds: Vec<BuildOrder>,
    /// What the steps have to know.
    pub context: ScriptContext,
    /// How long links to the files last.
    pub ttl: Duration,
}

/// Why there are no hosts that are ready.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// They cannot be created.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// What they need cannot be handed to them.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The list of what they need cannot be written.
    #[error(transparent)]
    Manifest(#[from] BadManifest),
    /// They cannot be prepared.
    #[error(transparent)]
    Step(#[from] StepError),
    /// What they run cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// One was lost meanwhile.
    #[error("{group} {index} was lost while the hosts were prepared: {reason}")]
    Lost {
        /// Its group.
        group: Group,
        /// Its place in the group.
        index: usize,
        /// What is known about it.
        reason: String,
    },
    /// What was created cannot be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The user does not want them any more.
    #[error("interrupted while the hosts were prepared")]
    Interrupted,
}

/// What [`provision`] tells on its way.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// What it does now.
    Doing(&'a str),
    /// The hosts run, and can be prepared.
    Running(&'a [CloudHost]),
}

/// For calls that create something to be answered, once the user does not want it any more.
const ANSWERS_LIMIT: Duration = Duration::from_secs(20);

/// Creates the hosts of a run and has a worker listen on each, unless `stop` ends before that.
///
/// # Errors
/// The first thing that went wrong. What was created by then is found by its tags; giving it back is the caller's part.
pub async fn provision(
    launch: &Launch<'_>,
    key: &Key,
    preparation: &Preparation,
    tell: &mut dyn FnMut(News<'_>),
    stop: impl Future<Output = ()>,
) -> Result<Vec<CloudHost>, ProvisionError> {
    let mut stop = pin!(stop);
    let launched = {
        let mut say = |what: &str| tell(News::Doing(what));
        let mut creation = pin!(create(launch, key, preparation, &mut say));
        tokio::select! {
            launched = &mut creation => launched?,
            () = &mut stop => {
                // What is being created now would come after everything was given back.
                let _ = tokio::time::timeout(ANSWERS_LIMIT, creation).await;
                return Err(ProvisionError::Interrupted);
            }
        }
    };
    tokio::select! {
        ready = make_ready(launch, launched, preparation, tell) => ready,
        () = &mut stop => Err(ProvisionError::Interrupted),
    }
}

async fn make_ready(
    launch: &Launch<'_>,
    launched: Launched,
    preparation: &Preparation,
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Vec<CloudHost>, ProvisionError> {
    let account = launch.account;
    let hosts = launch.wait(launched, &mut |what| tell(News::Doing(what))).await?;
    launch.journal.write(&Entry::Hosts { hosts: hosts.clone() })?;
    tell(News::Running(&hosts));
    let mut say = |what: &str| tell(News::Doing(what));
    tokio::select! {
        prepared = prepare(launch, preparation, &hosts, &mut say) => prepared?,
        LostHost { group, index, reason } = watch::first_loss(account, launch.names.run().as_str(), &hosts) => {
            return Err(ProvisionError::Lost { group, index, reason });
        }
    }
    Ok(hosts)
}

/// Creates the hosts and uploads their files meanwhile. Files may be given up when the hosts cannot be had, and a
/// creation may not when the files cannot: nobody would know what came of it.
async fn create(
    launch: &Launch<'_>,
    key: &Key,
    preparation: &Preparation,
    say: &mut dyn FnMut(&str),
) -> Result<Launched, ProvisionError> {
    launch.journal.intend_objects(launch.names)?;
    let bucket = &launch.infrastructure.bucket;
    let mut upload = pin!(artifacts::upload(launch.account, bucket, &preparation.artifacts));
    let mut creation = pin!(launch.create(key, say));
    tokio::select! {
        launched = &mut creation => {
            let launched = launched?;
            upload.await?;
            Ok(launched)
        }
        uploaded = &mut upload => {
            let launched = creation.await?;
            uploaded?;
            Ok(launched)
        }
    }
}

async fn prepare(
    launch: &Launch<'_>,
    preparation: &Preparation,
    hosts: &[CloudHost],
    say: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let (account, infrastructure, names) = (launch.account, launch.infrastructure, launch.names);
    say("waiting for the hosts' agents");
    steps::wait_online(account, names, hosts, REACHABLE, std::future::pending()).await?;
    let Preparation { artifacts, built, builds, context, ttl } = preparation;
    let mut files = Vec::new();
    for artifact in artifacts {
        let url = artifacts::link(account, &infrastructure.bucket, &artifact.key(), *ttl).await?;
        files.push(ManifestFile::new(artifact, url));
    }
    for file in built {
        files.push(file.in_manifest(account, &infrastructure.bucket, *ttl).await?);
    }
    write_manifest(launch, hosts, &files).await?;
    for step in [Step::UploadScenarioFile, Step::Configure] {
        run_step(launch, context, step, hosts, say).await?;
    }
    if !builds.is_empty() {
        let place = (account, infrastructure);
        for file in build::build(place, context, builds, (launch.plan, hosts), say).await? {
            files.push(file.in_manifest(account, &infrastructure.bucket, *ttl).await?);
        }
        write_manifest(launch, hosts, &files).await?;
    }
    for step in [Step::PlaceWorker, Step::RunWorker] {
        run_step(launch, context, step, hosts, say).await?;
    }
    Ok(())
}

async fn write_manifest(
    launch: &Launch<'_>,
    hosts: &[CloudHost],
    files: &[ManifestFile],
) -> Result<(), ProvisionError> {
    let manifest = artifacts::manifest(hosts, files)?;
    let bucket = &launch.infrastructure.bucket;
    Ok(artifacts::upload_manifest(launch.account, bucket, launch.names, manifest).await?)
}

async fn run_step(
    launch: &Launch<'_>,
    context: &ScriptContext,
    step: Step,
    hosts: &[CloudHost],
    say: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    say(&format!("step {step}"));
    let (account, infrastructure, never) = (launch.account, launch.infrastructure, std::future::pending());
    Ok(steps::run_step(account, infrastructure, context, step, &StepTarget::All, hosts, never).await?)
}

/// What [`CloudHosts`] are made of.
#[derive(Debug)]
pub struct CloudParts {
    /// What drives the calls. It has a thread of its own, so that connections live on between two calls. Whoever
    /// shares it has something to do after the hosts are given back.
    pub runtime: Arc<Runtime>,
    /// Where they are.
    pub account: Account,
    /// In what.
    pub infrastructure: Infrastructure,
    /// What the steps have to know.
    pub context: ScriptContext,
    /// All of them.
    pub hosts: Vec<CloudHost>,
    /// Where the journal is.
    pub run_directory: PathBuf,
    /// Whether they stay at the end.
    pub keep: bool,
    /// A socket that becomes readable when the user has no patience left.
    pub impatience: Option<OwnedFd>,
}

/// The hosts of a run on EC2. Dropping them gives them back, unless they are to be kept.
#[derive(Debug)]
pub struct CloudHosts {
    parts: CloudParts,
    servers: Vec<Host>,
    clients: Vec<Host>,
    watcher: Option<Watcher>,
    lost: Vec<(Group, usize)>,
    is_released: bool,
}

impl CloudHosts {
    /// Hosts whose workers listen, or none as yet: what is created for them until [`Self::adopt`] is given back, too.
    pub fn new(mut parts: CloudParts) -> Self {
        let hosts = std::mem::take(&mut parts.hosts);
        let mut this =
            Self { parts, servers: vec![], clients: vec![], watcher: None, lost: vec![], is_released: false };
        this.adopt(hosts);
        this
    }

    /// What they are made of.
    pub fn parts(&self) -> &CloudParts {
        &self.parts
    }

    /// These are they; their workers listen.
    pub fn adopt(&mut self, hosts: Vec<CloudHost>) {
        let of = |group| {
            let mut hosts: Vec<&CloudHost> = hosts.iter().filter(|host| host.group == group).collect();
            hosts.sort_by_key(|host| host.index);
            let host = |host: &CloudHost| Host {
                address: IpAddr::V4(host.private_ip),
                control: SocketAddr::new(IpAddr::V4(host.public_ip), CONTROL_PORT),
            };
            hosts.into_iter().map(host).collect()
        };
        (self.servers, self.clients) = (of(Group::Server), of(Group::Client));
        self.parts.hosts = hosts;
    }

    fn names(&self) -> &RunNames {
        &self.parts.context.names
    }

    /// Uploads what the hosts have, and downloads it into the run directory.
    async fn bring(&self, run_directory: &Path) -> Vec<String> {
        let CloudParts { account, infrastructure, context, hosts, .. } = &self.parts;
        let there: Vec<CloudHost> = hosts.iter().filter(|host| !self.is_lost(host)).cloned().collect();
        let mut problems = Vec::new();
        let step = Step::UploadNetbenchRawData;
        let never = std::future::pending();
        let uploaded =
            steps::run_step(account, infrastructure, context, step, &StepTarget::All, &there, never).await;
        problems.extend(uploaded.err().map(|error| error.to_string()));
        let place = |host: &str, path: &str| Some(place_of(host, path));
        let collected =
            artifacts::collect(account, &infrastructure.bucket, &context.names, run_directory, place).await;
        problems.extend(collected.err().map(|error| error.to_string()));
        problems
    }

    fn is_lost(&self, host: &CloudHost) -> bool {
        self.lost.contains(&(host.group, usize::from(host.index)))
    }

    fn give_back(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.is_released, true) {
            return vec![];
        }
        self.watcher = None;
        let run = self.names().run().clone();
        if self.parts.keep {
            tracing::warn!(
                "the hosts are kept until their time limit; `runner ec2 destroy {run}` removes them"
            );
            return vec![];
        }
        let parts = &self.parts;
        note(&parts.run_directory, &Entry::GivingBack);
        let left = parts.runtime.block_on(give_back(
            &parts.account,
            &parts.context.names,
            &parts.infrastructure.bucket,
            parts.impatience.as_ref(),
        ));
        if left.is_nothing() {
            note_gone(&parts.run_directory);
            return vec![];
        }
        let mut left = left.describe();
        left.push(format!(
            "`runner ec2 destroy {run}` tries again; the hosts end by themselves at their time limit"
        ));
        left
    }
}

/// Removes everything of a run, unless the user loses patience.
async fn give_back(account: &Account, names: &RunNames, bucket: &str, impatience: Option<&OwnedFd>) -> Left {
    let teardown = Teardown { account, names, bucket: Some(bucket), is_in_doubt: false, with_report: false };
    let mut say = |what: &str| tracing::info!("{what}");
    tokio::select! {
        left = teardown.run(&mut say) => left,
        () = readable(impatience) => {
            let mut left = Left::default();
            match teardown.terminate().await {
                Ok(found) => left.found = found,
                Err(error) => left.errors.push(error.to_string()),
            }
            left
        }
    }
}

/// Ends when the socket `descriptor` becomes readable; never without one. Nothing is read from it.
pub async fn readable(descriptor: Option<&OwnedFd>) {
    let socket = descriptor.and_then(|socket| socket.try_clone().ok()).map(UnixStream::from);
    match socket.and_then(|socket| tokio::net::UnixStream::from_std(socket).ok()) {
        // An error of the poll tells nothing about the user.
        Some(socket) => drop(socket.readable().await),
        None => std::future::pending().await,
    }
}

/// Says in the journal that nothing is left.
pub fn note_gone(run_directory: &Path) {
    note(run_directory, &Entry::Gone);
}

/// Writes what is true without being written, too: a journal that is full keeps nothing from being given back.
fn note(run_directory: &Path, entry: &Entry) {
    let noted = Journal::open(run_directory).and_then(|journal| journal.write(entry));
    if let Err(error) = noted {
        tracing::debug!("{error}");
    }
}

/// Where a file of a host goes in the run directory. Results and logs bear the host's address in their names.
fn place_of(host: &str, path: &str) -> PathBuf {
    match path.split_once('/') {
        Some(("facts", name)) => Path::new("facts").join(host).join(name),
        Some(("logs", name)) if name.starts_with("step_") => Path::new("logs").join(host).join(name),
        Some(_) | None => PathBuf::from(path),
    }
}

impl Hosts for CloudHosts {
    fn group(&self, group: Group) -> &[Host] {
        match group {
            Group::Server => &self.servers,
            Group::Client => &self.clients,
            Group::Probe => &[],
        }
    }

    fn watch(&mut self, coordinators: &mut Coordinators, first: Token) -> io::Result<()> {
        let run = self.names().run().to_string();
        let (handle, account) = (self.parts.runtime.handle(), self.parts.account.clone());
        let mut watcher = Watcher::start(handle, account, run, self.parts.hosts.clone())?;
        coordinators.register(&mut watcher.source, first)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    fn lost(&mut self) -> Vec<LostHost> {
        let lost = self.watcher.as_mut().map(Watcher::take).unwrap_or_default();
        self.lost.extend(lost.iter().map(|host| (host.group, host.index)));
        lost
    }

    fn results(&self) -> Results {
        Results::Fetched
    }

    fn fetch(&mut self, run_directory: &Path) -> Vec<String> {
        if self.is_released {
            return vec![];
        }
        self.parts.runtime.block_on(async {
            tokio::select! {
                problems = self.bring(run_directory) => problems,
                () = readable(self.parts.impatience.as_ref()) => vec!["interrupted while the results were collected".to_owned()],
            }
        })
    }

    fn outlive_the_orchestrator(&self) -> bool {
        true
    }

    fn release(&mut self) -> Vec<String> {
        self.give_back()
    }

    fn destroy(&mut self) -> Vec<String> {
        // The user waits for nothing any more: the hosts are told to end, and what is left is said.
        self.is_released = true;
        self.watcher = None;
        let parts = &self.parts;
        note(&parts.run_directory, &Entry::GivingBack);
        let (names, bucket) = (&parts.context.names, Some(parts.infrastructure.bucket.as_str()));
        let account = &parts.account;
        let teardown = Teardown { account, names, bucket, is_in_doubt: false, with_report: false };
        let mut left = match parts.runtime.block_on(teardown.terminate()) {
            Ok(found) => found.describe(),
            Err(error) => vec![error.to_string()],
        };
        left.push(format!("`runner ec2 destroy {}` removes it", names.run()));
        left
    }
}

impl Drop for CloudHosts {
    fn drop(&mut self) {
        for left in self.give_back() {
            tracing::error!("{left}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::example;
    use crate::steps::fake_service::{FakeService, Reply, Request};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A service in which nothing exists, whatever it is asked.
    fn nothing(request: &Request) -> Reply {
        let body = String::from_utf8_lossy(&request.body);
        match body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
            Some(action) => Reply::xml(200, &format!("<{action}Response/>")),
            None if request.header("x-amz-target").is_some() => Reply::json(serde_json::json!({})),
            None => Reply::xml(200, "<ListBucketResult/>"),
        }
    }

    #[test]
    fn a_panic_while_hosts_are_prepared_gives_back_what_was_created() {
        let service = FakeService::start(nothing);
        let directory = tempfile::tempdir().unwrap();
        let context = example();
        let infrastructure = Infrastructure {
            vpc: "vpc-1".into(),
            subnets: vec![],
            instance_profile: "profile".into(),
            bucket: context.bucket.clone(),
            log_group: None,
        };
        let hosts = CloudHosts::new(CloudParts {
            runtime: Arc::new(
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            ),
            account: service.account(),
            infrastructure,
            context,
            hosts: vec![],
            run_directory: directory.path().to_owned(),
            keep: false,
            impatience: None,
        });
        let unwound = catch_unwind(AssertUnwindSafe(move || -> () {
            panic!("in the middle of {}", hosts.names().run());
        }));
        assert!(unwound.is_err());
        let asked: Vec<String> = service
            .requests()
            .iter()
            .map(|request| String::from_utf8_lossy(&request.body).into_owned())
            .collect();
        for action in
            ["DescribeInstances", "DescribeSecurityGroups", "DescribePlacementGroups", "DescribeVolumes"]
        {
            assert!(
                asked.iter().any(|body| body.contains(&format!("Action={action}&"))),
                "{action}: {asked:#?}"
            );
        }
        assert_eq!(crate::journal::read(directory.path()).unwrap().last(), Some(&Entry::Gone));
    }

    #[test]
    fn files_of_hosts_do_not_meet() {
        for (path, place) in [
            ("results/s/tcp/server-10.0.0.1.json", "results/s/tcp/server-10.0.0.1.json"),
            ("logs/server-10.0.0.1.log", "logs/server-10.0.0.1.log"),
            ("logs/step_configure.log", "logs/server-0/step_configure.log"),
            ("facts/before.tsv", "facts/server-0/before.tsv"),
        ] {
            assert_eq!(place_of("server-0", path), Path::new(place));
        }
    }
}
