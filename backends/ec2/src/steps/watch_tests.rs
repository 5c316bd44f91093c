//! A step against a service that answers as each test wants.

use super::error::StepError;
use super::fake_service::{FakeService, Reply, Request};
use super::script::{ScriptContext, example, script};
use super::send::Order;
use super::step::Step;
use super::turn::Turn;
use super::watch::{StepTarget, run_order, run_step};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use russula_proto::Group;
use serde_json::{Value, json};
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const STEP: Step = Step::PlaceWorker;

pub(super) fn hosts(count: u16) -> Vec<CloudHost> {
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

pub(super) fn infrastructure() -> Infrastructure {
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
        json!({"CommandId": "command-1", "InstanceId": instance, "Status": status, "StatusDetails": status,
               "CommandPlugins": [{"ResponseCode": 1, "Output": "the beginning"}]})
    };
    Reply::json(json!({"CommandInvocations": statuses.iter().map(one).collect::<Vec<_>>()}))
}

/// Runs a step for `count` hosts with a deadline of `limit_ms`.
async fn run(service: &FakeService, count: u16, limit_ms: u64) -> Result<(), StepError> {
    run_one(STEP, service, count, limit_ms).await
}

async fn run_one(step: Step, service: &FakeService, count: u16, limit_ms: u64) -> Result<(), StepError> {
    let context = ScriptContext { step_limit: Duration::from_millis(limit_ms), ..example() };
    let (account, infrastructure, script) = (&service.account(), &infrastructure(), "true".into());
    let order = Order { account, infrastructure, context: &context, step, target: &StepTarget::All, script };
    run_order(&order, &hosts(count), Turn::now(), pending()).await
}

#[tokio::test]
async fn one_command_for_all_hosts_and_one_call_a_poll() {
    let mut polls = 0;
    let service = FakeService::start(move |request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommandInvocations" => invocations(&[]),
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
    let (context, account) = (example(), service.account());
    run_step(&account, &infrastructure(), &context, STEP, &StepTarget::All, &hosts(200)).await.unwrap();
    let list = "ListCommands";
    assert_eq!(service.operations(), ["SendCommand", list, list, list, list, "ListCommandInvocations"]);
    let filters = service.requests()[5].json()["Filters"].clone();
    assert_eq!(filters, json!([{"key": "Status", "value": "Undeliverable"}]));
    let sent = service.requests()[0].json();
    assert_eq!(sent["Targets"], json!([{"Key": "tag:netbench-run", "Values": ["20261122-225500-1a2b"]}]));
    assert_eq!(sent["Parameters"]["commands"], json!([script(STEP, &context)]));
    assert_eq!(sent["Parameters"]["executionTimeout"], json!(["810"]));
    assert_eq!(sent["DocumentName"], "AWS-RunShellScript");
    assert_eq!((&sent["MaxConcurrency"], &sent["MaxErrors"]), (&json!("100%"), &json!("100%")));
    assert_eq!(sent["CloudWatchOutputConfig"]["CloudWatchLogGroupName"], "/netbench");
}

#[tokio::test]
async fn a_step_for_a_host_is_for_no_other() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        _ => commands(command("Success", 1, 0)),
    });
    let (account, target) = (service.account(), StepTarget::Hosts(vec!["i-2".into()]));
    run_step(&account, &infrastructure(), &example(), STEP, &target, &hosts(3)).await.unwrap();
    let expected = json!([{"Key": "InstanceIds", "Values": ["i-2"]}]);
    assert_eq!(service.requests()[0].json()["Targets"], expected);
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
async fn results_are_waited_for_when_a_host_has_failed_and_all_that_failed_are_named() {
    let mut polls = 0;
    let service = FakeService::start(move |request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => {
            polls += 1;
            commands(command(
                if polls < 4 { "InProgress" } else { "Success" },
                9,
                if polls < 4 { 1 } else { 8 },
            ))
        }
        "ListCommandInvocations" => {
            let names: Vec<_> = (1..9).map(|index| format!("i-{index}")).collect();
            let mut all: Vec<_> = names.iter().map(|name| (name.as_str(), "Failed")).collect();
            all.push(("i-0", "Success"));
            invocations(&all)
        }
        _ => Reply::json(json!({"StandardErrorContent": "no"})),
    });
    let error = run_one(Step::UploadNetbenchRawData, &service, 9, 5000).await.unwrap_err().to_string();
    assert!(error.starts_with("step upload_netbench_raw_data failed on 8 of 9 hosts\n"), "{error}");
    assert!(
        (0..8).all(|index| error.contains(&format!("client-{index} (i-{}): Failed", index + 1))),
        "{error}"
    );
    let operations = service.operations();
    assert_eq!(operations.iter().filter(|name| *name == "ListCommands").count(), 4);
    assert!(!operations.contains(&"CancelCommand".to_owned()), "{operations:?}");
}

