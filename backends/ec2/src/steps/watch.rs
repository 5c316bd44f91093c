//! A step on its hosts, from the command to its end: one call a poll, whatever the number of hosts.

use super::error::{HostFailure, StepError};
use super::script::{ScriptContext, script};
use super::send::Order;
use super::step::{Deadline, Step};
use crate::api::{Account, ApiError, Cause, call};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use aws_sdk_ssm::types::{Command, CommandInvocation, CommandInvocationStatus, CommandStatus};
use russula_proto::Group;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

/// Hosts whose output is asked for after a failure, one call each.
const OUTPUTS_MAX: usize = 3;

/// How often the list of what happened on each host is asked for, until it shows a failure that was counted.
const LOOKS_MAX: usize = 3;

/// For the calls that follow a deadline or a failure, and change nothing about it.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// Which hosts do a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepTarget {
    /// All of the run.
    All,
    /// All of a group.
    Group(Group),
    /// Some, fifty at most, by the ids of their instances.
    Hosts(Vec<String>),
}

/// Does `step` on those of `hosts` (all hosts of the run) that `target` means. `cancel` ends it early.
///
/// # Errors
/// [`StepError`]: what failed where and why, or which deadline passed for which hosts. The command is then cancelled.
pub async fn run_step(
    account: &Account,
    infrastructure: &Infrastructure,
    context: &ScriptContext,
    step: Step,
    target: &StepTarget,
    hosts: &[CloudHost],
    cancel: impl Future<Output = ()>,
) -> Result<(), StepError> {
    let order = Order {
        account,
        names: &context.names,
        log_group: infrastructure.log_group.as_deref(),
        step,
        target,
        script: script(step, context),
        deadline: context.deadline(step),
    };
    run_order(&order, hosts, cancel).await
}

pub(super) async fn run_order(
    order: &Order<'_>,
    hosts: &[CloudHost],
    cancel: impl Future<Output = ()>,
) -> Result<(), StepError> {
    let hosts: Vec<&CloudHost> = hosts.iter().filter(|host| order.target.means(host)).collect();
    if hosts.is_empty() {
        return Ok(());
    }
    let watch = Watch { order, hosts, command: OnceLock::new() };
    tokio::select! {
        biased;
        () = cancel => {
            watch.cancel_command().await;
            Err(StepError::Cancelled(format!("step {}", order.step)))
        }
        ended = tokio::time::timeout(order.deadline.limit, watch.to_the_end()) => match ended {
            Ok(result) => result,
            Err(_) => Err(watch.hanging(order.deadline).await),
        }
    }
}

/// One command and its hosts.
struct Watch<'a> {
    order: &'a Order<'a>,
    hosts: Vec<&'a CloudHost>,
    /// Its id, as soon as it is known.
    command: OnceLock<String>,
}

/// What the counts of a command say.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Running,
    Succeeded,
    Failed,
}

