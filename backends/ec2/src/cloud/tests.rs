//! The hosts of a run against a service that answers as each test wants.

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

/// No hosts as yet.
fn hosts(service: &FakeService, run_directory: &Path, keep: bool) -> CloudHosts {
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
        place: " --region us-east-1".into(),
        keep,
        patience: None,
    })
}

#[test]
fn a_panic_while_hosts_are_prepared_gives_back_what_was_created() {
    let service = FakeService::start(nothing);
    let directory = tempfile::tempdir().unwrap();
    let hosts = hosts(&service, directory.path(), false);
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
        assert!(asked.iter().any(|body| body.contains(&format!("Action={action}&"))), "{action}: {asked:#?}");
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

#[test]
fn a_second_ctrl_c_leaves_hosts_that_are_kept() {
    for keep in [true, false] {
        let service = FakeService::start(nothing);
        let directory = tempfile::tempdir().unwrap();
        let left = hosts(&service, directory.path(), keep).destroy();
        let is_told = left.iter().any(|left| left.starts_with("the hosts are kept until their time limit"));
        assert_eq!((is_told, left.is_empty()), (keep, !keep), "{left:?}");
        assert_eq!(service.operations().is_empty(), keep);
        let is_journal = directory.path().join(crate::journal::FILE).exists();
        assert_eq!(is_journal, !keep, "a journal that says that the hosts are given back");
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told() {
    let service = FakeService::start(nothing);
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(crate::journal::FILE)).unwrap();
    let left = hosts(&service, directory.path(), false).release();
    assert!(left.iter().any(|left| left.contains("cloud.jsonl cannot be read")), "{left:?}");
}

#[test]
fn results_that_could_not_be_fetched_stay_in_the_bucket() {
    let names = example().names;
    let mine = names.hosts_prefix() + "client-0/results/a";
    let listing = |keys: &[&String]| {
        let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        Reply::xml(200, &format!("<ListBucketResult>{keys}</ListBucketResult>"))
    };
    for (is_there, is_kept) in [(false, true), (true, false)] {
        let bucket = Arc::new(Mutex::new(vec![mine.clone(), names.manifest(), names.scenario()]));
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
        let mut hosts = hosts(&service, directory.path(), false);
        let problems = hosts.fetch(directory.path()).problems;
        let place = format!("s3://{}/{}", example().bucket, names.hosts_prefix());
        let told = problems.last().is_some_and(|last| {
            last.contains(&format!("stays in {place} for 14 days"))
                && last.contains(&format!("aws s3 cp --recursive {place} ."))
                && last.contains(&format!("runner ec2 destroy {}", names.run()))
        });
        assert_eq!((problems.len(), told), if is_kept { (2, true) } else { (0, false) }, "{problems:?}");
        assert_eq!(hosts.release(), Vec::<String>::new());
        assert_eq!(crate::journal::read(directory.path()).unwrap().last(), Some(&Entry::Gone));
        assert_eq!(*bucket.lock().unwrap(), if is_kept { vec![mine.clone()] } else { vec![] });
    }
}
