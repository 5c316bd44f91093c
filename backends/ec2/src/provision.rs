//! The way from a plan to hosts on which a worker listens.

use crate::artifacts::{self, Artifact, ArtifactError, BadManifest, ManifestFile};
use crate::build::{self, BuildError, BuildOrder, BuiltFile};
use crate::hosts::CloudHost;
use crate::journal::{Entry, JournalError};
use crate::launch::{Launch, LaunchError, Launched};
use crate::steps::{self, REACHABLE, ScriptContext, Step, StepError, StepTarget};
use crate::watch;
use backends::hosts::LostHost;
use russula_proto::{Group, Key};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;

/// For calls that create something to be answered, once the user does not want it any more.
const ANSWERS_LIMIT: Duration = Duration::from_secs(20);

/// From the signing of links to the last download, if the hosts are slow: about what the steps in between may take.
const LINKS_NEEDED: Duration = Duration::from_secs(1200);

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
    let uploads = Uploads::default();
    let ready = tokio::select! {
        ready = make_ready(launch, launched, preparation, &uploads, tell) => ready,
        () = &mut stop => Err(ProvisionError::Interrupted),
    };
    if ready.is_err() {
        uploads.end().await;
    }
    ready
}

/// Files on their way to the bucket. One that is given up half-way may still come, after everything was given back; so
/// each is heard to its end, whatever becomes of whoever waits for it.
#[derive(Default)]
struct Uploads(Arc<RwLock<()>>);

impl Uploads {
    async fn run<T: Send + 'static>(&self, upload: impl Future<Output = T> + Send + 'static) -> T {
        let under_way = self.0.clone().read_owned().await;
        let task = tokio::spawn(async move {
            let done = upload.await;
            drop(under_way);
            done
        });
        match task.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits until none is under way.
    async fn end(&self) {
        let _ = tokio::time::timeout(ANSWERS_LIMIT, self.0.write()).await;
    }
}

async fn make_ready(
    launch: &Launch<'_>,
    launched: Launched,
    preparation: &Preparation,
    uploads: &Uploads,
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Vec<CloudHost>, ProvisionError> {
    let account = launch.account;
    let hosts = launch.wait(launched, &mut |what| tell(News::Doing(what))).await?;
    launch.journal.write(&Entry::Hosts { hosts: hosts.clone() })?;
    tell(News::Running(&hosts));
    let mut say = |what: &str| tell(News::Doing(what));
    tokio::select! {
        prepared = prepare(launch, preparation, &hosts, uploads, &mut say) => prepared?,
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
    let mut upload =
        pin!(artifacts::upload_shared(launch.account, bucket, launch.names, &preparation.artifacts));
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
    uploads: &Uploads,
    say: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let (account, infrastructure, names) = (launch.account, launch.infrastructure, launch.names);
    say("waiting for the hosts' agents");
    steps::wait_online(account, names, hosts, REACHABLE, std::future::pending()).await?;
    let Preparation { builds, context, artifacts, .. } = preparation;
    upload_own(launch, artifacts, uploads).await?;
    write_manifest(launch, preparation, hosts, &[], uploads).await?;
    for step in [Step::UploadScenarioFile, Step::Configure] {
        run_step(launch, context, step, hosts, say).await?;
    }
    if !builds.is_empty() {
        let place = (account, infrastructure);
        let built = build::build(place, context, builds, (launch.plan, hosts), say).await?;
        write_manifest(launch, preparation, hosts, &built, uploads).await?;
    }
    for step in [Step::PlaceWorker, Step::RunWorker] {
        run_step(launch, context, step, hosts, say).await?;
    }
    Ok(())
}

/// Uploads what is removed with the run.
async fn upload_own(
    launch: &Launch<'_>,
    artifacts: &[Artifact],
    uploads: &Uploads,
) -> Result<(), ArtifactError> {
    let (account, bucket) = (launch.account.clone(), launch.infrastructure.bucket.clone());
    let (names, artifacts) = (launch.names.clone(), artifacts.to_vec());
    uploads.run(async move { artifacts::upload_own(&account, &bucket, &names, &artifacts).await }).await
}

/// Writes the list of hosts and files, those among them that were `built` by now. Links are signed anew: they last no
/// longer than the session that signs them, and a build may take most of an hour.
async fn write_manifest(
    launch: &Launch<'_>,
    preparation: &Preparation,
    hosts: &[CloudHost],
    built: &[BuiltFile],
    uploads: &Uploads,
) -> Result<(), ProvisionError> {
    let (account, bucket, ttl) = (launch.account, &launch.infrastructure.bucket, preparation.ttl);
    let mut files = Vec::new();
    // Links that the user wants short are no reason to warn.
    let needed = LINKS_NEEDED.min(preparation.context.step_limit).min(ttl / 2);
    let mut ends_early = false;
    for artifact in &preparation.artifacts {
        let link = artifacts::link(account, bucket, &artifact.key(launch.names), ttl).await?;
        ends_early |= link.lasts_less_than(needed);
        files.push(ManifestFile::new(artifact, link.url));
    }
    if ends_early {
        tracing::warn!(
            "the AWS credentials expire within {needed:?}, and with them the links by which hosts fetch their files: \
             refresh them (aws sso login) if a host cannot download"
        );
    }
    for file in preparation.built.iter().chain(built) {
        files.push(file.in_manifest(account, bucket, ttl).await?);
    }
    let manifest = artifacts::manifest(hosts, &files)?;
    let (account, bucket, names) = (account.clone(), bucket.clone(), launch.names.clone());
    let upload = async move { artifacts::upload_manifest(&account, &bucket, &names, manifest).await };
    Ok(uploads.run(upload).await?)
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
