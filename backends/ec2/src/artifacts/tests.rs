//! Transfers against a service that answers as each test wants.

use super::*;
use crate::names::RunNames;
use crate::steps::fake_service::{FakeService, Reply, Request};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NEW: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
const OLD: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

fn artifact(directory: &Path, text: &str) -> Artifact {
    let path = directory.join(text);
    std::fs::write(&path, text).unwrap();
    Artifact::of_file(&path, "bin/program", 0o755, Place::Shared).unwrap()
}

fn names() -> RunNames {
    RunNames::new("r1".parse().unwrap())
}

fn there(length: usize, since: &str) -> Reply {
    let headers = vec![("content-length", length.to_string()), ("last-modified", since.to_owned())];
    Reply::Of(200, headers, String::new())
}

fn missing() -> Reply {
    Reply::Of(404, Vec::new(), String::new())
}

fn listing(keys: &[&str], next: Option<&str>) -> Reply {
    let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let next = next.map_or_else(
        || "<IsTruncated>false</IsTruncated>".to_owned(),
        |token| {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
        },
    );
    Reply::xml(200, &format!("<ListBucketResult>{keys}{next}</ListBucketResult>"))
}

#[tokio::test]
async fn only_what_the_bucket_lacks_is_uploaded_and_by_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let [known, new, old, short] =
        ["known", "new", "old", "short"].map(|text| artifact(directory.path(), text));
    let keys = [&known, &old, &short].map(|one| format!("/the-bucket/{}", one.key(&names())));
    let service = FakeService::start(move |request| {
        let is = |key: &String| request.target.starts_with(key.as_str());
        match request.operation.as_str() {
            "HEAD" if is(&keys[0]) => there(5, NEW),
            "HEAD" if is(&keys[1]) => there(3, OLD),
            "HEAD" if is(&keys[2]) => there(4, NEW),
            "HEAD" => missing(),
            _ => Reply::xml(200, ""),
        }
    });
    let all = [known, new.clone(), new.clone(), old.clone(), short];
    upload_shared(&service.account(), "the-bucket", &names(), &all).await.unwrap();
    let requests = service.requests();
    let put = |artifact: &Artifact| {
        let key = format!("/the-bucket/{}", artifact.key(&names()));
        let put = requests.iter().filter(|one| one.operation == "PUT" && one.target.starts_with(&key));
        put.collect::<Vec<_>>()
    };
    let puts = requests.iter().filter(|one| one.operation == "PUT").count();
    assert_eq!(puts, 3, "the new one once, the old one, and the one that is short");
    assert_eq!(put(&old).len(), 1);
    assert_eq!(put(&new).len(), 1);
    assert_eq!(put(&new)[0].body, b"new");
    // sha256sum, as base64.
    let digest = put(&new)[0].header("x-amz-checksum-sha256").unwrap().to_owned();
    assert_eq!((digest.len(), digest.ends_with('=')), (44, true));
    assert_eq!(put(&new)[0].header("content-encoding"), None, "the body goes as it is");
}

#[tokio::test]
async fn a_scenario_lies_among_the_files_of_its_run_only() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = Artifact { place: Place::Scenario, ..artifact(directory.path(), "scenario") };
    let program = artifact(directory.path(), "program");
    let service = FakeService::start(|request| match request.operation.as_str() {
        "HEAD" => missing(),
        _ => Reply::xml(200, ""),
    });
    let (account, all) = (service.account(), [scenario.clone(), program.clone()]);
    upload_shared(&account, "the-bucket", &names(), &all).await.unwrap();
    upload_own(&account, "the-bucket", &names(), &all).await.unwrap();
    let requests = service.requests();
    let puts = requests.iter().filter(|one| one.operation == "PUT");
    let puts: Vec<&str> = puts.map(|one| one.target.split('?').next().unwrap()).collect();
    assert_eq!(
        puts,
        [format!("/the-bucket/{}", program.key(&names())), "/the-bucket/runs/r1/scenario".into()]
    );
    assert!(
        requests.iter().all(|one| !one.target.contains(&scenario.digest.to_string())),
        "not even its digest is told"
    );
}

#[tokio::test]
async fn a_bucket_that_refuses_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let one = artifact(directory.path(), "one");
    let service = FakeService::start(|_: &Request| Reply::Of(403, Vec::new(), String::new()));
    let error = upload_shared(&service.account(), "the-bucket", &names(), &[one]).await.unwrap_err();
    assert!(error.to_string().starts_with("HeadObject of s3://the-bucket/artifacts/"), "{error}");
}

