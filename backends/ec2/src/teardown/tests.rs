//! Teardowns against a service that answers as each test wants.

use super::*;
use crate::steps::fake_service::{FakeService, Reply, Request};

const RUN: &str = "20261123-041500-1a2b";

fn names() -> RunNames {
    RunNames::new(RUN.parse().unwrap())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn body_of(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

/// The parameters of an EC2 call; none for another service.
fn action_of(body: &str) -> Option<&str> {
    body.split('&').find_map(|pair| pair.strip_prefix("Action="))
}

/// How an answer of EC2 tells of instances.
fn instances(them: &[(&str, &str, &str)]) -> String {
    let item = |(id, state, run): &(&str, &str, &str)| {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><name>{state}</name></instanceState>\
             <tagSet><item><key>netbench-run</key><value>{run}</value></item></tagSet></item>"
        )
    };
    let items: String = them.iter().map(item).collect();
    format!("<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>")
}

fn security_group(id: &str, run: &str) -> String {
    format!(
        "<securityGroupInfo><item><groupId>{id}</groupId>\
         <tagSet><item><key>netbench-run</key><value>{run}</value></item></tagSet></item></securityGroupInfo>"
    )
}

fn answer(action: &str, content: &str) -> Reply {
    Reply::xml(200, &format!("<{action}Response>{content}</{action}Response>"))
}

fn refusal(code: &str) -> Reply {
    let error = format!("<Error><Code>{code}</Code><Message>as the test wants</Message></Error>");
    Reply::xml(400, &format!("<Response><Errors>{error}</Errors></Response>"))
}

/// Nothing of a service that is not EC2: no parameters, and no files.
fn nothing(request: &Request) -> Reply {
    if request.header("x-amz-target").is_some() {
        Reply::json(serde_json::json!({}))
    } else {
        Reply::xml(200, "<ListBucketResult/>")
    }
}

async fn tear_down(service: &FakeService, known: &Known) -> Left {
    let (account, names) = (service.account(), names());
    let teardown = Teardown {
        account: &account,
        names: &names,
        bucket: Some("the-bucket"),
        with_report: true,
        keep_results: false,
        known,
    };
    teardown.run(&mut |_| {}).await
}

/// The bodies of the calls of one action.
fn asked(service: &FakeService, action: &str) -> Vec<String> {
    let bodies = service.requests().iter().map(body_of).collect::<Vec<_>>();
    bodies.into_iter().filter(|body| action_of(body) == Some(action)).collect()
}

/// A service that finds nothing by tags, although one host runs until it is terminated.
#[tokio::test]
async fn what_is_not_found_by_its_tags_is_known_from_the_journal() {
    let mut state = "running";
    let service = FakeService::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) else {
            return Reply::json(serde_json::json!({}));
        };
        if action == "TerminateInstances" {
            state = "terminated";
        }
        let host = if action == "DescribeInstances" && body.contains("=instance-id&") {
            format!(
                "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
                 <instanceState><name>{state}</name></instanceState></item></instancesSet></item></reservationSet>"
            )
        } else {
            String::new()
        };
        Reply::xml(200, &format!("<{action}Response>{host}</{action}Response>"))
    });
    let names = RunNames::new("20261123-041500-1a2b".parse().unwrap());
    let known = Known {
        instances: set(&["i-1"]),
        security_groups: set(&["sg-1"]),
        placement_groups: set(&["netbench-group"]),
        ..Known::default()
    };
    let account = service.account();
    let teardown = Teardown {
        account: &account,
        names: &names,
        bucket: None,
        with_report: false,
        keep_results: false,
        known: &known,
    };
    let left = teardown.run(&mut |_| {}).await;
    assert!(left.is_nothing(), "{left:?}");
    let asked = service.requests();
    let asked: Vec<_> = asked.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    for (action, what) in [
        ("TerminateInstances", "InstanceId.1=i-1"),
        ("DeleteSecurityGroup", "GroupId=sg-1"),
        ("DeletePlacementGroup", "GroupName=netbench-group"),
    ] {
        let is_it = |body: &&std::borrow::Cow<'_, str>| body.contains(action) && body.contains(what);
        assert_eq!(asked.iter().filter(is_it).count(), 1, "{action}: {asked:#?}");
    }
}

