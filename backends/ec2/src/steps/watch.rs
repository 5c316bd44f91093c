//! A step on its hosts, from the command to its end: one call a poll, whatever the number of hosts.
//!
//! A command is sent as soon as may be and looked at when its turn has come: on each host, the script itself waits for
//! what it needs there, so that no host waits for another one.
//!
//! A command by tag may find too few hosts, since the service learns of tags with a delay. It is then sent once more, to
//! the hosts that it missed, by their ids.

use super::error::{HostFailure, StepError};
use super::invocations::{self, AFTERWARDS, label};
use super::script::{Build, ScriptContext, build_script, script};
use super::send::{HOSTS_BY_ID_MAX, Order};
use super::step::Step;
use super::turn::Turn;
use crate::api::{Account, ApiError, Cause, call};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use aws_sdk_ssm::types::{Command, CommandInvocation, CommandStatus};
use std::future::{Future, pending};
use std::time::Duration;
use tokio::time::Instant;

/// How often the list of what happened on each host is asked for, until it shows the failures that were counted.
const LOOKS_MAX: usize = 3;

/// How often a command that runs is seen with too few hosts before it is believed that it will not find more.
const SHORT_LOOKS_MAX: u32 = 3;

/// From sending a command until the service must know it.
const LISTED: Duration = Duration::from_secs(20);

/// Which hosts do a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepTarget {
    /// All of the run.
    All,
    /// Some, fifty at most, by the ids of their instances.
    Hosts(Vec<String>),
}

/// Does `step` on those of `hosts` (all hosts of the run) that `target` means.
///
/// # Errors
/// [`StepError`]: what failed where and why, or which deadline passed for which hosts. The command is then cancelled. A
/// failure on one host is an error at once, except for [`Step::UploadNetbenchRawData`]: what other hosts have is waited
/// for, and the error names all that failed.
pub async fn run_step(
    account: &Account,
    infrastructure: &Infrastructure,
    context: &ScriptContext,
    step: Step,
    target: &StepTarget,
    hosts: &[CloudHost],
) -> Result<(), StepError> {
    let order = Order { account, infrastructure, context, step, target, script: script(step, context) };
    run_order(&order, hosts, Turn::now(), pending()).await
}

/// Has `host` do [`Step::BuildDriver`] for `builds`.
///
/// # Errors
/// Those of [`run_step`].
pub async fn run_build(
    account: &Account,
    infrastructure: &Infrastructure,
    context: &ScriptContext,
    builds: &[Build],
    host: &CloudHost,
) -> Result<(), StepError> {
    let (target, script) = (&StepTarget::Hosts(vec![host.instance.clone()]), build_script(context, builds));
    let order = Order { account, infrastructure, context, step: Step::BuildDriver, target, script };
    run_order(&order, std::slice::from_ref(host), Turn::now(), pending()).await
}

/// Sends the command, and sees it to its end when its `turn` has come; the deadline counts from then. `cancel` ends it
/// early.
pub(super) async fn run_order(
    order: &Order<'_>,
    hosts: &[CloudHost],
    turn: Turn,
    cancel: impl Future<Output = ()>,
) -> Result<(), StepError> {
    let hosts: Vec<&CloudHost> = hosts.iter().filter(|host| order.target.means(host)).collect();
    if hosts.is_empty() {
        return Ok(());
    }
    let mut watch = Watch { order, hosts, commands: Vec::new(), is_complete: false };
    let time_is_up = async {
        turn.comes().await;
        tokio::time::sleep(order.deadline().limit).await;
    };
    tokio::select! {
        biased;
        () = cancel => {
            watch.cancel_commands().await;
            Err(StepError::Cancelled(order.step))
        }
        ended = watch.finish(&turn) => ended,
        () = time_is_up => Err(watch.hanging().await),
    }
}

/// A step, its hosts, and the commands that were sent: the first one, and those to the hosts that it missed.
struct Watch<'a> {
    order: &'a Order<'a>,
    hosts: Vec<&'a CloudHost>,
    commands: Vec<Sent>,
    /// Whether hosts that the first command missed were looked for.
    is_complete: bool,
}

/// A command, and what was last seen of it.
struct Sent {
    id: String,
    since: Instant,
    seen: Option<Command>,
    /// How often it was seen to run with too few hosts.
    short_looks: u32,
}