#[tokio::test]
async fn a_link_is_signed_for_a_limited_time() {
    let service = FakeService::start(|_: &Request| missing());
    let account = service.account();
    let signer = Signer::new(&account).await;
    let link_1 = signer.link("the-bucket", "artifacts/x", Duration::from_secs(900)).await.unwrap();
    assert!(link_1.lasts_less_than(Duration::from_secs(901)), "{link_1:?}");
    assert!(!link_1.lasts_less_than(Duration::from_secs(800)), "{link_1:?}");
    let url = link_1.url;
    assert!(url.contains("/artifacts/x?") && url.contains("X-Amz-Expires=900"), "{url}");
    let file = ManifestFile { digest: [0; 32].into(), mode: 0o755, name: "bin/x".into(), url };
    manifest(&[], &[file]).unwrap();
    let week = Duration::from_secs(8 * 24 * 3600);
    assert!(matches!(signer.link("the-bucket", "x", week).await, Err(ArtifactError::Unsigned { .. })));
    assert!(service.operations().is_empty());
}

#[tokio::test]
async fn results_of_all_pages_are_fetched_to_where_the_caller_wants_them() {
    let service = FakeService::start(|request| {
        let target = request.target.clone();
        if !target.contains("list-type=2") {
            return Reply::Of(200, Vec::new(), format!("body of {}", target.split('?').next().unwrap()));
        }
        assert!(target.contains("prefix=runs%2Fr1%2Fhosts%2F"), "{target}");
        if target.contains("continuation-token=two") {
            listing(&["runs/r1/hosts/client-0/logs/skipped.log", "runs/r1/hosts/client-0/a.json"], None)
        } else {
            listing(&["runs/r1/hosts/server-0/", "runs/r1/hosts/server-0/results/a/b.json"], Some("two"))
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let place = |host: &str, name: &str| {
        (!name.starts_with("logs/")).then(|| PathBuf::from(host).join(name.replace("results/", "")))
    };
    let errors = collect(&service.account(), "the-bucket", &names(), directory.path(), place).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(files_below(directory.path()), ["client-0/a.json", "server-0/a/b.json"]);
    let text = std::fs::read_to_string(directory.path().join("server-0/a/b.json")).unwrap();
    assert_eq!(text, "body of /the-bucket/runs/r1/hosts/server-0/results/a/b.json");
}

#[tokio::test]
async fn names_that_leave_the_directory_are_refused_and_the_others_are_fetched() {
    for bad in ["server-0/../../x", "server-0//etc/passwd", "../x", "server-0/./x", "alone"] {
        let service = FakeService::start(move |request| {
            if !request.target.contains("list-type=2") {
                return Reply::Of(200, Vec::new(), "good".into());
            }
            listing(&[&format!("runs/r1/hosts/{bad}"), "runs/r1/hosts/server-0/good"], None)
        });
        let directory = tempfile::tempdir().unwrap();
        let place = |host: &str, name: &str| Some(Path::new(host).join(name));
        let errors = collect(&service.account(), "the-bucket", &names(), directory.path(), place).await;
        assert!(matches!(errors[..], [ArtifactError::Escapes { .. }]), "{bad}: {errors:?}");
        assert_eq!(service.operations(), ["GET", "GET"], "{bad}: one list, one object");
        assert_eq!(files_below(directory.path()), ["server-0/good"], "{bad}");
    }
    // The caller's own function may not leave it either.
    let service = FakeService::start(|_: &Request| listing(&["runs/r1/hosts/server-0/good"], None));
    let directory = tempfile::tempdir().unwrap();
    let place = |_: &str, _: &str| Some(PathBuf::from("/tmp/elsewhere"));
    let errors = collect(&service.account(), "the-bucket", &names(), directory.path(), place).await;
    assert!(matches!(errors[..], [ArtifactError::Escapes { .. }]), "{errors:?}");
    assert_eq!(service.operations(), ["GET"]);
}

/// A bucket with `keys`, whose objects are answered with `object`.
fn bucket_of(keys: &'static [&str], mut object: impl FnMut(&str) -> Reply + Send + 'static) -> FakeService {
    FakeService::start(move |request| {
        if request.target.contains("list-type=2") {
            return listing(keys, None);
        }
        object(request.target.split('?').next().unwrap())
    })
}

fn broken() -> Reply {
    Reply::Of(200, vec![("content-length", "1000".into())], "only this".into())
}

#[tokio::test]
async fn a_download_that_breaks_off_is_tried_again() {
    let mut is_first = true;
    let service = bucket_of(&["runs/r1/hosts/server-0/a"], move |_| {
        if std::mem::replace(&mut is_first, false) {
            broken()
        } else {
            Reply::Of(200, vec![], "whole".into())
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let place = |_: &str, name: &str| Some(PathBuf::from(name));
    let errors = collect(&service.account(), "the-bucket", &names(), directory.path(), place).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(files_below(directory.path()), ["a"]);
    assert_eq!(std::fs::read_to_string(directory.path().join("a")).unwrap(), "whole");
    assert_eq!(service.operations().len(), 3, "one list, the object twice");
}

#[tokio::test]
async fn what_cannot_be_fetched_keeps_nothing_else_from_arriving_and_leaves_no_part() {
    let keys = &["runs/r1/hosts/server-0/a", "runs/r1/hosts/server-0/b", "runs/r1/hosts/server-0/c"];
    let service = bucket_of(keys, |target| match target {
        "/the-bucket/runs/r1/hosts/server-0/a" => Reply::xml(403, "<Error><Code>AccessDenied</Code></Error>"),
        "/the-bucket/runs/r1/hosts/server-0/b" => broken(),
        _ => Reply::Of(200, vec![], "whole".into()),
    });
    let directory = tempfile::tempdir().unwrap();
    let place = |_: &str, name: &str| Some(PathBuf::from(name));
    let errors = collect(&service.account(), "the-bucket", &names(), directory.path(), place).await;
    let [ArtifactError::Api(refused), ArtifactError::BrokenOff { key, .. }] = &errors[..] else {
        panic!("{errors:?}");
    };
    assert!(refused.to_string().contains("server-0/a"), "{refused}");
    assert_eq!(key, "runs/r1/hosts/server-0/b");
    assert_eq!(files_below(directory.path()), ["c"]);
}

/// The files below `directory`, in order.
fn files_below(directory: &Path) -> Vec<String> {
    let (mut files, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn everything_below_a_prefix_is_deleted_in_batches() {
    let service = FakeService::start(|request| {
        if request.operation == "POST" {
            return Reply::xml(200, "<DeleteResult/>");
        }
        let keys = |range: std::ops::Range<u32>| range.map(|n| format!("runs/r1/{n}")).collect::<Vec<_>>();
        let second = request.target.contains("continuation-token=two");
        let keys = if second { keys(800..1500) } else { keys(0..800) };
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        listing(&keys, (!second).then_some("two"))
    });
    let count = remove_all(&service.account(), "the-bucket", "runs/r1/").await.unwrap();
    assert_eq!(count, 1500);
    assert_eq!(service.operations(), ["GET", "GET", "POST", "POST"]);
    let named = |request: &Request| String::from_utf8_lossy(&request.body).matches("<Key>").count();
    let requests = service.requests();
    assert_eq!((named(&requests[2]), named(&requests[3])), (1000, 500));
}

#[tokio::test]
async fn what_was_not_deleted_is_an_error() {
    let service = FakeService::start(|request| {
        if request.operation == "POST" {
            let error =
                "<Error><Key>runs/r1/x</Key><Code>AccessDenied</Code><Message>not yours</Message></Error>";
            return Reply::xml(200, &format!("<DeleteResult>{error}</DeleteResult>"));
        }
        listing(&["runs/r1/x", "runs/r1/y"], None)
    });
    let error = remove_all(&service.account(), "the-bucket", "runs/r1/").await.unwrap_err();
    let expected = "1 objects below runs/r1/ were not deleted, among them runs/r1/x: not yours;";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test]
async fn nothing_to_delete_needs_no_call_and_a_whole_bucket_is_never_deleted() {
    let service = FakeService::start(|_: &Request| listing(&[], None));
    let account = service.account();
    assert_eq!(remove_all(&account, "the-bucket", "runs/r1/").await.unwrap(), 0);
    assert_eq!(service.operations(), ["GET"]);
    for prefix in ["", "/", "runs"] {
        assert!(remove_all(&account, "the-bucket", prefix).await.is_err(), "{prefix:?}");
    }
    assert_eq!(service.operations(), ["GET"]);
}

#[tokio::test]
async fn a_small_text_is_read_or_is_missing() {
    let service = FakeService::start(|request| match request.target.as_str() {
        target if target.contains("/there") => Reply::Of(200, Vec::new(), "abc\n".into()),
        _ => Reply::xml(404, "<Error><Code>NoSuchKey</Code></Error>"),
    });
    let account = service.account();
    assert_eq!(read_text(&account, "the-bucket", "there", 4).await.unwrap().as_deref(), Some("abc\n"));
    assert!(read_text(&account, "the-bucket", "there", 3).await.is_err());
    assert_eq!(read_text(&account, "the-bucket", "gone", 3).await.unwrap(), None);
}
