//! Several steps of the same hosts, sent at the same time. Each waits on every host for what it needs there.

use super::error::StepError;
use super::script::{ScriptContext, script};
use super::send::Order;
use super::step::Step;
use super::watch::{StepTarget, run_order};
use crate::api::Account;
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use futures_util::future::join_all;
use std::cell::RefCell;
use std::future::pending;
use tokio::sync::watch::{self, Receiver};

/// When a step is sent, and when it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// The step before has been sent. A host that does one at a time does them in this order.
    before: Option<Receiver<bool>>,
    /// This one has been sent.
    is_sent: watch::Sender<bool>,
    /// All hosts have done what it needs.
    needed: Vec<Receiver<bool>>,
}

impl Turn {
    /// Nothing is waited for.
    pub(super) fn now() -> Self {
        Self { before: None, is_sent: watch::Sender::new(false), needed: vec![] }
    }

    /// Waits until it may be sent.
    pub(super) async fn may_be_sent(&self) {
        if let Some(before) = self.before.clone() {
            happens(before).await;
        }
    }

    /// It has been sent.
    pub(super) fn was_sent(&self) {
        self.is_sent.send_replace(true);
    }

    /// Waits until all hosts can have begun with it.
    pub(super) async fn comes(&self) {
        for needed in self.needed.clone() {
            happens(needed).await;
        }
    }
}

/// Waits until something has happened; for ever if it never does.
async fn happens(mut what: Receiver<bool>) {
    if what.wait_for(|has_happened| *has_happened).await.is_err() {
        pending::<()>().await;
    }
}