impl<'a> Watch<'a> {
    /// Sends the first command, and sees all of them to their end once it is their turn.
    async fn finish(&mut self, turn: &Turn) -> Result<(), StepError> {
        turn.may_be_sent().await;
        let first_look = Instant::now() + self.order.account.poll_interval;
        self.send(&self.order.target.clone()).await?;
        turn.was_sent();
        turn.comes().await;
        tokio::time::sleep_until(first_look).await;
        loop {
            self.look().await?;
            let has_failures = self.commands.iter().any(Sent::has_failures);
            if has_failures && !self.order.step.saves_results() {
                return Err(self.failed().await);
            }
            let is_done = if self.misses_hosts() {
                self.send_to_missing().await.map(|()| false)
            } else if !self.commands.iter().all(Sent::has_ended) {
                Ok(false)
            } else if has_failures {
                return Err(self.failed().await);
            } else {
                self.all_reached().await.map(|()| true)
            };
            match is_done {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(StepError::Api { source, .. }) if may_pass(&source) => {
                    tracing::warn!("{source}; looking again");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(self.order.account.poll_interval).await;
        }
    }

    async fn send(&mut self, target: &StepTarget) -> Result<(), StepError> {
        let id = self.order.send(target).await.map_err(|source| self.api(source))?;
        self.commands.push(Sent { id, since: Instant::now(), seen: None, short_looks: 0 });
        Ok(())
    }

    /// Sees how far the commands are that have not ended.
    async fn look(&mut self) -> Result<(), StepError> {
        let (resource, hosts) = (self.order.resource(), self.hosts.len());
        for sent in self.commands.iter_mut().filter(|sent| !sent.has_ended()) {
            let request = self.order.account.ssm.list_commands().command_id(&sent.id);
            match call("ListCommands", &resource, request.send()).await {
                // A command that was just sent may not be listed yet, or not even be known.
                Ok(commands) => sent.see(commands.commands().first().cloned(), hosts),
                Err(error) if sent.may_be_unknown(&error) => tracing::debug!("{error}; looking again"),
                // The deadline ends it if this does not pass.
                Err(error) if may_pass(&error) => tracing::warn!("{error}; looking again"),
                Err(source) => {
                    let what = format!("step {}", self.order.step);
                    return Err(StepError::Api { what, source: Box::new(source) });
                }
            }
        }
        Ok(())
    }

    /// Whether the first command is done with finding hosts, has found too few, and nothing was done about it.
    fn misses_hosts(&self) -> bool {
        let Some(first) = self.commands.first().filter(|_| !self.is_complete) else { return false };
        let is_settled = first.has_ended() || first.short_looks >= SHORT_LOOKS_MAX;
        is_settled && first.targets().is_some_and(|targets| targets < self.hosts.len())
    }

    /// Should the first command come to them after all, the script finds its work done.
    async fn send_to_missing(&mut self) -> Result<(), StepError> {
        let invocations = self.invocations().await?;
        let missing = invocations::missing_of(&invocations, &self.hosts);
        if missing.is_empty() {
            // The counts lag behind.
            self.is_complete = true;
            return Ok(());
        }
        let ids: Vec<String> = missing.iter().map(|host| host.instance.clone()).collect();
        tracing::warn!(
            "{} has found {} of {} hosts; sending it to the others by their ids: {}",
            self.order.resource(),
            self.hosts.len() - missing.len(),
            self.hosts.len(),
            ids.join(", ")
        );
        for ids in ids.chunks(HOSTS_BY_ID_MAX) {
            let sent = self.send(&StepTarget::Hosts(ids.to_vec())).await;
            // The others still upload; in the end, those that got no command are named.
            match sent {
                Err(error) if self.order.step.saves_results() => tracing::warn!("{error}"),
                sent => sent?,
            }
        }
        self.is_complete = true;
        Ok(())
    }

    /// Commands succeed as well when they reached too few hosts, or none.
    async fn all_reached(&self) -> Result<(), StepError> {
        let (order, hosts) = (self.order, self.hosts.len());
        let targets: usize = self.commands.iter().filter_map(Sent::targets).sum();
        if targets < hosts || self.commands.len() > 1 {
            let missing = invocations::missing_of(&self.invocations().await?, &self.hosts);
            if !missing.is_empty() {
                let missing = missing.into_iter().map(label).collect();
                return Err(StepError::NotSent { step: order.step, missing, hosts });
            }
        } else if targets > hosts {
            tracing::warn!("{} also reached hosts that this run does not know", self.order.resource());
        }
        let mut undeliverable = Vec::new();
        for sent in &self.commands {
            let found = invocations::undeliverable(order.account, &sent.id, &self.order.resource()).await;
            undeliverable.extend(found.map_err(|source| self.api(source))?);
        }
        if undeliverable.is_empty() {
            return Ok(());
        }
        let failures = invocations::failures_of(&undeliverable, &self.hosts);
        let failures = invocations::told(order.account, failures).await;
        Err(StepError::Failed { step: order.step, failures, hosts })
    }

    async fn failed(&self) -> StepError {
        let counted = self.commands.iter().map(Sent::failures).sum::<usize>().max(1);
        let mut failures = Vec::new();
        for look in 0..LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(self.order.account.poll_interval).await;
            }
            failures = match self.invocations().await {
                Ok(invocations) => invocations::failures_of(&invocations, &self.hosts),
                Err(error) => return error,
            };
            if failures.len() >= counted {
                break;
            }
        }
        let mut failures = invocations::told(self.order.account, failures).await;
        self.cancel_commands().await;
        if failures.is_empty() {
            let failed = self.commands.iter().find(|sent| sent.has_failures());
            let status = failed.and_then(|sent| sent.seen.as_ref()?.status_details()).unwrap_or("Failed");
            failures.push(HostFailure {
                host: "a host that the service does not name".into(),
                status: status.to_owned(),
                output: None,
            });
        }
        StepError::Failed { step: self.order.step, failures, hosts: self.hosts.len() }
    }

