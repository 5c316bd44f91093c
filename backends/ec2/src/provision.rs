//! The way from a plan to hosts on which a worker listens.

use crate::api::Deadline;
use crate::artifacts::{self, Artifact, ArtifactError, BadManifest, ManifestFile, Signer};
use crate::build::{self, BuildError, BuildOrder, BuiltFile};
use crate::hosts::CloudHost;
use crate::journal::{Entry, JournalError};
use crate::launch::{Launch, LaunchError, Launched};
use crate::steps::{self, REACHABLE, ScriptContext, Step, StepError};
use crate::watch;
use backends::hosts::LostHost;
use russula_proto::Key;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};

/// For calls that create something to be answered, once the user does not want it any more.
const ANSWERS: Deadline = Deadline { name: "creations answered", limit: Duration::from_secs(20) };

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
    /// Some were lost meanwhile.
    #[error("{}", lost_of(.lost))]
    Lost {
        /// Those that were found to be lost at the same time.
        lost: Vec<LostHost>,
    },
    /// What was created cannot be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The user does not want them any more.
    #[error("interrupted while the hosts were prepared")]
    Interrupted,
}

fn lost_of(lost: &[LostHost]) -> String {
    let each = lost.iter().map(|LostHost { group, index, reason }| {
        format!("{group} {index} was lost while the hosts were prepared: {reason}")
    });
    each.collect::<Vec<_>>().join("; ")
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
    let launched = create(launch, key, preparation, tell, stop.as_mut()).await?;
    let mut upload = Upload::default();
    let ready = tokio::select! {
        ready = make_ready(launch, launched, preparation, &mut upload, tell) => ready,
        () = &mut stop => Err(ProvisionError::Interrupted),
    };
    upload.end(&launch.account.region).await;
    ready
}