impl Watch<'_> {
    async fn to_the_end(&self) -> Result<(), StepError> {
        let sent = self.order.send().await.map_err(|source| self.api(source))?;
        let id = self.command.get_or_init(|| sent);
        loop {
            tokio::time::sleep(self.order.account.poll_interval).await;
            let request = self.order.account.ssm.list_commands().command_id(id);
            let commands = match call("ListCommands", &self.resource(), request.send()).await {
                Ok(commands) => commands,
                // The deadline ends it if this does not pass.
                Err(error) if matches!(error.cause, Cause::Throttled | Cause::Unreachable) => {
                    tracing::warn!("{error}; looking again");
                    continue;
                }
                Err(error) => return Err(self.api(error)),
            };
            // A command that was just sent may not be listed yet.
            let Some(command) = commands.commands().first() else { continue };
            match progress(command) {
                Progress::Running => {}
                Progress::Succeeded => return self.all_reached(command).await,
                Progress::Failed => return Err(self.failed(command).await),
            }
        }
    }

    /// A command by tag succeeds as well when it reached too few hosts, or none.
    async fn all_reached(&self, command: &Command) -> Result<(), StepError> {
        if usize::try_from(command.target_count()) == Ok(self.hosts.len()) {
            return Ok(());
        }
        let invocations = self.invocations().await.map_err(|source| self.api(source))?;
        let reached = |host: &&&CloudHost| {
            invocations.iter().any(|one| one.instance_id() == Some(host.instance.as_str()))
        };
        let missing: Vec<_> =
            self.hosts.iter().filter(|host| !reached(host)).map(|host| label(host)).collect();
        if missing.is_empty() {
            tracing::warn!("{} also reached hosts that this run does not know", self.resource());
            return Ok(());
        }
        Err(StepError::NotSent { step: self.order.step, missing, hosts: self.hosts.len() })
    }

    async fn failed(&self, command: &Command) -> StepError {
        let mut failures = Vec::new();
        for look in 0..LOOKS_MAX {
            let invocations = match self.invocations().await {
                Ok(invocations) => invocations,
                Err(error) => return self.api(error),
            };
            failures =
                invocations.iter().filter(|one| has_failed(one)).map(|one| self.failure(one)).collect();
            if !failures.is_empty() {
                break;
            }
            if look + 1 < LOOKS_MAX {
                tokio::time::sleep(self.order.account.poll_interval).await;
            }
        }
        for (failure, instance) in failures.iter_mut().take(OUTPUTS_MAX) {
            if let Some(output) = self.output(instance).await {
                failure.output = Some(output);
            }
        }
        if !has_ended(command) {
            self.cancel_command().await;
        }
        let mut failures: Vec<_> = failures.into_iter().map(|(failure, _)| failure).collect();
        if failures.is_empty() {
            let status = command.status_details().unwrap_or("Failed").to_owned();
            failures.push(HostFailure {
                host: "a host that the service does not name".into(),
                status,
                output: None,
            });
        }
        StepError::Failed { step: self.order.step, failures, hosts: self.hosts.len() }
    }

    /// A host that failed, with the beginning of its output, and its instance.
    fn failure(&self, one: &CommandInvocation) -> (HostFailure, String) {
        let instance = one.instance_id().unwrap_or("unknown").to_owned();
        let host = self.hosts.iter().find(|host| host.instance == instance);
        let host = host.map_or_else(|| instance.clone(), |host| label(host));
        let status = one.status_details().or(one.status().map(|status| status.as_str()));
        let plugin = one.command_plugins().iter().find(|plugin| plugin.response_code() != 0);
        let output = plugin.or(one.command_plugins().first()).and_then(|plugin| plugin.output());
        let output = output.filter(|output| !output.trim().is_empty()).map(str::to_owned);
        (HostFailure { host, status: status.unwrap_or("Failed").to_owned(), output }, instance)
    }

    /// What the step said on stderr: the reason and the end of its output.
    async fn output(&self, instance: &str) -> Option<String> {
        let id = self.command.get()?;
        let request = self.order.account.ssm.get_command_invocation().command_id(id).instance_id(instance);
        let request =
            tokio::time::timeout(AFTERWARDS, call("GetCommandInvocation", instance, request.send()));
        let output = match request.await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                tracing::warn!("{error}");
                return None;
            }
            Err(_) => return None,
        };
        output.standard_error_content().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    /// Everything that is known of the command on each host, fifty hosts a call.
    async fn invocations(&self) -> Result<Vec<CommandInvocation>, ApiError> {
        let (mut all, mut next) = (Vec::new(), None);
        let Some(id) = self.command.get() else { return Ok(all) };
        loop {
            let request = self.order.account.ssm.list_command_invocations().command_id(id).details(true);
            let request = request.max_results(50).set_next_token(next.take());
            let page = call("ListCommandInvocations", &self.resource(), request.send()).await?;
            all.extend_from_slice(page.command_invocations());
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// Who has not ended when the deadline passes: all, if the service does not even answer that.
    async fn hanging(&self, deadline: Deadline) -> StepError {
        if self.command.get().is_none() {
            let missing = self.hosts.iter().map(|host| label(host)).collect();
            return StepError::NotSent { step: self.order.step, missing, hosts: self.hosts.len() };
        }
        let invocations = tokio::time::timeout(AFTERWARDS, self.invocations()).await;
        let invocations = invocations.unwrap_or(Ok(Vec::new())).unwrap_or_default();
        self.cancel_command().await;
        let ended = |host: &CloudHost| {
            let one = invocations.iter().find(|one| one.instance_id() == Some(host.instance.as_str()));
            one.is_some_and(|one| one.status() == Some(&CommandInvocationStatus::Success))
        };
        let hanging: Vec<_> = self.hosts.iter().filter(|host| !ended(host)).map(|host| label(host)).collect();
        StepError::Deadline { deadline, hanging, hosts: self.hosts.len() }
    }

    /// What cannot be cancelled ends by the service's own time limit.
    async fn cancel_command(&self) {
        let Some(id) = self.command.get() else { return };
        let request = self.order.account.ssm.cancel_command().command_id(id);
        let resource = self.resource();
        let request = call("CancelCommand", &resource, request.send());
        match tokio::time::timeout(AFTERWARDS, request).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("{error}"),
            Err(_) => tracing::warn!("CancelCommand of {resource} was not answered"),
        }
    }

    fn resource(&self) -> String {
        format!("step {} of run {}", self.order.step, self.order.names.run())
    }

    fn api(&self, source: ApiError) -> StepError {
        StepError::Api { what: format!("step {}", self.order.step), source: Box::new(source) }
    }
}

impl StepTarget {
    fn means(&self, host: &CloudHost) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => host.group == *group,
            Self::Hosts(instances) => instances.contains(&host.instance),
        }
    }
}

/// With the many errors that are allowed, so that one host does not keep others from theirs, a command may succeed
/// although hosts failed: the counts decide.
fn progress(command: &Command) -> Progress {
    let status = command.status();
    let bad = [CommandStatus::Failed, CommandStatus::TimedOut, CommandStatus::Cancelled];
    let failures = command.error_count() + command.delivery_timed_out_count();
    if failures > 0 || status.is_some_and(|status| bad.contains(status)) {
        Progress::Failed
    } else if status == Some(&CommandStatus::Success) {
        Progress::Succeeded
    } else {
        Progress::Running
    }
}

fn has_ended(command: &Command) -> bool {
    use CommandStatus::{Cancelled, Failed, Success, TimedOut};
    command.status().is_some_and(|status| [Cancelled, Failed, Success, TimedOut].contains(status))
}

fn has_failed(one: &CommandInvocation) -> bool {
    use CommandInvocationStatus::{Cancelled, Failed, TimedOut};
    one.status().is_some_and(|status| [Cancelled, Failed, TimedOut].contains(status))
}

/// A host as the user knows it.
pub(super) fn label(host: &CloudHost) -> String {
    format!("{}-{} ({})", host.group.name(), host.index, host.instance)
}