/// Does `steps` on all `hosts` of the run. A host begins with a step when it has done what the step needs, whatever
/// other hosts do: all of it takes as long as the slowest host. `say` is told of each step that all hosts have come to.
///
/// What a step needs and `steps` does not have must have been done before.
///
/// # Errors
/// Those of [`run_step`](super::run_step): of the steps that failed, for the first one in the order of `steps`. The
/// others are cancelled.
pub async fn run_steps(
    account: &Account,
    infrastructure: &Infrastructure,
    context: &ScriptContext,
    steps: &[Step],
    hosts: &[CloudHost],
    say: &mut dyn FnMut(&str),
) -> Result<(), StepError> {
    let say = RefCell::new(say);
    let done: Vec<_> = steps.iter().map(|step| (*step, watch::Sender::new(false))).collect();
    let failed = watch::Sender::new(false);
    let mut before = None;
    let works = done.iter().map(|(step, is_done)| {
        let (step, mut failed_elsewhere) = (*step, failed.subscribe());
        let needed = done.iter().filter(|(other, _)| step.dependencies().contains(other));
        let needed = needed.map(|(_, done)| done.subscribe()).collect();
        let turn = Turn { before: before.take(), needed, ..Turn::now() };
        before = Some(turn.is_sent.subscribe());
        let (say, failed) = (&say, &failed);
        async move {
            let (target, script) = (&StepTarget::All, script(step, context));
            let order = Order { account, infrastructure, context, step, target, script };
            let told = async {
                turn.comes().await;
                say.borrow_mut()(&format!("step {step}"));
                pending::<()>().await;
            };
            let cancel = async {
                tokio::select! {
                    _ = failed_elsewhere.wait_for(|has_failed| *has_failed) => {}
                    () = told => {}
                }
            };
            let ended = run_order(&order, hosts, turn.clone(), cancel).await;
            match ended {
                Ok(()) => is_done.send_replace(true),
                Err(_) => failed.send_replace(true),
            };
            ended
        }
    });
    let errors = join_all(works).await.into_iter().filter_map(Result::err);
    // Those that were cancelled are the others' consequence.
    let first = errors.min_by_key(|error| matches!(error, StepError::Cancelled(_)));
    first.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::example;
    use crate::steps::fake_service::{FakeService, Reply, Request};
    use crate::steps::watch_tests::{hosts, infrastructure};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(2);

    const STEPS: [Step; 4] = [Step::UploadScenarioFile, Step::Configure, Step::PlaceWorker, Step::RunWorker];

    /// A service in which the command of a step has the step's name as its id; `status` is that of a step so long after
    /// its first look.
    fn service(status: impl Fn(&str, Duration) -> &'static str + Send + 'static) -> FakeService {
        let mut first_looks = BTreeMap::new();
        FakeService::start(move |request: &Request| {
            let asked = request.json();
            match request.operation.as_str() {
                "SendCommand" => {
                    let comment = asked["Comment"].as_str().unwrap();
                    let step = comment.split(' ').nth(2).unwrap();
                    Reply::json(json!({"Command": {"CommandId": step}}))
                }
                "ListCommands" => {
                    let step = asked["CommandId"].as_str().unwrap();
                    let first_look = first_looks.entry(step.to_owned()).or_insert_with(Instant::now);
                    let status = status(step, first_look.elapsed());
                    let errors = u32::from(status == "Failed");
                    Reply::json(json!({"Commands": [
                        {"CommandId": step, "Status": status, "TargetCount": 2, "ErrorCount": errors}
                    ]}))
                }
                "ListCommandInvocations" if asked["Filters"].is_null() => {
                    let step = asked["CommandId"].as_str().unwrap();
                    let status = status(step, Duration::ZERO);
                    let one = json!({"CommandId": step, "InstanceId": "i-0", "Status": status, "StatusDetails": status});
                    Reply::json(json!({"CommandInvocations": [one]}))
                }
                _ => Reply::json(json!({})),
            }
        })
    }

    async fn run(service: &FakeService, limit: Duration) -> (Result<(), StepError>, Vec<String>) {
        let context = ScriptContext { step_limit: limit, ..example() };
        let mut said = vec![];
        let mut say = |what: &str| said.push(what.to_owned());
        let ended =
            run_steps(&service.account(), &infrastructure(), &context, &STEPS, &hosts(2), &mut say).await;
        (ended, said)
    }

    /// Ids of the commands that were the subject of `operation`, in order.
    fn commands(service: &FakeService, operation: &str) -> Vec<String> {
        let requests = service.requests().into_iter().filter(|request| request.operation == operation);
        requests.map(|request| request.json()["CommandId"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn all_are_sent_at_once_and_looked_at_in_their_turn() {
        let service =
            service(|step, since| if step == "configure" && since < LONG { "InProgress" } else { "Success" });
        let (ended, said) = run(&service, Duration::from_secs(60)).await;
        ended.unwrap();
        assert_eq!(said, STEPS.map(|step| format!("step {step}")));
        let sent = service.requests().into_iter().filter(|request| request.operation == "SendCommand");
        let sent = sent.map(|request| request.json()["Comment"].as_str().unwrap().to_owned());
        let sent: Vec<_> = sent.map(|comment| comment.split(' ').nth(2).unwrap().to_owned()).collect();
        assert_eq!(sent, STEPS.map(|step| step.name()));
        let looks = commands(&service, "ListCommands");
        let (ends, after) = looks.split_at(looks.len() - 2);
        assert_eq!(after, ["place_worker", "run_worker"], "no look before their turn, and one is enough");
        assert_eq!(ends.iter().filter(|step| *step == "upload_scenario_file").count(), 1, "{looks:?}");
    }

    #[tokio::test]
    async fn the_first_failure_is_told_and_ends_the_others() {
        let service = service(|step, _| if step == "configure" { "Failed" } else { "InProgress" });
        let (ended, said) = run(&service, Duration::from_secs(60)).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with("step configure failed on 1 of 2 hosts"), "{error}");
        assert_eq!(said.len(), 2, "{said:?}");
        let mut cancelled = commands(&service, "CancelCommand");
        cancelled.sort();
        assert_eq!(cancelled, ["place_worker", "run_worker", "upload_scenario_file"]);
    }

    /// Together they take longer than one of them may.
    #[tokio::test]
    async fn a_deadline_counts_from_when_all_hosts_have_what_a_step_needs() {
        let service = service(|_, since| if since < LONG { "InProgress" } else { "Success" });
        run(&service, LONG * 2).await.0.unwrap();
    }

    #[tokio::test]
    async fn a_step_that_hangs_passes_its_own_deadline() {
        let service = service(|step, _| if step == "place_worker" { "InProgress" } else { "Success" });
        let (ended, said) = run(&service, LONG).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with("the deadline 'step place_worker' passed after 2 s for 2 of 2"), "{error}");
        assert_eq!(said.len(), 3, "{said:?}");
        let mut cancelled = commands(&service, "CancelCommand");
        cancelled.sort();
        assert_eq!(cancelled, ["place_worker", "run_worker"]);
    }
}