#[tokio::test]
async fn what_the_journal_names_but_bears_the_tag_of_another_run_is_not_touched() {
    let mut removed = BTreeSet::new();
    let service = FakeService::start(move |request| {
        let body = body_of(request);
        let Some(action) = action_of(&body) else { return nothing(request) };
        // What is touched is gone, so that a teardown that does it ends soon.
        removed.insert(action.to_owned());
        let is_there = |removal: &str| !removed.contains(removal);
        let content = match action {
            "DescribeInstances" if body.contains("=instance-id&") && is_there("TerminateInstances") => {
                instances(&[("i-1", "running", "other")])
            }
            "DescribeSecurityGroups" if body.contains("=group-id&") && is_there("DeleteSecurityGroup") => {
                security_group("sg-1", "other")
            }
            "DescribePlacementGroups"
                if body.contains("=group-name&") && is_there("DeletePlacementGroup") =>
            {
                security_group("", "other")
                    .replace("securityGroupInfo", "placementGroupSet")
                    .replace("<groupId></groupId>", "<groupName>theirs</groupName><state>available</state>")
            }
            _ => String::new(),
        };
        answer(action, &content)
    });
    let known = Known {
        instances: set(&["i-1"]),
        security_groups: set(&["sg-1"]),
        placement_groups: set(&["theirs"]),
        ..Known::default()
    };
    let left = tear_down(&service, &known).await;
    assert!(left.is_nothing(), "{left:?}");
    for action in ["TerminateInstances", "DeleteSecurityGroup", "DeletePlacementGroup"] {
        assert_eq!(asked(&service, action), [""; 0], "{action}");
    }
}

#[tokio::test]
async fn a_copy_of_the_report_that_cannot_be_removed_is_left() {
    let service = FakeService::start(|request| {
        let body = body_of(request);
        match action_of(&body) {
            Some(action) => answer(action, ""),
            None if request.operation == "POST" && request.target.contains("delete") => {
                let error =
                    "<Error><Key>reports/x</Key><Code>AccessDenied</Code><Message>no</Message></Error>";
                Reply::xml(200, &format!("<DeleteResult>{error}</DeleteResult>"))
            }
            None if request.target.contains("prefix=reports") => Reply::xml(
                200,
                "<ListBucketResult><Contents><Key>reports/x</Key></Contents></ListBucketResult>",
            ),
            None => nothing(request),
        }
    });
    let left = tear_down(&service, &Known::default()).await;
    assert_eq!(left.found.objects, ["reports/x"]);
    assert!(left.errors.iter().any(|error| error.contains("were not deleted")), "{left:?}");
}

#[tokio::test]
async fn a_group_that_only_the_journal_knows_and_that_stays_is_left() {
    let service = FakeService::start(|request| {
        let body = body_of(request);
        let Some(action) = action_of(&body) else { return nothing(request) };
        match action {
            "DeleteSecurityGroup" => refusal("UnauthorizedOperation"),
            "DescribeSecurityGroups" if body.contains("=group-id&") => {
                answer(action, &security_group("sg-1", RUN))
            }
            _ => answer(action, ""),
        }
    });
    let known = Known { security_groups: set(&["sg-1"]), ..Known::default() };
    let left = tear_down(&service, &known).await;
    assert_eq!(left.found.security_groups, ["sg-1"]);
    assert_eq!(asked(&service, "DeleteSecurityGroup").len(), TRIES_MAX);
}

/// Every call that names a host that is not known everywhere yet is refused, with all others of that call.
#[tokio::test]
async fn a_host_that_is_not_known_yet_keeps_no_other_from_being_terminated() {
    let mut terminated = BTreeSet::new();
    let mut refusals = 0;
    let service = FakeService::start(move |request| {
        let body = body_of(request);
        let Some(action) = action_of(&body) else { return nothing(request) };
        if action == "TerminateInstances" {
            let ids = body.split('&').filter(|pair| pair.starts_with("InstanceId."));
            let ids: Vec<String> = ids.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())).collect();
            if ids.iter().any(|id| id == "i-3") && refusals < 5 {
                refusals += 1;
                return refusal("InvalidInstanceID.NotFound");
            }
            terminated.extend(ids);
        }
        let state = |id: &str| if terminated.contains(id) { "terminated" } else { "running" };
        let all = ["i-1", "i-2", "i-3", "i-4", "i-5"].map(|id| (id, state(id), RUN));
        answer(action, &if action == "DescribeInstances" { instances(&all) } else { String::new() })
    });
    let left = tear_down(&service, &Known::default()).await;
    assert!(left.is_nothing(), "{left:?}");
    let asked = asked(&service, "TerminateInstances");
    let again = asked.iter().skip(5).filter(|body| body.contains("=i-1")).count();
    assert!(again == 0 && asked.len() <= 9, "only what is not known is asked for again: {asked:#?}");
}

#[tokio::test]
async fn what_is_deleted_but_still_listed_is_not_left() {
    let mut looks = 0;
    let service = FakeService::start(move |request| {
        let body = body_of(request);
        let Some(action) = action_of(&body) else { return nothing(request) };
        match action {
            "DeleteSecurityGroup" => refusal("InvalidGroup.NotFound"),
            "DescribeSecurityGroups" => {
                looks += 1;
                answer(action, &if looks < 20 { security_group("sg-1", RUN) } else { String::new() })
            }
            _ => answer(action, ""),
        }
    });
    let left = tear_down(&service, &Known::default()).await;
    assert!(left.is_nothing(), "{left:?}");
}
