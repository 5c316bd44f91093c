//! All hosts of a run can be reached by SSM.

use super::error::StepError;
use super::invocations::label;
use crate::api::{Account, ApiError, Cause, Deadline, call};
use crate::hosts::CloudHost;
use crate::names::{RunNames, TAG_RUN};
use aws_sdk_ssm::types::{InstanceInformationStringFilter, PingStatus};
use std::collections::BTreeSet;
use std::time::Duration;

/// From a running instance to an agent that has registered; half a minute is usual, and a quarter of an hour possible
/// for hosts without a hypervisor (`*.metal`).
pub const REACHABLE: Deadline = Deadline { name: "hosts reachable by SSM", limit: Duration::from_secs(1200) };

/// Waits until the agents of all `hosts` of a run are online. One call a poll, or one for each fifty hosts.
///
/// # Errors
/// Names the hosts that never came when `deadline` has passed, or what the service refuses.
pub async fn wait_online(
    account: &Account,
    names: &RunNames,
    hosts: &[CloudHost],
    deadline: Deadline,
) -> Result<(), StepError> {
    let mut missing: BTreeSet<&str> = hosts.iter().map(|host| host.instance.as_str()).collect();
    let mut unanswered = None;
    let waiting = async {
        while !missing.is_empty() {
            match online(account, names).await {
                Ok(online) => {
                    unanswered = None;
                    missing = hosts.iter().map(|host| host.instance.as_str()).collect();
                    missing.retain(|instance| !online.contains(*instance));
                }
                // The deadline ends it if this does not pass.
                Err(error) if matches!(error.cause, Cause::Throttled | Cause::Unreachable) => {
                    tracing::warn!("{error}; looking again");
                    unanswered = Some(error);
                }
                Err(source) => {
                    return Err(StepError::Api { what: deadline.name.to_owned(), source: Box::new(source) });
                }
            }
            if !missing.is_empty() {
                tokio::time::sleep(account.poll_interval).await;
            }
        }
        Ok(())
    };
    if let Ok(ended) = tokio::time::timeout(deadline.limit, waiting).await {
        return ended;
    }
    if let Some(source) = unanswered {
        return Err(StepError::Api { what: deadline.name.to_owned(), source: Box::new(source) });
    }
    let missing = hosts.iter().filter(|host| missing.contains(host.instance.as_str()));
    let missing = missing.map(label).collect();
    Err(StepError::Unreachable { passed: deadline.passed(), missing, hosts: hosts.len() })
}

async fn online(account: &Account, names: &RunNames) -> Result<BTreeSet<String>, ApiError> {
    let resource = format!("the hosts of run {}", names.run());
    let (mut online, mut next) = (BTreeSet::new(), None);
    loop {
        let filter = InstanceInformationStringFilter::builder()
            .key(format!("tag:{TAG_RUN}"))
            .values(names.run().as_str())
            .build()
            .map_err(|_| ApiError::incomplete("DescribeInstanceInformation", &resource, "filter"))?;
        let request = account.ssm.describe_instance_information().filters(filter).max_results(50);
        let page = call("DescribeInstanceInformation", &resource, request.set_next_token(next.take()).send())
            .await?;
        for host in page.instance_information_list() {
            if host.ping_status() == Some(&PingStatus::Online) {
                online.extend(host.instance_id().map(str::to_owned));
            }
        }
        next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() {
            return Ok(online);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::example;
    use crate::steps::fake_service::{FakeService, Reply, Request};
    use crate::steps::watch_tests::hosts;
    use serde_json::json;

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
        wait_online(&service.account(), &example().names, &hosts(2), limit).await.unwrap();
        assert_eq!(service.operations().len(), 3);
        let expected = json!([{"Key": "tag:netbench-run", "Values": ["20261122-225500-1a2b"]}]);
        assert_eq!(service.requests()[0].json()["Filters"], expected);
    }

    #[tokio::test]
    async fn hosts_that_never_come_online_are_named() {
        let service = FakeService::start(|_: &Request| online(&["i-0"]));
        let limit = Deadline { name: "hosts reachable by SSM", limit: Duration::from_secs(2) };
        let error = wait_online(&service.account(), &example().names, &hosts(2), limit).await;
        let error = error.unwrap_err().to_string();
        let expected =
            "the deadline 'hosts reachable by SSM' passed after 2 s for 1 of 2 hosts: client-0 (i-1);";
        assert!(error.starts_with(expected), "{error}");
    }

    #[tokio::test]
    async fn a_service_that_never_answers_is_named_instead_of_the_hosts() {
        let service = FakeService::start(|_: &Request| Reply::Lost);
        let limit = Deadline { name: "hosts reachable by SSM", limit: Duration::from_secs(2) };
        let error = wait_online(&service.account(), &example().names, &hosts(2), limit).await;
        let error = error.unwrap_err().to_string();
        let expected = "hosts reachable by SSM: DescribeInstanceInformation of the hosts of run ";
        assert!(error.starts_with(expected), "{error}");
    }
}
