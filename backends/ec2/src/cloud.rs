//! The hosts of a run as the run sees them: watched, collected from, and given back.

use crate::api::Account;
use crate::artifacts;
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use crate::journal::{Entry, Journal, Known};
use crate::launch::CONTROL_PORT;
use crate::names::RunNames;
use crate::stack::RUNS_KEPT_DAYS;
use crate::steps::{self, ScriptContext, Step, StepError, StepTarget};
use crate::teardown::{Left, Teardown};
use crate::watch::{self, Watcher};
use backends::hosts::{Fetched, Host, Hosts, LostHost, Results};
use backends::tcp::Coordinators;
use futures_util::future::join_all;
use mio::Token;
use russula_proto::Group;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Hosts that one command can name
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html>).
const HOSTS_OF_A_COMMAND_MAX: usize = 50;

/// Files that could not be fetched of which each is told.
const PROBLEMS_TOLD_MAX: usize = 10;

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

    /// Has the hosts upload what they have. One that is lost meanwhile is left out: nobody waits for it.
    async fn upload(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        loop {
            let CloudParts { account, context, hosts, .. } = &self.parts;
            let there: Vec<CloudHost> = hosts.iter().filter(|host| !self.is_lost(host)).cloned().collect();
            let lost = tokio::select! {
                uploaded = upload_of(&self.parts, &there) => {
                    problems.extend(uploaded.err().map(|error| error.to_string()));
                    return problems;
                }
                lost = watch::first_loss(account, context.names.run().as_str(), &there) => lost,
            };
            let LostHost { group, index, reason } = lost;
            problems.push(format!("{group} {index} was lost while the results were collected: {reason}"));
            self.lost.push((group, index));
        }
    }

    /// Downloads what the hosts have uploaded into the run directory. What does not come stays in the bucket.
    async fn download(&mut self, run_directory: &Path) -> Vec<String> {
        let CloudParts { account, infrastructure, context, impatience, .. } = &self.parts;
        let bucket = &infrastructure.bucket;
        let mut problems: Vec<String> = tokio::select! {
            errors = artifacts::collect(account, bucket, &context.names, run_directory, place_of) => {
                errors.iter().map(ToString::to_string).collect()
            }
            () = readable(impatience.as_ref()) => {
                vec!["interrupted while the results were downloaded".to_owned()]
            }
        };
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
            "what the hosts uploaded stays for {RUNS_KEPT_DAYS} days in {place}: `aws s3 cp --recursive {place} .              --region {region}` fetches it, `runner ec2 destroy {} --region {region}` removes it",
            names.run()
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
        let (run, region) = (self.names().run().clone(), self.parts.account.region.clone());
        if self.parts.keep {
            tracing::warn!(
                "the hosts are kept until their time limit; `runner ec2 destroy {run} --region {region}` removes them"
            );
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
            "`runner ec2 destroy {run} --region {region}` tries again; the hosts end by themselves at their time limit"
        ));
        left
    }
}