/// Creates the hosts and uploads what they share with other runs meanwhile. Files may be given up, and a launch under way
/// may not: nobody would know what came of it.
async fn create(
    launch: &Launch<'_>,
    key: &Key,
    preparation: &Preparation,
    tell: &mut dyn FnMut(News<'_>),
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Launched, ProvisionError> {
    launch.journal.intend_objects(launch.names)?;
    let bucket = &launch.infrastructure.bucket;
    let mut upload =
        pin!(artifacts::upload_shared(launch.account, bucket, launch.names, &preparation.artifacts));
    let mut uploaded = None;
    let region = &launch.account.region;
    let (mut say, is_given_up) = (|what: &str| tell(News::Doing(what)), Cell::new(false));
    let mut creation = pin!(launch.create(key, &is_given_up, &mut say));
    let launched = loop {
        tokio::select! {
            launched = &mut creation => break launched?,
            result = &mut upload, if uploaded.is_none() => uploaded = Some(result),
            () = &mut stop => {
                // What is being created now would come after everything was given back.
                is_given_up.set(true);
                answered(ANSWERS, (region, "hosts"), creation).await;
                return Err(ProvisionError::Interrupted);
            }
        }
    };
    match uploaded {
        Some(result) => result?,
        None => tokio::select! {
            result = upload => result?,
            () = stop => return Err(ProvisionError::Interrupted),
        },
    }
    Ok(launched)
}

/// Waits for the answer to a call that creates `what`, which nobody wants any more; says so when it does not come.
/// Returns whether it came.
async fn answered(deadline: Deadline, (region, what): (&str, &str), answer: impl Future) -> bool {
    let is_answered = tokio::time::timeout(deadline.limit, answer).await.is_ok();
    if !is_answered {
        tracing::warn!(
            "{}: {what} may still appear after everything was given back; look for them with \
             `runner ec2 list --region {region}`",
            deadline.passed()
        );
    }
    is_answered
}

/// A file of the run on its way to the bucket. One that is given up half-way may still come, after everything was given
/// back; so it is heard to its end, whatever becomes of whoever waits for it.
#[derive(Default)]
struct Upload(Option<JoinHandle<Result<(), ArtifactError>>>);

impl Upload {
    async fn run(
        &mut self,
        upload: impl Future<Output = Result<(), ArtifactError>> + Send + 'static,
    ) -> Result<(), ProvisionError> {
        let done = self.0.insert(tokio::spawn(upload)).await;
        self.0 = None;
        ended(done)
    }

    /// Waits for what is still under way.
    async fn end(self, region: &str) {
        if let Some(upload) = self.0 {
            answered(ANSWERS, (region, "a file of the run in the bucket"), upload).await;
        }
    }
}

fn ended(upload: Result<Result<(), ArtifactError>, JoinError>) -> Result<(), ProvisionError> {
    match upload.map_err(JoinError::try_into_panic) {
        Ok(done) => Ok(done?),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Tasks are cancelled when their runtime ends.
        Err(Err(_)) => Err(ProvisionError::Interrupted),
    }
}

async fn make_ready(
    launch: &Launch<'_>,
    launched: Launched,
    preparation: &Preparation,
    upload: &mut Upload,
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Vec<CloudHost>, ProvisionError> {
    let account = launch.account;
    let hosts = launch.wait(launched, &mut |what| tell(News::Doing(what))).await?;
    launch.journal.write(&Entry::Hosts { hosts: hosts.clone() })?;
    tell(News::Running(&hosts));
    let mut say = |what: &str| tell(News::Doing(what));
    tokio::select! {
        prepared = prepare(launch, preparation, &hosts, upload, &mut say) => prepared?,
        lost = watch::first_losses(account, launch.names.run().as_str(), &hosts) => {
            return Err(ProvisionError::Lost { lost });
        }
    }
    Ok(hosts)
}

async fn prepare(
    launch: &Launch<'_>,
    preparation: &Preparation,
    hosts: &[CloudHost],
    upload: &mut Upload,
    say: &mut dyn FnMut(&str),
) -> Result<(), ProvisionError> {
    let (account, infrastructure, names) = (launch.account, launch.infrastructure, launch.names);
    say("waiting for the hosts' agents");
    steps::wait_online(account, names, hosts, REACHABLE).await?;
    let Preparation { builds, context, artifacts, .. } = preparation;
    upload_own(launch, artifacts, upload).await?;
    write_manifest(launch, preparation, hosts, &[], upload).await?;
    let (first, last) = ([Step::UploadScenarioFile, Step::Configure], [Step::PlaceWorker, Step::RunWorker]);
    if builds.is_empty() {
        let all = [first, last].concat();
        return Ok(steps::run_steps(account, infrastructure, context, &all, hosts, say).await?);
    }
    steps::run_steps(account, infrastructure, context, &first, hosts, say).await?;
    let place = (account, infrastructure);
    let built = build::build(place, context, builds, (launch.plan, hosts), say).await?;
    write_manifest(launch, preparation, hosts, &built, upload).await?;
    Ok(steps::run_steps(account, infrastructure, context, &last, hosts, say).await?)
}

/// Uploads what is removed with the run.
async fn upload_own(
    launch: &Launch<'_>,
    artifacts: &[Artifact],
    upload: &mut Upload,
) -> Result<(), ProvisionError> {
    let (account, bucket) = (launch.account.clone(), launch.infrastructure.bucket.clone());
    let (names, artifacts) = (launch.names.clone(), artifacts.to_vec());
    upload.run(async move { artifacts::upload_own(&account, &bucket, &names, &artifacts).await }).await
}

/// Writes the list of hosts and files, those among them that were `built` by now. Links are signed anew: they last no
/// longer than the session that signs them, and a build may take most of an hour.
async fn write_manifest(
    launch: &Launch<'_>,
    preparation: &Preparation,
    hosts: &[CloudHost],
    built: &[BuiltFile],
    upload: &mut Upload,
) -> Result<(), ProvisionError> {
    let (account, bucket, ttl) = (launch.account, &launch.infrastructure.bucket, preparation.ttl);
    let mut files = Vec::new();
    // Links that the user wants short are no reason to warn.
    let needed = LINKS_NEEDED.min(preparation.context.step_limit).min(ttl / 2);
    let mut ends_early = false;
    let signer = Signer::new(account).await;
    for artifact in &preparation.artifacts {
        let link = signer.link(bucket, &artifact.key(launch.names), ttl).await?;
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
        files.push(file.in_manifest(&signer, bucket, ttl).await?);
    }
    let manifest = artifacts::manifest(hosts, &files)?;
    let (account, bucket, names) = (account.clone(), bucket.clone(), launch.names.clone());
    upload.run(async move { artifacts::upload_manifest(&account, &bucket, &names, manifest).await }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn an_upload_that_nobody_waits_for_is_heard_to_its_end() {
        let mut upload = Upload::default();
        let (begun, begins) = oneshot::channel();
        let (finish, finishes) = oneshot::channel();
        let (done, mut is_done) = oneshot::channel();
        let file = async move {
            begun.send(()).unwrap();
            finishes.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        };
        tokio::select! {
            _ = upload.run(file) => panic!("it cannot have ended"),
            begun = begins => begun.unwrap(),
        }
        assert!(is_done.try_recv().is_err());
        finish.send(()).unwrap();
        upload.end("us-east-1").await;
        assert_eq!(is_done.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn an_upload_that_ended_is_not_waited_for() {
        let mut upload = Upload::default();
        upload.run(async { Ok(()) }).await.unwrap();
        assert!(upload.0.is_none());
        upload.end("us-east-1").await;
    }

    #[tokio::test]
    async fn an_upload_that_is_cancelled_is_no_panic() {
        let task = tokio::spawn(std::future::pending());
        task.abort();
        assert!(matches!(ended(task.await), Err(ProvisionError::Interrupted)));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
        let deadline = Deadline { name: "answers", limit: Duration::from_millis(20) };
        assert!(!answered(deadline, ("us-east-1", "hosts"), std::future::pending::<()>()).await);
        assert!(answered(deadline, ("us-east-1", "hosts"), async {}).await);
    }
}