    /// Who has not ended when the deadline passes: all, if the service does not even answer that.
    async fn hanging(&self) -> StepError {
        let (step, passed, hosts) = (self.order.step, self.order.deadline().passed(), self.hosts.len());
        if self.commands.is_empty() {
            let missing = self.hosts.iter().map(|host| label(host)).collect();
            return StepError::NotSent { step, missing, hosts };
        }
        let invocations = tokio::time::timeout(AFTERWARDS, self.invocations()).await;
        let invocations = invocations.unwrap_or(Ok(Vec::new())).unwrap_or_default();
        let failures = invocations::failures_of(&invocations, &self.hosts);
        let mut failures = invocations::told(self.order.account, failures).await;
        self.cancel_commands().await;
        let is_hanging = |host: &&&CloudHost| {
            !invocations::has_succeeded(&invocations, host) && !invocations::has_failed_on(&invocations, host)
        };
        let hanging: Vec<_> = self.hosts.iter().filter(is_hanging).map(|host| label(host)).collect();
        if failures.is_empty() {
            return StepError::Deadline { passed, hanging, hosts };
        }
        let status = format!("not ended: {passed}");
        let hanging =
            hanging.into_iter().map(|host| HostFailure { host, status: status.clone(), output: None });
        failures.extend(hanging);
        StepError::Failed { step, failures, hosts }
    }

    /// Everything that is known of the commands on each host.
    async fn invocations(&self) -> Result<Vec<CommandInvocation>, StepError> {
        let mut all = Vec::new();
        for sent in &self.commands {
            let found = invocations::all_of(self.order.account, &sent.id, &self.order.resource()).await;
            all.extend(found.map_err(|source| self.api(source))?);
        }
        Ok(all)
    }

    /// What cannot be cancelled ends by the service's own time limit.
    async fn cancel_commands(&self) {
        for sent in self.commands.iter().filter(|sent| !sent.has_ended()) {
            let request = self.order.account.ssm.cancel_command().command_id(&sent.id);
            let resource = self.order.resource();
            let request = call("CancelCommand", &resource, request.send());
            match tokio::time::timeout(AFTERWARDS, request).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("{error}"),
                Err(_) => {
                    tracing::warn!("CancelCommand of {resource} was not answered within {AFTERWARDS:?}")
                }
            }
        }
    }

    fn api(&self, source: ApiError) -> StepError {
        StepError::Api { what: format!("step {}", self.order.step), source: Box::new(source) }
    }
}

impl Sent {
    fn see(&mut self, command: Option<Command>, hosts: usize) {
        if command.is_some() {
            self.seen = command;
        }
        if self.status() == Some(&CommandStatus::InProgress) && self.targets() < Some(hosts) {
            self.short_looks += 1;
        }
    }

    /// Whether `error` means that the service has yet to learn of the command.
    fn may_be_unknown(&self, error: &ApiError) -> bool {
        let is_new = self.seen.is_none() && self.since.elapsed() < LISTED;
        is_new && error.code.as_deref() == Some("InvalidCommandId")
    }

    fn status(&self) -> Option<&CommandStatus> {
        self.seen.as_ref()?.status()
    }

    /// How many hosts it has found.
    fn targets(&self) -> Option<usize> {
        usize::try_from(self.seen.as_ref()?.target_count()).ok()
    }

    /// How many hosts it has failed on.
    fn failures(&self) -> usize {
        let counts = |command: &Command| command.error_count() + command.delivery_timed_out_count();
        usize::try_from(self.seen.as_ref().map(counts).unwrap_or_default()).unwrap_or_default()
    }

    /// With the many errors that are allowed, so that one host does not keep others from theirs, a command may succeed
    /// although hosts failed: the counts decide.
    fn has_failures(&self) -> bool {
        use CommandStatus::{Cancelled, Failed, TimedOut};
        self.failures() > 0
            || self.status().is_some_and(|status| [Failed, TimedOut, Cancelled].contains(status))
    }

    fn has_ended(&self) -> bool {
        use CommandStatus::{Cancelled, Failed, Success, TimedOut};
        self.status().is_some_and(|status| [Cancelled, Failed, Success, TimedOut].contains(status))
    }
}

impl StepTarget {
    fn means(&self, host: &CloudHost) -> bool {
        match self {
            Self::All => true,
            Self::Hosts(instances) => instances.contains(&host.instance),
        }
    }
}

/// Whether a call that only asks may succeed when it is made again.
fn may_pass(error: &ApiError) -> bool {
    matches!(error.cause, Cause::Throttled | Cause::Unreachable)
}
