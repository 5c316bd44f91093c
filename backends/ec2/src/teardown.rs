//! Giving back what a run has created: all of it, past every error, and an audit at the end.
//!
//! ```text
//! terminate all hosts ──> wait until they are gone ──> placement groups, security groups, volumes ──┐
//!                                                  └─> files in the bucket ────────────────────────┼─> audit
//! parameters ──────────────────────────────────────────────────────────────────────────────────────┘
//! ```

mod look;

use crate::api::{Account, ApiError, Cause, DeadlinePassed, Pace, call};
use crate::artifacts;
use crate::inventory::{self, Found};
use crate::journal::Known;
use crate::names::RunNames;
use aws_sdk_ec2::types::{Instance, Volume, VolumeState};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// For all hosts to be terminated; those without a hypervisor (`*.metal`) take long.
const TERMINATED_LIMIT: Duration = Duration::from_secs(1200);

/// For what the hosts have used to be let go by them, after that.
const LET_GO_LIMIT: Duration = Duration::from_secs(120);

/// For what was deleted not to be listed any more: until then the audit looks again.
const STILL_LISTED_LIMIT: Duration = Duration::from_secs(60);

/// How often everything is tried if there are errors: one that passes is gone the next time.
const TRIES_MAX: usize = 3;

/// Most hosts of one call (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html>).
const TERMINATED_AT_ONCE_MAX: usize = 1000;

/// Most parameters of one call
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html>).
const PARAMETERS_AT_ONCE_MAX: usize = 10;

/// What a teardown needs to know beside the run's name.
#[derive(Clone, Copy, Debug)]
pub struct Teardown<'a> {
    /// The account and region of the run.
    pub account: &'a Account,
    /// The names of the run, and of what it has created.
    pub names: &'a RunNames,
    /// The bucket in which its files lie, if that is known.
    pub bucket: Option<&'a str>,
    /// Whether the copy of the report goes as well.
    pub with_report: bool,
    /// Whether what the hosts uploaded stays, because nobody else has it.
    pub keep_results: bool,
    /// What the run's journal knows, if it is here: what was created a moment ago may not be found by its tags yet.
    pub known: &'a Known,
}

/// What a teardown has come to.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// What is still there.
    pub found: Found,
    /// What went wrong, in the order in which it did.
    pub errors: Vec<String>,
}

impl Left {
    /// Whether everything is gone for certain.
    pub fn is_nothing(&self) -> bool {
        self.found.is_empty() && self.errors.is_empty()
    }

    /// For the user: what is left, or why nobody knows.
    pub fn describe(&self) -> Vec<String> {
        let left = self.found.describe().into_iter().map(|what| format!("{what} is still there"));
        left.chain(self.errors.iter().cloned()).collect()
    }
}