#[tokio::test]
async fn results_that_do_not_come_in_time_are_told_with_those_that_failed() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("InProgress", 3, 1)),
        "ListCommandInvocations" => {
            invocations(&[("i-0", "Success"), ("i-1", "Failed"), ("i-2", "InProgress")])
        }
        "GetCommandInvocation" => Reply::json(json!({"StandardErrorContent": "AccessDenied"})),
        _ => Reply::json(json!({})),
    });
    let error = run_one(Step::UploadNetbenchRawData, &service, 3, 2000).await.unwrap_err();
    let expected = "step upload_netbench_raw_data failed on 2 of 3 hosts\n  client-0 (i-1): Failed\n    AccessDenied\n  \
                    client-1 (i-2): not ended: the deadline 'step upload_netbench_raw_data' passed after 2 s";
    assert_eq!(error.to_string(), expected);
    let operations = service.operations();
    assert_eq!(operations.iter().filter(|name| *name == "CancelCommand").count(), 1);
    assert_eq!(operations.last().unwrap(), "CancelCommand");
}

#[tokio::test]
async fn a_success_that_never_came_to_a_host_is_none() {
    let service = FakeService::start(|request: &Request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("Success", 2, 0)),
        "ListCommandInvocations" => Reply::json(json!({"CommandInvocations": [
            {"CommandId": "command-1", "InstanceId": "i-1", "Status": "Failed", "StatusDetails": "Undeliverable"}
        ]})),
        _ => Reply::error(400, "InvocationDoesNotExist"),
    });
    let error = run(&service, 2, 5000).await.unwrap_err();
    let expected = "step place_worker failed on 1 of 2 hosts\n  client-0 (i-1): Undeliverable";
    assert_eq!(error.to_string(), expected);
}

/// A service that learns of the tag of `i-0` only; `status` is that of the command by tag.
fn short_of_hosts(status: &'static str, reaches_the_rest: bool) -> FakeService {
    let mut commands_sent = 0;
    FakeService::start(move |request: &Request| {
        let asked = request.json();
        let by_tag = asked["CommandId"] == "command-1";
        match request.operation.as_str() {
            "SendCommand" => {
                commands_sent += 1;
                Reply::json(json!({"Command": {"CommandId": format!("command-{commands_sent}")}}))
            }
            "ListCommands" if by_tag => {
                commands(command(if commands_sent == 1 { status } else { "Success" }, 1, 0))
            }
            "ListCommands" => commands(command("Success", u32::from(reaches_the_rest) * 2, 0)),
            _ if !asked["Filters"].is_null() => invocations(&[]),
            _ if by_tag => invocations(&[("i-0", "Success")]),
            _ if reaches_the_rest => invocations(&[("i-1", "Success"), ("i-2", "Success")]),
            _ => invocations(&[]),
        }
    })
}

#[tokio::test]
async fn hosts_that_a_tag_does_not_find_are_named_by_their_ids() {
    for status in ["Success", "InProgress"] {
        let service = short_of_hosts(status, true);
        run(&service, 3, 5000).await.unwrap();
        let sent: Vec<_> =
            service.requests().into_iter().filter(|one| one.operation == "SendCommand").collect();
        assert_eq!(sent.len(), 2, "{status}");
        let expected = json!([{"Key": "InstanceIds", "Values": ["i-1", "i-2"]}]);
        assert_eq!(sent[1].json()["Targets"], expected);
        assert_ne!(sent[0].json()["Comment"], sent[1].json()["Comment"]);
    }
}

