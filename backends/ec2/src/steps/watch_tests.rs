//! A step against a service that answers as each test wants.

use super::error::StepError;
use super::fake_service::{FakeService, Reply, Request};
use super::online::wait_online;
use super::script::{example, script};
use super::send::Order;
use super::step::{Deadline, Step};
use super::watch::{StepTarget, run_order, run_step};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use russula_proto::Group;
use serde_json::{Value, json};
use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

const STEP: Step = Step::PlaceWorker;

fn hosts(count: u16) -> Vec<CloudHost> {
    let host = |index: u16| CloudHost {
        instance: format!("i-{index}"),
        group: if index == 0 { Group::Server } else { Group::Client },
        index: index.saturating_sub(1),
        private_ip: Ipv4Addr::LOCALHOST,
        public_ip: Ipv4Addr::LOCALHOST,
        zone: "us-east-1a".into(),
        instance_type: "c7i.large".into(),
    };
    (0..count).map(host).collect()
}

fn infrastructure() -> Infrastructure {
    Infrastructure {
        vpc: "vpc-1".into(),
        subnets: Vec::new(),
        bucket: "the-bucket".into(),
        instance_profile: "netbench".into(),
        log_group: Some("/netbench".into()),
    }
}

fn sent() -> Reply {
    Reply::json(json!({"Command": {"CommandId": "command-1"}}))
}

fn command(status: &str, targets: u32, errors: u32) -> Value {
    json!({"CommandId": "command-1", "Status": status, "TargetCount": targets, "ErrorCount": errors})
}

fn commands(command: Value) -> Reply {
    Reply::json(json!({"Commands": [command]}))
}

fn invocations(statuses: &[(&str, &str)]) -> Reply {
    let one = |(instance, status): &(&str, &str)| {
        json!({"InstanceId": instance, "Status": status, "StatusDetails": status,
               "CommandPlugins": [{"ResponseCode": 1, "Output": "the beginning"}]})
    };
    Reply::json(json!({"CommandInvocations": statuses.iter().map(one).collect::<Vec<_>>()}))
}

/// Runs a step for `count` hosts with a deadline of `limit_ms`.
async fn run(service: &FakeService, count: u16, limit_ms: u64) -> Result<(), StepError> {
    let context = example();
    let order = Order {
        account: &service.account(),
        names: &context.names,
        log_group: None,
        step: STEP,
        target: &StepTarget::All,
        script: "true".into(),
        deadline: Deadline { name: STEP.deadline().name, limit: Duration::from_millis(limit_ms) },
    };
    run_order(&order, &hosts(count), pending()).await
}

#[tokio::test]
async fn one_command_for_all_hosts_and_one_call_a_poll() {
    let mut polls = 0;
    let service = FakeService::start(move |request| match request.operation.as_str() {
        "SendCommand" => sent(),
        _ => {
            polls += 1;
            let empty = Reply::json(json!({"Commands": []}));
            match polls {
                1 => empty,
                2 => commands(command("Pending", 0, 0)),
                3 => commands(command("InProgress", 200, 0)),
                _ => commands(command("Success", 200, 0)),
            }
        }
    });
    let context = example();
    run_step(&service.account(), &infrastructure(), &context, STEP, &StepTarget::All, &hosts(200), pending())
        .await
        .unwrap();
    let expected = ["SendCommand", "ListCommands", "ListCommands", "ListCommands", "ListCommands"];
    assert_eq!(service.operations(), expected);
    let sent = service.requests()[0].json();
    assert_eq!(sent["Targets"], json!([{"Key": "tag:netbench-run", "Values": ["20261122-225500-1a2b"]}]));
    assert_eq!(sent["Parameters"]["commands"], json!([script(STEP, &context)]));
    assert_eq!(sent["Parameters"]["executionTimeout"], json!(["630"]));
    assert_eq!(sent["DocumentName"], "AWS-RunShellScript");
    assert_eq!((&sent["MaxConcurrency"], &sent["MaxErrors"]), (&json!("100%"), &json!("100%")));
    assert_eq!(sent["CloudWatchOutputConfig"]["CloudWatchLogGroupName"], "/netbench");
}