impl Teardown<'_> {
    /// Removes everything of the run and looks what is left. An error on the way ends nothing, and is told only if
    /// something is left at the end, or nobody can know.
    pub async fn run(&self, say: &mut dyn FnMut(&str)) -> Left {
        let mut tries = 0;
        let mut still_listed = None;
        say("terminating the hosts");
        loop {
            let begun = Instant::now();
            let (hosts, parameters) = tokio::join!(self.terminate_and_wait(), self.remove_parameters());
            let hosts_stay = hosts.is_err();
            let mut errors = self.remove_what_hosts_used(hosts).await;
            errors.extend(parameters);
            if still_listed.is_none() {
                say("looking for what is left");
            }
            let left = self.audit(errors).await;
            if left.is_nothing() {
                return left;
            }
            let interval = self.account.poll_interval;
            if left.errors.is_empty() {
                let name = "what was deleted not listed any more";
                let new = || Pace::new(name, STILL_LISTED_LIMIT, interval);
                if still_listed.get_or_insert_with(new).wait().await.is_err() {
                    return left;
                }
                continue;
            }
            tries += 1;
            // Hosts that would not end in all that time are not waited for once more.
            if tries == TRIES_MAX || hosts_stay && begun.elapsed() > TERMINATED_LIMIT / 2 {
                return left;
            }
            left.errors.iter().for_each(|error| tracing::warn!("{error}"));
            say("trying again");
            tokio::time::sleep(interval).await;
        }
    }

    /// What is left after `errors`. What cannot be seen any more is gone, whatever its removal said.
    async fn audit(&self, mut errors: Vec<String>) -> Left {
        match self.look().await {
            Ok(found) if found.is_empty() => Left::default(),
            Ok(found) => Left { found, errors },
            Err(error) => {
                errors.push(format!("nobody knows what is left: {error}"));
                Left { found: Found::default(), errors }
            }
        }
    }

    /// Terminates the hosts and waits for nothing; for whoever is in a hurry.
    ///
    /// # Errors
    /// If they cannot be found or terminated.
    pub async fn terminate(&self) -> Result<Found, ApiError> {
        self.terminate_hosts().await?;
        self.look().await
    }

    fn run_name(&self) -> &str {
        self.names.run().as_str()
    }

    /// After the hosts, since they use it.
    async fn remove_what_hosts_used(&self, hosts: Result<(), String>) -> Vec<String> {
        // Hosts that stay let nothing go, so there is nothing to wait for.
        let limit = if hosts.is_ok() { LET_GO_LIMIT } else { Duration::ZERO };
        let (security, placement, volumes, files) = tokio::join!(
            self.remove_all(GroupKind::SecurityGroup, limit),
            self.remove_all(GroupKind::PlacementGroup, limit),
            self.remove_volumes(limit),
            // Hosts that end may still have uploaded something.
            self.remove_files(),
        );
        hosts.err().into_iter().chain(security).chain(placement).chain(volumes).chain(files).collect()
    }

    async fn terminate_and_wait(&self) -> Result<(), String> {
        let mut pace = Pace::new("hosts terminated", TERMINATED_LIMIT, self.account.poll_interval);
        loop {
            let problem = match self.terminate_hosts().await {
                Ok(left) if left.is_empty() => return Ok(()),
                Ok(left) => format!("{} are still there", left.join(", ")),
                Err(error) if is_not_yet(error.cause) => error.to_string(),
                Err(error) => return Err(error.to_string()),
            };
            pace.wait().await.map_err(|passed| format!("{passed}: {problem}"))?;
        }
    }

    /// Terminates the hosts that are not terminating yet; returns all that are not terminated.
    async fn terminate_hosts(&self) -> Result<Vec<String>, ApiError> {
        let mut instances = inventory::instances(self.account, Some(self.run_name())).await?;
        let found: BTreeSet<&str> = instances.iter().filter_map(Instance::instance_id).collect();
        let known = self.known_instances(&found).await?;
        instances.extend(known);
        let left: BTreeMap<String, String> = instances.iter().filter_map(inventory::still_there).collect();
        let there = left.iter().filter(|(_, state)| *state != "shutting-down").map(|(id, _)| id.clone());
        self.terminate_each(&Vec::from_iter(there)).await?;
        Ok(left.into_keys().collect())
    }

    /// One host that is not known everywhere yet keeps all of its call from being terminated. Calls that fail so are
    /// halved, until the others are terminated.
    async fn terminate_each(&self, ids: &[String]) -> Result<(), ApiError> {
        let mut batches: Vec<&[String]> = ids.chunks(TERMINATED_AT_ONCE_MAX).collect();
        let mut terminated = Ok(());
        while let Some(ids) = batches.pop() {
            let request = self.account.ec2.terminate_instances().set_instance_ids(Some(ids.to_vec()));
            match call("TerminateInstances", &ids.join(", "), request.send()).await {
                Ok(_) => {}
                Err(error) if error.cause == Cause::NotFound && ids.len() > 1 => {
                    batches.extend(<[_; 2]>::from(ids.split_at(ids.len() / 2)));
                }
                Err(error) if error.cause == Cause::NotFound => terminated = Err(error),
                Err(error) => return Err(error),
            }
        }
        terminated
    }

    /// The ids of all groups that are to be removed: whatever cannot be found by its tags may be known.
    async fn groups(&self, kind: GroupKind) -> Result<BTreeSet<String>, ApiError> {
        let run = Some(self.run_name());
        let tagged = async {
            match kind {
                GroupKind::SecurityGroup => inventory::security_groups(self.account, run).await,
                GroupKind::PlacementGroup => inventory::placement_groups(self.account, run).await,
            }
        };
        let (tagged, known) = tokio::try_join!(tagged, self.known_groups(kind))?;
        let tagged = tagged.into_iter().map(|(id, _)| id);
        let mut ids: BTreeSet<String> = tagged.chain(self.known_ids(kind).iter().cloned()).collect();
        for (id, _) in known.iter().filter(|(_, tags)| !self.is_mine(tags)) {
            tracing::warn!("{id} is in the journal, but is another run's: it stays");
            ids.remove(id);
        }
        Ok(ids)
    }

    async fn remove_all(&self, kind: GroupKind, limit: Duration) -> Vec<String> {
        match self.groups(kind).await {
            Ok(ids) => {
                let removals = ids.iter().map(|id| self.remove(kind, id, limit));
                join_all(removals).await.into_iter().filter_map(Result::err).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    /// Removes one thing; what still uses it may need a moment to let it go, `limit` at most.
    async fn remove(&self, kind: GroupKind, id: &str, limit: Duration) -> Result<(), String> {
        let mut pace = Pace::new(kind.deadline(), limit, self.account.poll_interval);
        let ec2 = &self.account.ec2;
        loop {
            let removed = match kind {
                GroupKind::SecurityGroup => {
                    let request = ec2.delete_security_group().group_id(id);
                    call("DeleteSecurityGroup", id, request.send()).await.map(drop)
                }
                GroupKind::PlacementGroup => {
                    let request = ec2.delete_placement_group().group_name(id);
                    call("DeletePlacementGroup", id, request.send()).await.map(drop)
                }
            };
            match removed {
                Ok(()) => return Ok(()),
                Err(error) if error.cause == Cause::NotFound => return Ok(()),
                Err(error) if is_passing(error.cause) => {
                    if let Err(passed) = pace.wait().await {
                        return Err(after(limit, passed, error.to_string()));
                    }
                    // A launch whose answer nobody heard may have come after the hosts were looked for. None comes
                    // after its security group is gone.
                    if error.cause == Cause::InUse {
                        match self.terminate_hosts().await {
                            Err(error) if !is_not_yet(error.cause) => return Err(error.to_string()),
                            Ok(_) | Err(_) => {}
                        }
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Volumes go with their hosts, a little later; only what stays although no host has it is removed one by one.
    async fn remove_volumes(&self, limit: Duration) -> Vec<String> {
        let mut pace = Pace::new("volumes gone", limit, self.account.poll_interval);
        let mut loose = BTreeSet::new();
        loop {
            let problem = match inventory::volumes(self.account, Some(self.run_name())).await {
                Ok(found) if found.is_empty() => return vec![],
                Ok(found) => {
                    let is_loose = |volume: &&Volume| volume.state == Some(VolumeState::Available);
                    let now = found.iter().filter(is_loose).filter_map(|volume| volume.volume_id.clone());
                    let before = std::mem::replace(&mut loose, now.collect());
                    let removals = loose.intersection(&before).map(|id| self.remove_volume(id));
                    let errors = join_all(removals).await.into_iter().filter_map(Result::err);
                    let first = errors.map(|error| error.to_string()).next();
                    first.unwrap_or_else(|| format!("{} volumes are still there", found.len()))
                }
                Err(error) if is_passing(error.cause) => error.to_string(),
                Err(error) => return vec![error.to_string()],
            };
            if let Err(passed) = pace.wait().await {
                return vec![after(limit, passed, problem)];
            }
        }
    }

    async fn remove_volume(&self, id: &str) -> Result<(), ApiError> {
        let removed = call("DeleteVolume", id, self.account.ec2.delete_volume().volume_id(id).send()).await;
        match removed {
            Err(error) if error.cause != Cause::NotFound => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn remove_files(&self) -> Vec<String> {
        let Some(bucket) = self.bucket else { return vec![] };
        let mut errors = Vec::new();
        if self.keep_results {
            errors.extend(self.remove_own_files(bucket).await);
        }
        let all = (!self.keep_results).then(|| self.names.prefix());
        let report = self.with_report.then(|| self.names.report_prefix());
        for prefix in all.into_iter().chain(report) {
            let removed = artifacts::remove_all(self.account, bucket, &prefix).await;
            errors.extend(removed.err().map(|error| error.to_string()));
        }
        errors
    }

    /// Removes what the run itself has put into the bucket.
    async fn remove_own_files(&self, bucket: &str) -> Vec<String> {
        let mut errors = Vec::new();
        for key in self.names.own_files() {
            let request = self.account.s3.delete_object().bucket(bucket).key(&key);
            errors.extend(
                call("DeleteObject", &key, request.send()).await.err().map(|error| error.to_string()),
            );
        }
        errors
    }

    /// The key first: its name is known, whether it is listed or not, and whether the caller may list.
    async fn remove_parameters(&self) -> Vec<String> {
        let key = self.names.key_parameter();
        let mut errors = Vec::from_iter(self.delete_parameters(std::slice::from_ref(&key)).await.err());
        match inventory::parameters(self.account, Some(self.run_name())).await {
            Ok(others) => {
                // What was just deleted may still be listed.
                let names = others.into_iter().filter_map(|other| other.name).filter(|name| *name != key);
                for names in Vec::from_iter(names).chunks(PARAMETERS_AT_ONCE_MAX) {
                    errors.extend(self.delete_parameters(names).await.err());
                }
            }
            Err(error) => errors.push(error),
        }
        errors.iter().map(ToString::to_string).collect()
    }

    async fn delete_parameters(&self, names: &[String]) -> Result<(), ApiError> {
        let request = self.account.ssm.delete_parameters().set_names(Some(names.to_vec()));
        call("DeleteParameters", &names.join(", "), request.send()).await.map(drop)
    }
}

#[derive(Clone, Copy)]
enum GroupKind {
    SecurityGroup,
    PlacementGroup,
}

impl GroupKind {
    fn deadline(self) -> &'static str {
        match self {
            Self::SecurityGroup => "security group unused",
            Self::PlacementGroup => "placement group unused",
        }
    }
}

/// What is told of a wait of `limit` that was in vain; of none if there was none.
fn after(limit: Duration, passed: DeadlinePassed, problem: String) -> String {
    if limit.is_zero() { problem } else { format!("{passed}: {problem}") }
}

/// Whether hosts that were not terminated may be a moment later: then they are known everywhere.
fn is_not_yet(cause: Cause) -> bool {
    is_passing(cause) || cause == Cause::NotFound
}

/// Whether it may be gone a moment later.
fn is_passing(cause: Cause) -> bool {
    match cause {
        Cause::InUse | Cause::Throttled | Cause::Unreachable => true,
        Cause::Capacity
        | Cause::Quota
        | Cause::Permission
        | Cause::NotFound
        | Cause::Exists
        | Cause::Invalid
        | Cause::DryRun
        | Cause::Other => false,
    }
}

#[cfg(test)]
mod tests;
