//! The hosts of a run as the run sees them: watched, collected from, and given back.

use crate::api::Account;
use crate::artifacts;
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use crate::inventory::Found;
use crate::journal::{Entry, Journal, Known};
use crate::launch::CONTROL_PORT;
use crate::names::RunNames;
use crate::patience::out_of_patience;
use crate::stack::RUNS_KEPT_DAYS;
use crate::steps::{self, ScriptContext, Step, StepError, StepTarget};
use crate::teardown::{Left, Teardown};
use crate::watch::{self, Watcher};
use backends::hosts::{Fetched, Host, Hosts, LostHost, Results};
use backends::signals::Patience;
use backends::tcp::Coordinators;
use futures_util::future::join_all;
use mio::Token;
use russula_proto::Group;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Files that could not be fetched of which each is told.
const PROBLEMS_TOLD_MAX: usize = 10;

const COLLECTING: &str =
    "still collecting what was measured; press Ctrl-C again to give the hosts back without it";

const GIVING_BACK: &str = "still giving the hosts back; press Ctrl-C again to stop waiting";

/// What [`CloudHosts`] are made of.
#[derive(Debug)]
pub struct CloudParts {
    /// What drives the calls. It has a thread of its own, so that connections live on between two calls. Shared with
    /// the publication, which still uploads after the hosts are gone.
    pub runtime: Arc<Runtime>,
    /// The account and region in which the hosts are.
    pub account: Account,
    /// What was there before the run: the network, the bucket and the rights of the hosts.
    pub infrastructure: Infrastructure,
    /// What the steps have to know.
    pub context: ScriptContext,
    /// All of them.
    pub hosts: Vec<CloudHost>,
    /// Where the journal is.
    pub run_directory: PathBuf,
    /// The options by which `runner ec2 destroy` finds the same account and bucket, each after a space.
    pub place: String,
    /// Whether they stay at the end.
    pub keep: bool,
    /// How often the user has interrupted the run.
    pub patience: Option<Patience>,
}

/// The hosts of a run on EC2. Dropping them gives them back, unless they are to be kept.
#[derive(Debug)]
pub struct CloudHosts {
    parts: CloudParts,
    servers: Vec<Host>,
    clients: Vec<Host>,
    watcher: Option<Watcher>,
    lost: Vec<(Group, usize)>,
    /// Whether the bucket has results that could not be fetched: they are the only copy.
    keep_results: bool,
    is_released: bool,
}

impl CloudHosts {
    /// Hosts whose workers listen, or none as yet: what is created for them until [`Self::adopt`] is given back, too.
    pub fn new(mut parts: CloudParts) -> Self {
        let hosts = std::mem::take(&mut parts.hosts);
        let mut this = Self {
            parts,
            servers: vec![],
            clients: vec![],
            watcher: None,
            lost: vec![],
            keep_results: false,
            is_released: false,
        };
        this.adopt(hosts);
        this
    }

    /// What they are made of.
    pub fn parts(&self) -> &CloudParts {
        &self.parts
    }

    /// Takes over `hosts`, whose workers listen.
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

    /// Has the hosts upload what they have. Those that are lost meanwhile are left out: nobody waits for them.
    async fn upload(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        loop {
            let CloudParts { account, context, hosts, .. } = &self.parts;
            let there: Vec<CloudHost> = hosts.iter().filter(|host| !self.is_lost(host)).cloned().collect();
            let lost = tokio::select! {
                errors = upload_of(&self.parts, &there) => {
                    problems.extend(errors.iter().map(ToString::to_string));
                    return problems;
                }
                lost = watch::first_losses(account, context.names.run().as_str(), &there) => lost,
            };
            for LostHost { group, index, reason } in lost {
                problems.push(format!("{group} {index} was lost while the results were collected: {reason}"));
                self.lost.push((group, index));
            }
        }
    }

    /// Downloads what the hosts have uploaded into the run directory. What does not come stays in the bucket.
    async fn download(&mut self, run_directory: &Path) -> Vec<String> {
        let CloudParts { account, infrastructure, context, .. } = &self.parts;
        let bucket = &infrastructure.bucket;
        let errors = artifacts::collect(account, bucket, &context.names, run_directory, place_of).await;
        let mut problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        self.keep_results = !problems.is_empty();
        if self.keep_results {
            let more = problems.len().saturating_sub(PROBLEMS_TOLD_MAX);
            problems.truncate(PROBLEMS_TOLD_MAX);
            problems.extend((more > 0).then(|| format!("{more} more files could not be fetched")));
            problems.push(self.where_results_are());
        }
        problems
    }

    fn where_results_are(&self) -> String {
        let CloudParts { account, infrastructure, context, .. } = &self.parts;
        let (names, region) = (&context.names, &account.region);
        let place = format!("s3://{}/{}", infrastructure.bucket, names.hosts_prefix());
        format!(
            "what the hosts uploaded stays in {place} for {RUNS_KEPT_DAYS} days, if `setup` made the bucket: `aws s3 cp --recursive {place} . \
             --region {region}` fetches it, {} removes it",
            self.parts.destroys()
        )
    }

    fn is_lost(&self, host: &CloudHost) -> bool {
        self.lost.contains(&(host.group, usize::from(host.index)))
    }