#[tokio::test]
async fn a_step_for_a_group_or_a_host_is_for_no_other() {
    let targets = [
        (
            StepTarget::Group(Group::Client),
            json!([{"Key": "tag:netbench-run", "Values": ["20261122-225500-1a2b"]},
                   {"Key": "tag:netbench-group", "Values": ["client"]}]),
            2,
        ),
        (StepTarget::Hosts(vec!["i-2".into()]), json!([{"Key": "InstanceIds", "Values": ["i-2"]}]), 1),
    ];
    for (target, expected, count) in targets {
        let service = FakeService::start(move |request| match request.operation.as_str() {
            "SendCommand" => sent(),
            _ => commands(command("Success", count, 0)),
        });
        let account = service.account();
        let ended =
            run_step(&account, &infrastructure(), &example(), STEP, &target, &hosts(3), pending()).await;
        ended.unwrap();
        assert_eq!(service.requests()[0].json()["Targets"], expected);
    }
}

#[tokio::test]
async fn a_failure_names_host_step_and_cause_and_stops_the_others() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("InProgress", 3, 1)),
        "ListCommandInvocations" => {
            invocations(&[("i-0", "Success"), ("i-1", "Failed"), ("i-2", "InProgress")])
        }
        "GetCommandInvocation" => {
            Reply::json(json!({"StandardErrorContent": "netbench: the disk is full\n"}))
        }
        _ => Reply::json(json!({})),
    });
    let error = run(&service, 3, 5000).await.unwrap_err();
    let expected =
        "step place_worker failed on 1 of 3 hosts\n  client-0 (i-1): Failed\n    netbench: the disk is full";
    assert_eq!(error.to_string(), expected);
    let expected =
        ["SendCommand", "ListCommands", "ListCommandInvocations", "GetCommandInvocation", "CancelCommand"];
    assert_eq!(service.operations(), expected);
}

#[tokio::test]
async fn without_the_end_of_the_output_its_beginning_is_shown() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("Failed", 1, 1)),
        "ListCommandInvocations" => invocations(&[("i-0", "Failed")]),
        _ => Reply::error(400, "InvocationDoesNotExist"),
    });
    let error = run(&service, 1, 5000).await.unwrap_err();
    assert!(error.to_string().ends_with("server-0 (i-0): Failed\n    the beginning"), "{error}");
    assert!(!service.operations().contains(&"CancelCommand".to_owned()), "it has ended by itself");
}

#[tokio::test]
async fn many_failures_are_asked_about_with_few_calls() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("Failed", 40, 40)),
        "ListCommandInvocations" => {
            let names: Vec<_> = (0..40).map(|index| format!("i-{index}")).collect();
            invocations(&names.iter().map(|name| (name.as_str(), "Failed")).collect::<Vec<_>>())
        }
        _ => Reply::json(json!({"StandardErrorContent": "no"})),
    });
    let error = run(&service, 40, 5000).await.unwrap_err();
    assert!(error.to_string().ends_with("and 35 more"), "{error}");
    assert_eq!(service.operations().len(), 1 + 1 + 1 + 3);
}

#[tokio::test]
async fn hosts_that_hang_are_named_with_the_deadline() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("InProgress", 3, 0)),
        "ListCommandInvocations" => invocations(&[("i-0", "Success"), ("i-1", "InProgress")]),
        _ => Reply::json(json!({})),
    });
    let error = run(&service, 3, 300).await.unwrap_err();
    let expected =
        "deadline \"step place_worker\" (0 s) has passed for 2 of 3 hosts: client-0 (i-1), client-1 (i-2);";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(service.operations().last().unwrap(), "CancelCommand");
}

#[tokio::test]
async fn a_lost_reply_is_looked_up_and_not_sent_again() {
    let mut comment = Value::Null;
    let service = FakeService::start(move |request: &Request| match request.operation.as_str() {
        "SendCommand" => {
            comment = request.json()["Comment"].clone();
            Reply::Lost
        }
        _ if request.json()["CommandId"].is_null() => {
            let other = json!({"CommandId": "command-0", "Comment": "another run's"});
            Reply::json(json!({"Commands": [other, {"CommandId": "command-1", "Comment": comment}]}))
        }
        _ => commands(command("Success", 1, 0)),
    });
    run(&service, 1, 5000).await.unwrap();
    assert_eq!(service.operations(), ["SendCommand", "ListCommands", "ListCommands"]);
    assert_eq!(service.requests()[2].json()["CommandId"], "command-1");
}