#[tokio::test]
async fn results_are_waited_for_when_the_others_cannot_be_asked() {
    let (mut polls, mut commands_sent) = (0, 0);
    let service = FakeService::start(move |request: &Request| match request.operation.as_str() {
        "SendCommand" => {
            commands_sent += 1;
            if commands_sent == 1 { sent() } else { Reply::error(400, "AccessDeniedException") }
        }
        "ListCommands" => {
            polls += 1;
            commands(command(if polls < 6 { "InProgress" } else { "Success" }, 1, 0))
        }
        _ => invocations(&[("i-0", "Success")]),
    });
    let error = run_one(Step::UploadNetbenchRawData, &service, 2, 5000).await.unwrap_err().to_string();
    assert!(error.contains("never reached 1 of 2 hosts: client-0 (i-1)"), "{error}");
    let operations = service.operations();
    assert_eq!(operations.iter().filter(|name| *name == "SendCommand").count(), 2);
    assert_eq!(operations.iter().filter(|name| *name == "ListCommands").count(), 6);
}

#[tokio::test]
async fn a_command_that_the_service_has_not_heard_of_yet_is_looked_for_again() {
    let mut polls = 0;
    let service = FakeService::start(move |request: &Request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommandInvocations" => invocations(&[]),
        _ => {
            polls += 1;
            if polls < 3 { Reply::error(400, "InvalidCommandId") } else { commands(command("Success", 1, 0)) }
        }
    });
    run(&service, 1, 5000).await.unwrap();
    assert_eq!(service.operations().len(), 5);
}

#[tokio::test]
async fn a_command_that_the_service_has_forgotten_is_an_error() {
    let mut polls = 0;
    let service = FakeService::start(move |request: &Request| match request.operation.as_str() {
        "SendCommand" => sent(),
        _ => {
            polls += 1;
            if polls > 1 {
                Reply::error(400, "InvalidCommandId")
            } else {
                commands(command("InProgress", 1, 0))
            }
        }
    });
    let error = run(&service, 1, 5000).await.unwrap_err().to_string();
    assert!(error.contains("InvalidCommandId"), "{error}");
}

#[tokio::test]
async fn hosts_that_hang_are_named_with_the_deadline() {
    let service = FakeService::start(|request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => commands(command("InProgress", 3, 0)),
        "ListCommandInvocations" => invocations(&[("i-0", "Success"), ("i-1", "InProgress")]),
        _ => Reply::json(json!({})),
    });
    let error = run(&service, 3, 2000).await.unwrap_err();
    let expected =
        "the deadline 'step place_worker' passed after 2 s for 2 of 3 hosts: client-0 (i-1), client-1 (i-2);";
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
    let expected = ["SendCommand", "ListCommands", "ListCommands", "ListCommandInvocations"];
    assert_eq!(service.operations(), expected);
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
    let expected = [again, again, again].concat();
    assert_eq!(service.operations(), [expected, vec!["ListCommandInvocations"]].concat());
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
async fn hosts_that_are_not_found_by_their_ids_either_are_named() {
    let service = short_of_hosts("Success", false);
    let error = run(&service, 3, 5000).await.unwrap_err();
    let expected = "step place_worker never reached 2 of 3 hosts: client-0 (i-1), client-1 (i-2);";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(service.operations().iter().filter(|name| *name == "SendCommand").count(), 2);
}

#[tokio::test]
async fn a_step_that_is_given_up_is_cancelled() {
    let seen = Arc::new(Notify::new());
    let runs = seen.clone();
    let service = FakeService::start(move |request| match request.operation.as_str() {
        "SendCommand" => sent(),
        "ListCommands" => {
            runs.notify_one();
            commands(command("InProgress", 1, 0))
        }
        _ => Reply::json(json!({})),
    });
    let cancel = seen.notified();
    let (account, infrastructure, context) = (&service.account(), &infrastructure(), &example());
    let (target, script) = (&StepTarget::All, "true".into());
    let order = Order { account, infrastructure, context, step: STEP, target, script };
    let error = run_order(&order, &hosts(1), Turn::now(), cancel).await;
    assert_eq!(error.unwrap_err().to_string(), "step place_worker was given up");
    assert_eq!(service.operations().last().unwrap(), "CancelCommand");
}