/// Removes everything of a run, unless the user loses patience; without its results if they are to be kept.
async fn give_back(parts: &CloudParts, keep_results: bool) -> Left {
    let CloudParts { account, infrastructure, context, run_directory, impatience, .. } = parts;
    let (names, bucket) = (&context.names, Some(infrastructure.bucket.as_str()));
    let known = Known::read(run_directory);
    let teardown = Teardown { account, names, bucket, with_report: false, keep_results, known: &known };
    let mut say = |what: &str| tracing::info!("{what}");
    tokio::select! {
        left = teardown.run(&mut say) => left,
        () = readable(impatience.as_ref()) => {
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

/// Reads what has made a socket readable; returns whether it was.
fn forget(descriptor: Option<&OwnedFd>) -> bool {
    let socket = descriptor.and_then(|socket| socket.try_clone().ok()).map(UnixStream::from);
    let Some(mut socket) = socket.filter(|socket| socket.set_nonblocking(true).is_ok()) else {
        return false;
    };
    let mut was_readable = false;
    while socket.read(&mut [0; 64]).is_ok_and(|len| len > 0) {
        was_readable = true;
    }
    was_readable
}

/// Has `hosts`, which are there, upload what they have.
async fn upload_of(parts: &CloudParts, hosts: &[CloudHost]) -> Result<(), StepError> {
    let CloudParts { account, infrastructure, context, impatience, .. } = parts;
    // A command by tag also goes to hosts that are lost, and waits for them.
    let targets = if hosts.len() == parts.hosts.len() {
        vec![StepTarget::All]
    } else {
        let ids: Vec<String> = hosts.iter().map(|host| host.instance.clone()).collect();
        ids.chunks(HOSTS_OF_A_COMMAND_MAX).map(|ids| StepTarget::Hosts(ids.to_vec())).collect()
    };
    let step = Step::UploadNetbenchRawData;
    let commands = targets.iter().map(|target| {
        let interrupted = readable(impatience.as_ref());
        steps::run_step(account, infrastructure, context, step, target, hosts, interrupted)
    });
    join_all(commands).await.into_iter().collect()
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
        let runtime = self.parts.runtime.clone();
        let mut problems = runtime.block_on(self.upload());
        problems.extend(runtime.block_on(self.download(run_directory)));
        // What interrupted this was heeded; one more signal means that the user has no patience left.
        let is_interrupted = forget(self.parts.impatience.as_ref()) && !problems.is_empty();
        Fetched { problems, is_interrupted }
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
        let known = Known::read(&parts.run_directory);
        let keep_results = self.keep_results;
        let teardown = Teardown { account, names, bucket, with_report: false, keep_results, known: &known };
        let mut left = match parts.runtime.block_on(teardown.terminate()) {
            Ok(found) => found.describe(),
            Err(error) => vec![error.to_string()],
        };
        left.push(format!("`runner ec2 destroy {} --region {}` removes it", names.run(), account.region));
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
    use std::sync::Mutex;

    /// A service in which nothing exists, whatever it is asked.
    fn nothing(request: &Request) -> Reply {
        let body = String::from_utf8_lossy(&request.body);
        match body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
            Some(action) => Reply::xml(200, &format!("<{action}Response/>")),
            None if request.header("x-amz-target").is_some() => Reply::json(serde_json::json!({})),
            None => Reply::xml(200, "<ListBucketResult/>"),
        }
    }

    fn hosts_of(service: &FakeService, run_directory: &Path) -> CloudHosts {
        let context = example();
        let infrastructure = Infrastructure {
            vpc: "vpc-1".into(),
            subnets: vec![],
            instance_profile: "profile".into(),
            bucket: context.bucket.clone(),
            log_group: None,
        };
        CloudHosts::new(CloudParts {
            runtime: Arc::new(
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            ),
            account: service.account(),
            infrastructure,
            context,
            hosts: vec![],
            run_directory: run_directory.to_owned(),
            keep: false,
            impatience: None,
        })
    }

    #[test]
    fn results_that_could_not_be_fetched_stay_in_the_bucket() {
        let names = example().names;
        let (mine, other) = (names.hosts_prefix() + "client-0/results/a", names.manifest());
        let listing = |keys: &[&String]| {
            let keys: String =
                keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
            Reply::xml(200, &format!("<ListBucketResult>{keys}</ListBucketResult>"))
        };
        for (is_there, is_kept) in [(false, true), (true, false)] {
            let (mine, other) = (mine.clone(), other.clone());
            let bucket = Arc::new(Mutex::new(vec![mine.clone(), other.clone()]));
            let objects = bucket.clone();
            let service = FakeService::start(move |request| {
                let mut keys = objects.lock().unwrap();
                if request.operation == "DELETE" {
                    keys.retain(|key| !request.target.contains(key.as_str()));
                    return Reply::Of(204, vec![], String::new());
                }
                if request.operation == "POST" && request.target.contains("delete") {
                    let body = String::from_utf8_lossy(&request.body);
                    keys.retain(|key| !body.contains(key.as_str()));
                    return Reply::xml(200, "<DeleteResult/>");
                }
                if request.operation == "GET" && request.target.contains("list-type=2") {
                    let prefix = if request.target.contains("hosts") { "hosts/" } else { "" };
                    return listing(&keys.iter().filter(|key| key.contains(prefix)).collect::<Vec<_>>());
                }
                if request.operation == "GET" {
                    return Reply::xml(if is_there { 200 } else { 403 }, "");
                }
                nothing(request)
            });
            let directory = tempfile::tempdir().unwrap();
            let mut hosts = hosts_of(&service, directory.path());
            let problems = hosts.fetch(directory.path()).problems;
            let place = format!("s3://{}/{}", example().bucket, names.hosts_prefix());
            let told = problems.last().is_some_and(|last| {
                last.contains(&format!("14 days in {place}"))
                    && last.contains(&format!("aws s3 cp --recursive {place} ."))
                    && last.contains(&format!("runner ec2 destroy {}", names.run()))
            });
            assert_eq!((problems.len(), told), if is_kept { (2, true) } else { (0, false) }, "{problems:?}");
            assert_eq!(hosts.release(), Vec::<String>::new());
            assert_eq!(crate::journal::read(directory.path()).unwrap().last(), Some(&Entry::Gone));
            assert_eq!(*bucket.lock().unwrap(), if is_kept { vec![mine] } else { vec![] });
        }
    }

    #[test]
    fn a_panic_while_hosts_are_prepared_gives_back_what_was_created() {
        let service = FakeService::start(nothing);
        let directory = tempfile::tempdir().unwrap();
        let hosts = hosts_of(&service, directory.path());
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
            assert_eq!(place_of("server-0", path).as_deref(), Some(Path::new(place)));
        }
    }

    #[test]
    fn a_host_cannot_replace_files_of_the_run() {
        for path in [
            "cloud.jsonl",
            "run.json",
            "results",
            "scenario/incast.json",
            "report/index.html",
            "Results/s/tcp/server-10.0.0.1.json",
        ] {
            assert_eq!(place_of("server-0", path), None, "{path}");
        }
    }
}
