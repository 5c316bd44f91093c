//! One command for all hosts of a step, sent once as far as anybody can tell.
//!
//! SendCommand has no client token. When its reply is lost, the command is looked for by its comment, which no other
//! one has. Should it not be listed yet, it is sent again: the script's lock and its `fin_` marker then make the second
//! one wait for the first and find its work done.

use super::script::ScriptContext;
use super::step::Step;
use super::watch::StepTarget;
use crate::api::{Account, ApiError, Cause, Deadline, call};
use crate::infrastructure::Infrastructure;
use crate::names::{RunNames, TAG_RUN};
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_sdk_ssm::operation::send_command::builders::SendCommandFluentBuilder;
use aws_sdk_ssm::types::{CloudWatchOutputConfig, Target};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often it is tried.
const TRIES: u32 = 6;

/// For one try: all of them are over before the shortest deadline of a step, so that it is told which call failed.
const TRY_LIMIT: Duration = Duration::from_secs(15);

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The newest commands of the account, fifty a page, among which a lost one is looked for.
const PAGES_MAX: usize = 4;

/// The service's own time limit comes after ours, for when we are no longer there to keep ours.
const GRACE: Duration = Duration::from_secs(30);

/// Longest and shortest time limit that the service takes, in seconds.
const LIMITS_S: (u64, u64) = (30, 172_800);

/// Hosts that a command may name by their ids.
pub const HOSTS_BY_ID_MAX: usize = 50;

/// What is sent.
pub(super) struct Order<'a> {
    pub(super) account: &'a Account,
    pub(super) infrastructure: &'a Infrastructure,
    pub(super) context: &'a ScriptContext,
    pub(super) step: Step,
    pub(super) target: &'a StepTarget,
    pub(super) script: String,
}

impl Order<'_> {
    /// How long it may take on the slowest host.
    pub(super) fn deadline(&self) -> Deadline {
        self.context.deadline(self.step)
    }

    /// What it is in messages.
    pub(super) fn resource(&self) -> String {
        format!("step {} of run {}", self.step, self.context.names.run())
    }

    /// Sends it to `target`; gives the id of the command.
    pub(super) async fn send(&self, target: &StepTarget) -> Result<String, ApiError> {
        let comment = comment(&self.context.names, self.step);
        let resource = self.resource();
        let mut pause = self.account.poll_interval;
        let mut tried = 1;
        loop {
            let once = aws_sdk_ssm::config::Builder::new()
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::builder().operation_timeout(TRY_LIMIT).build());
            let request = self.request(&comment, target).customize().config_override(once);
            let error = match call("SendCommand", &resource, request.send()).await {
                Ok(sent) => {
                    let id = sent.command().and_then(|command| command.command_id()).map(str::to_owned);
                    return id.ok_or_else(|| ApiError::incomplete("SendCommand", &resource, "command id"));
                }
                Err(error) => error,
            };
            // A definite refusal stays one. Of everything else nobody knows whether it was carried out.
            if !matches!(error.cause, Cause::Throttled | Cause::Unreachable | Cause::Other) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if let Some(id) = self.find(&comment).await? {
                tracing::warn!("{error}; it was carried out nevertheless");
                return Ok(id);
            }
            if tried == TRIES {
                return Err(error);
            }
            tried += 1;
            tracing::warn!("{error}; trying again");
        }
    }

    fn request(&self, comment: &str, target: &StepTarget) -> SendCommandFluentBuilder {
        let limit_s = |limit: Duration| (limit + GRACE).as_secs().clamp(LIMITS_S.0, LIMITS_S.1);
        let limit_s = limit_s(self.context.limit_with_needs(self.step));
        let mut request = self
            .account
            .ssm
            .send_command()
            .document_name("AWS-RunShellScript")
            .comment(comment)
            .parameters("commands", vec![self.script.clone()])
            .parameters("executionTimeout", vec![limit_s.to_string()])
            .timeout_seconds(i32::try_from(limit_s).unwrap_or(i32::MAX))
            .max_concurrency("100%")
            .max_errors("100%");
        for (key, values) in target.filters(&self.context.names) {
            request = request.targets(Target::builder().key(key).set_values(Some(values)).build());
        }
        if let Some(group) = &self.infrastructure.log_group {
            let config = CloudWatchOutputConfig::builder()
                .cloud_watch_output_enabled(true)
                .cloud_watch_log_group_name(group);
            request = request.cloud_watch_output_config(config.build());
        }
        request
    }

    async fn find(&self, comment: &str) -> Result<Option<String>, ApiError> {
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let request = self.account.ssm.list_commands().max_results(50).set_next_token(next.take());
            let page = call("ListCommands", comment, request.send()).await?;
            let ours = page.commands().iter().find(|command| command.comment() == Some(comment));
            if let Some(id) = ours.and_then(|command| command.command_id()) {
                return Ok(Some(id.to_owned()));
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(None)
    }
}

impl StepTarget {
    /// As the service takes it.
    fn filters(&self, names: &RunNames) -> Vec<(String, Vec<String>)> {
        let run = (format!("tag:{TAG_RUN}"), vec![names.run().to_string()]);
        match self {
            Self::All => vec![run],
            Self::Hosts(instances) => vec![("InstanceIds".to_owned(), instances.clone())],
        }
    }
}

/// At most 100 characters, which is what the service takes: 9 + 48 + 1 + 24 + 1 + 16.
fn comment(names: &RunNames, step: Step) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = now.as_nanos() as u64 ^ u64::from(std::process::id()) << 40;
    format!("netbench {} {step} {moment:016x}", names.run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use russula_proto::RunId;

    #[test]
    fn the_longest_comment_fits() {
        let names = RunNames::new("x".repeat(RunId::MAX_LEN).parse().unwrap());
        for step in Step::ALL {
            assert!(comment(&names, step).len() <= 100, "{step}");
        }
    }
}
