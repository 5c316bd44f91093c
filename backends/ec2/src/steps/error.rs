//! Why a step did not succeed.

use super::step::Step;
use crate::api::{ApiError, DeadlinePassed};
use std::fmt;

/// Hosts that are named in a message; the others are counted.
const NAMED_MAX: usize = 5;

/// A step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The service refused, or did not answer.
    #[error("{what}: {source}")]
    Api {
        /// The step, or what else was under way.
        what: String,
        /// What it said.
        #[source]
        source: Box<ApiError>,
    },
    /// It failed on hosts.
    #[error("step {step} failed on {} of {hosts} hosts{}", .failures.len(), told(*.step, .failures))]
    Failed {
        /// The step.
        step: Step,
        /// Where, and why; output only of the first few.
        failures: Vec<HostFailure>,
        /// Hosts that it was for.
        hosts: usize,
    },
    /// It did not end in time.
    #[error(
        "{passed} for {} of {hosts} hosts: {}; see their output in the log group of the stack, or keep \
         the hosts (--keep) and look there", .hanging.len(), names(.hanging)
    )]
    Deadline {
        /// The deadline.
        passed: DeadlinePassed,
        /// The hosts on which it has not ended.
        hanging: Vec<String>,
        /// Hosts that it was for.
        hosts: usize,
    },
    /// Hosts could not be reached in time.
    #[error(
        "{passed} for {} of {hosts} hosts: {}; check the instance profile (the \
         rights of an SSM agent), the image (the agent itself) and the subnet (a way to the internet)",
        .missing.len(), names(.missing)
    )]
    Unreachable {
        /// The deadline.
        passed: DeadlinePassed,
        /// The hosts that never came.
        missing: Vec<String>,
        /// Hosts that were waited for.
        hosts: usize,
    },
    /// The service did not send it to all hosts.
    #[error(
        "step {step} never reached {} of {hosts} hosts: {}; have they lost their agent or their tags?",
        .missing.len(), names(.missing)
    )]
    NotSent {
        /// The step.
        step: Step,
        /// The hosts that did not get it.
        missing: Vec<String>,
        /// Hosts that it was for.
        hosts: usize,
    },
    /// The caller gave it up.
    #[error("step {0} was given up")]
    Cancelled(Step),
}

/// A step that failed on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFailure {
    /// The host, as the user knows it.
    pub host: String,
    /// What the service calls it, such as `Failed` or `DeliveryTimedOut`.
    pub status: String,
    /// The reason and the end of the output, if the host could still say it.
    pub output: Option<String>,
}

impl fmt::Display for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.status)?;
        let Some(output) = &self.output else { return Ok(()) };
        output.trim_end().lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// Whose results are missing is told of each host; of what failed before, a few hosts are enough.
fn told(step: Step, failures: &[HostFailure]) -> String {
    let (first, others) = failures.split_at(failures.len().min(NAMED_MAX));
    let mut text: String = first.iter().map(|failure| format!("\n  {failure}")).collect();
    if step.saves_results() {
        text.extend(others.iter().map(|HostFailure { host, status, .. }| format!("\n  {host}: {status}")));
    } else if !others.is_empty() {
        text.push_str(&format!("\n  and {} more", others.len()));
    }
    text
}

fn names(hosts: &[String]) -> String {
    let named = hosts.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if hosts.len() > NAMED_MAX { format!("{named} and {} more", hosts.len() - NAMED_MAX) } else { named }
}