    fn give_back(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.is_released, true) {
            return vec![];
        }
        self.watcher = None;
        if self.parts.keep {
            tracing::warn!("{}", kept(&self.parts));
            return vec![];
        }
        let parts = &self.parts;
        note(&parts.run_directory, &Entry::GivingBack);
        let left = parts.runtime.block_on(give_back(parts, self.keep_results));
        if left.is_nothing() {
            note_gone(&parts.run_directory);
            return vec![];
        }
        let mut left = left.describe();
        left.push(format!(
            "{} tries again; the hosts end by themselves at their time limit",
            parts.destroys()
        ));
        left
    }
}

impl CloudParts {
    /// The command that removes everything of the run.
    fn destroys(&self) -> String {
        format!("`runner ec2 destroy {}{}`", self.context.names.run(), self.place)
    }
}

/// What a user is told who wants the hosts to stay.
fn kept(parts: &CloudParts) -> String {
    format!("the hosts are kept until their time limit; {} removes them", parts.destroys())
}

/// Removes everything of a run, unless the user loses patience; without its results if they are to be kept.
async fn give_back(parts: &CloudParts, keep_results: bool) -> Left {
    let mut say = |what: &str| tracing::info!("{what}");
    let (known, error) = known(parts);
    let teardown = teardown(parts, keep_results, &known);
    // The first signal of all lets a run end in order, and this belongs to it.
    let last = parts.patience.as_ref().map_or(0, Patience::total).max(1) + 1;
    let mut left = tokio::select! {
        left = teardown.run(&mut say) => left,
        () = out_of_patience(parts.patience.as_ref(), last, GIVING_BACK) => terminate(&teardown).await,
    };
    left.errors.extend(error);
    left
}

/// Terminates the hosts and waits for nothing.
async fn terminate(teardown: &Teardown<'_>) -> Left {
    match teardown.terminate().await {
        Ok(found) => Left { found, errors: vec![] },
        Err(error) => Left { found: Found::default(), errors: vec![error.to_string()] },
    }
}

fn teardown<'a>(parts: &'a CloudParts, keep_results: bool, known: &'a Known) -> Teardown<'a> {
    Teardown {
        account: &parts.account,
        names: &parts.context.names,
        bucket: Some(&parts.infrastructure.bucket),
        with_report: false,
        keep_results,
        known,
    }
}

/// What the run's journal knows, or nothing and why. Tags find what there is as well, if it has been there for a while.
fn known(parts: &CloudParts) -> (Known, Option<String>) {
    match Known::read(&parts.run_directory, parts.context.names.run()) {
        Ok(known) => (known, None),
        Err(error) => (Known::default(), Some(error.to_string())),
    }
}

/// Has `hosts`, which are there, upload what they have; returns what went wrong.
async fn upload_of(parts: &CloudParts, hosts: &[CloudHost]) -> Vec<StepError> {
    let CloudParts { account, infrastructure, context, .. } = parts;
    // A command by tag also goes to hosts that are lost, and waits for them.
    let targets = if hosts.len() == parts.hosts.len() {
        vec![StepTarget::All]
    } else {
        let ids: Vec<String> = hosts.iter().map(|host| host.instance.clone()).collect();
        ids.chunks(steps::HOSTS_BY_ID_MAX).map(|ids| StepTarget::Hosts(ids.to_vec())).collect()
    };
    let step = Step::UploadNetbenchRawData;
    let commands =
        targets.iter().map(|target| steps::run_step(account, infrastructure, context, step, target, hosts));
    join_all(commands).await.into_iter().filter_map(Result::err).collect()
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

/// Where a file of a host goes in the run directory; nowhere, if it is none that a host has to give: the files of the
/// run itself lie there, too, and a host may be hostile. Results and logs bear the host's address in their names.
fn place_of(host: &str, path: &str) -> Option<PathBuf> {
    match path.split_once('/')? {
        ("facts", name) => Some(Path::new("facts").join(host).join(name)),
        ("logs", name) if name.starts_with("step_") => Some(Path::new("logs").join(host).join(name)),
        ("results" | "logs", _) => Some(PathBuf::from(path)),
        _ => None,
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

    fn fetch(&mut self, run_directory: &Path) -> Fetched {
        if self.is_released {
            return Fetched::default();
        }
        let (runtime, patience) = (self.parts.runtime.clone(), self.parts.patience.clone());
        runtime.block_on(async {
            tokio::select! {
                problems = async {
                    let mut problems = self.upload().await;
                    problems.extend(self.download(run_directory).await);
                    problems
                } => Fetched { problems, is_interrupted: false },
                () = out_of_patience(patience.as_ref(), 2, COLLECTING) => {
                    let problem = "interrupted while the results were collected".to_owned();
                    Fetched { problems: vec![problem], is_interrupted: true }
                }
            }
        })
    }

    fn outlive_the_orchestrator(&self) -> bool {
        true
    }

    fn leave(&mut self) {
        self.is_released = true;
        self.watcher = None;
    }

    fn release(&mut self) -> Vec<String> {
        self.give_back()
    }

    fn destroy(&mut self) -> Vec<String> {
        // The user waits for nothing any more: the hosts are told to end, and what is left is said.
        self.is_released = true;
        self.watcher = None;
        let parts = &self.parts;
        if parts.keep {
            return vec![kept(parts)];
        }
        note(&parts.run_directory, &Entry::GivingBack);
        let (known, error) = known(parts);
        let left = parts.runtime.block_on(terminate(&teardown(parts, self.keep_results, &known)));
        let mut left = left.describe();
        left.extend(error);
        if !left.is_empty() {
            left.push(format!("{} removes it", parts.destroys()));
        }
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
mod tests;
