//! What the service knows of commands on each host, asked for only at the end of a step.

use super::error::HostFailure;
use crate::api::{Account, ApiError, call};
use crate::hosts::CloudHost;
use aws_sdk_ssm::types::{
    CommandFilter, CommandFilterKey, CommandInvocation, CommandInvocationStatus as Status,
};
use std::time::Duration;

/// For the calls that follow a deadline or a failure, and change nothing about it.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(20);

/// Hosts whose output is asked for after a failure, one call each.
const OUTPUTS_MAX: usize = 3;

/// The status of a host that a command was for and never came to. It is in none of a command's counts but
/// `CompletedCount`, and does not keep the command from its success.
const UNDELIVERABLE: &str = "Undeliverable";

/// A step that failed on a host, and the command and the instance by which its output is found.
pub(super) struct Failure {
    failure: HostFailure,
    command: String,
    instance: String,
}

/// Everything that is known of a command on each host, fifty hosts a call.
pub(super) async fn all_of(
    account: &Account,
    command: &str,
    resource: &str,
) -> Result<Vec<CommandInvocation>, ApiError> {
    list(account, command, resource, None).await
}

/// The hosts that a command that succeeded never came to: one call, whatever the number of hosts.
pub(super) async fn undeliverable(
    account: &Account,
    command: &str,
    resource: &str,
) -> Result<Vec<CommandInvocation>, ApiError> {
    let filter = CommandFilter::builder().key(CommandFilterKey::Status).value(UNDELIVERABLE).build();
    let filter = filter.map_err(|_| ApiError::incomplete("ListCommandInvocations", resource, "filter"))?;
    list(account, command, resource, Some(filter)).await
}

async fn list(
    account: &Account,
    command: &str,
    resource: &str,
    filter: Option<CommandFilter>,
) -> Result<Vec<CommandInvocation>, ApiError> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let request = account.ssm.list_command_invocations().command_id(command).details(true);
        let request = request.set_filters(filter.clone().map(|filter| vec![filter]));
        let request = request.max_results(50).set_next_token(next.take());
        let page = call("ListCommandInvocations", resource, request.send()).await?;
        all.extend_from_slice(page.command_invocations());
        next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// The hosts among `invocations` on which it failed, each with the beginning of its output.
pub(super) fn failures_of(invocations: &[CommandInvocation], hosts: &[&CloudHost]) -> Vec<Failure> {
    let failed = invocations.iter().filter(|one| has_failed(one));
    failed.map(|one| Failure::of(one, hosts)).collect()
}

/// Tells of `failures`, of the first few with what the step said on stderr: the reason and the end of its output.
pub(super) async fn told(account: &Account, failures: Vec<Failure>) -> Vec<HostFailure> {
    let mut told = Vec::new();
    for (place, Failure { mut failure, command, instance }) in failures.into_iter().enumerate() {
        if place < OUTPUTS_MAX
            && let Some(output) = output(account, &command, &instance).await
        {
            failure.output = Some(output);
        }
        told.push(failure);
    }
    told
}

/// Whether one of `invocations` is on `host` and has succeeded there.
pub(super) fn has_succeeded(invocations: &[CommandInvocation], host: &CloudHost) -> bool {
    on(invocations, host).any(|one| one.status() == Some(&Status::Success))
}

/// Whether one of `invocations` is on `host` and has failed there.
pub(super) fn has_failed_on(invocations: &[CommandInvocation], host: &CloudHost) -> bool {
    on(invocations, host).any(has_failed)
}

/// Those of `hosts` that none of `invocations` is on.
pub(super) fn missing_of<'a>(
    invocations: &[CommandInvocation],
    hosts: &[&'a CloudHost],
) -> Vec<&'a CloudHost> {
    hosts.iter().copied().filter(|host| on(invocations, host).next().is_none()).collect()
}

/// A host as the user knows it.
pub(super) fn label(host: &CloudHost) -> String {
    format!("{}-{} ({})", host.group.name(), host.index, host.instance)
}

impl Failure {
    fn of(one: &CommandInvocation, hosts: &[&CloudHost]) -> Self {
        let instance = one.instance_id().unwrap_or("unknown").to_owned();
        let host = hosts.iter().find(|host| host.instance == instance);
        let host = host.map_or_else(|| instance.clone(), |host| label(host));
        let status = one.status_details().or(one.status().map(|status| status.as_str()));
        let plugin = one.command_plugins().iter().find(|plugin| plugin.response_code() != 0);
        let output = plugin.or(one.command_plugins().first()).and_then(|plugin| plugin.output());
        let output = output.filter(|output| !output.trim().is_empty()).map(str::to_owned);
        let failure = HostFailure { host, status: status.unwrap_or("Failed").to_owned(), output };
        Self { failure, command: one.command_id().unwrap_or_default().to_owned(), instance }
    }
}

async fn output(account: &Account, command: &str, instance: &str) -> Option<String> {
    let request = account.ssm.get_command_invocation().command_id(command).instance_id(instance);
    let request = tokio::time::timeout(AFTERWARDS, call("GetCommandInvocation", instance, request.send()));
    let output = match request.await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            tracing::warn!("{error}");
            return None;
        }
        Err(_) => {
            tracing::warn!("GetCommandInvocation of {instance} was not answered within {AFTERWARDS:?}");
            return None;
        }
    };
    output.standard_error_content().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

fn on<'a>(
    invocations: &'a [CommandInvocation],
    host: &'a CloudHost,
) -> impl Iterator<Item = &'a CommandInvocation> {
    invocations.iter().filter(|one| one.instance_id() == Some(host.instance.as_str()))
}

fn has_failed(one: &CommandInvocation) -> bool {
    one.status().is_some_and(|status| [Status::Cancelled, Status::Failed, Status::TimedOut].contains(status))
}