#[tokio::test]
async fn a_command_that_is_nowhere_is_sent_again() {
    let mut tries = 0;
    let service = FakeService::start(move |request: &Request| match request.operation.as_str() {
        "SendCommand" => {
            tries += 1;
            match tries {
                1 => Reply::error(400, "ThrottlingException"),
                2 => Reply::error(500, "InternalServerError"),
                _ => sent(),
            }
        }
        _ if request.json()["CommandId"].is_null() => Reply::json(json!({"Commands": []})),
        _ => commands(command("Success", 1, 0)),
    });
    run(&service, 1, 10_000).await.unwrap();
    let again = ["SendCommand", "ListCommands"];
    assert_eq!(service.operations(), [again, again, again].concat());
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let service = FakeService::start(|_: &Request| Reply::error(400, "AccessDeniedException"));
    let error = run(&service, 1, 5000).await.unwrap_err();
    let expected = "step place_worker: SendCommand of step place_worker of run 20261122-225500-1a2b failed:";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(service.operations(), ["SendCommand"]);
}

#[tokio::test]
async fn a_success_that_reached_too_few_hosts_is_none() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("Success", 1, 0)),
        _ => invocations(&[("i-0", "Success")]),
    });
    let error = run(&service, 2, 5000).await.unwrap_err();
    let expected = "step place_worker never reached 1 of 2 hosts: client-0 (i-1);";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_step_that_is_given_up_is_cancelled() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("InProgress", 1, 0)),
        _ => Reply::json(json!({})),
    });
    let cancel = tokio::time::sleep(Duration::from_millis(300));
    let (account, context) = (service.account(), example());
    let error =
        run_step(&account, &infrastructure(), &context, STEP, &StepTarget::All, &hosts(1), cancel).await;
    assert_eq!(error.unwrap_err().to_string(), "step place_worker was given up");
    assert_eq!(service.operations().last().unwrap(), "CancelCommand");
}

fn online(names: &[&str]) -> Reply {
    let host = |name: &&str| json!({"InstanceId": name, "PingStatus": "Online"});
    let mut list: Vec<_> = names.iter().map(host).collect();
    list.push(json!({"InstanceId": "i-1", "PingStatus": "ConnectionLost"}));
    Reply::json(json!({ "InstanceInformationList": list }))
}

#[tokio::test]
async fn all_hosts_come_online_after_a_while() {
    let mut polls = 0;
    let service = FakeService::start(move |_: &Request| {
        polls += 1;
        if polls < 3 { online(&["i-0"]) } else { online(&["i-0", "i-1"]) }
    });
    let limit = Deadline { name: "hosts reachable by SSM", limit: Duration::from_secs(5) };
    wait_online(&service.account(), &example().names, &hosts(2), limit, pending()).await.unwrap();
    assert_eq!(service.operations().len(), 3);
    let expected = json!([{"Key": "tag:netbench-run", "Values": ["20261122-225500-1a2b"]}]);
    assert_eq!(service.requests()[0].json()["Filters"], expected);
}

#[tokio::test]
async fn hosts_that_never_come_online_are_named() {
    let service = FakeService::start(|_: &Request| online(&["i-0"]));
    let limit = Deadline { name: "hosts reachable by SSM", limit: Duration::from_millis(200) };
    let error = wait_online(&service.account(), &example().names, &hosts(2), limit, pending()).await;
    let error = error.unwrap_err().to_string();
    let expected = "deadline \"hosts reachable by SSM\" (0 s) has passed for 1 of 2 hosts: client-0 (i-1);";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_service_that_never_answers_is_named_instead_of_the_hosts() {
    let service = FakeService::start(|_: &Request| Reply::Lost);
    let limit = Deadline { name: "hosts reachable by SSM", limit: Duration::from_secs(2) };
    let error = wait_online(&service.account(), &example().names, &hosts(2), limit, pending()).await;
    let error = error.unwrap_err().to_string();
    let expected = "hosts reachable by SSM: DescribeInstanceInformation of the hosts of run ";
    assert!(error.starts_with(expected), "{error}");
}
