//! Giving back what a run has created: all of it, past every error, and an audit at the end.
//!
//! ```text
//! terminate all hosts ──> wait until they are gone ──> placement groups, security groups, volumes ──┐
//!                                                  └─> files in the bucket ────────────────────────┼─> audit
//! parameters ──────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use crate::api::{Account, ApiError, Cause, Pace, call};
use crate::inventory::{self, Found};
use crate::journal::Known;
use crate::names::RunNames;
use aws_sdk_ec2::types::{Instance, Volume, VolumeState};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// For all hosts to be terminated; those without a hypervisor (`*.metal`) take long.
const TERMINATED_LIMIT: Duration = Duration::from_secs(1200);

/// For what the hosts have used to be let go by them, after that.
const LET_GO_LIMIT: Duration = Duration::from_secs(120);

/// How often it is tried: an error that passes, or a host that came late, is gone the next time.
const ROUNDS_MAX: usize = 3;

/// What took longer than this has waited enough, and is not tried again.
const AGAIN_LIMIT: Duration = Duration::from_secs(300);

/// Most hosts, or files, of one call.
const AT_ONCE_MAX: usize = 1000;

/// What a teardown needs to know beside the run's name.
#[derive(Clone, Copy, Debug)]
pub struct Teardown<'a> {
    /// Where.
    pub account: &'a Account,
    /// Of which run.
    pub names: &'a RunNames,
    /// Where its files lie, if that is known.
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
        let begun = Instant::now();
        say("terminating the hosts");
        let mut round = 1;
        loop {
            let left = self.round(say).await;
            if left.is_nothing() || round == ROUNDS_MAX || begun.elapsed() > AGAIN_LIMIT {
                return left;
            }
            left.errors.iter().for_each(|error| tracing::warn!("{error}"));
            say("trying again");
            tokio::time::sleep(self.account.poll_interval).await;
            round += 1;
        }
    }

    async fn round(&self, say: &mut dyn FnMut(&str)) -> Left {
        let (mut errors, parameters) = tokio::join!(self.remove_compute(), self.remove_parameters());
        errors.extend(parameters.err().map(|error| error.to_string()));
        say("looking for what is left");
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

    async fn look(&self) -> Result<Found, ApiError> {
        let mut runs = inventory::find(self.account, Some(self.names.run().as_str()), self.bucket).await?;
        let mut found = runs.remove(self.names.run().as_str()).unwrap_or_default();
        if self.keep_results {
            found.objects.retain(|key| !key.starts_with(&self.names.hosts_prefix()));
        }
        Ok(found)
    }

    /// Hosts first, since they use the rest.
    async fn remove_compute(&self) -> Vec<String> {
        let hosts = self.terminate_and_wait().await;
        // Hosts that stay let nothing go, so there is nothing to wait for.
        let limit = if hosts.is_ok() { LET_GO_LIMIT } else { Duration::ZERO };
        let (security, placement, volumes, files) = tokio::join!(
            self.remove_all(Kind::SecurityGroup, limit),
            self.remove_all(Kind::PlacementGroup, limit),
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
                Err(error) if is_passing(error.cause) => error.to_string(),
                Err(error) => return Err(error.to_string()),
            };
            pace.wait().await.map_err(|passed| format!("{passed}: {problem}"))?;
        }
    }

    /// Terminates the hosts that are not terminating yet; returns all that are not terminated.
    async fn terminate_hosts(&self) -> Result<Vec<String>, ApiError> {
        let mut instances = inventory::instances(self.account, Some(self.names.run().as_str())).await?;
        let found: BTreeSet<&str> = instances.iter().filter_map(Instance::instance_id).collect();
        let missing = self.known.instances.iter().filter(|id| !found.contains(id.as_str()));
        let missing: Vec<String> = missing.cloned().collect();
        instances.extend(inventory::instances_of(self.account, &missing).await?);
        let left: Vec<(String, String)> = instances.iter().filter_map(inventory::still_there).collect();
        let there = left.iter().filter(|(_, state)| state != "shutting-down").map(|(id, _)| id.clone());
        let there: Vec<String> = there.collect();
        for ids in there.chunks(AT_ONCE_MAX) {
            let request = self.account.ec2.terminate_instances().set_instance_ids(Some(ids.to_vec()));
            call("TerminateInstances", &ids.join(", "), request.send()).await?;
        }
        Ok(left.into_iter().map(|(id, _)| id).collect())
    }

    async fn remove_all(&self, kind: Kind, limit: Duration) -> Vec<String> {
        let run = Some(self.names.run().as_str());
        let found = match kind {
            Kind::SecurityGroup => inventory::security_groups(self.account, run).await,
            Kind::PlacementGroup => inventory::placement_groups(self.account, run).await,
        };
        // Whatever cannot be found by its tags may be known.
        let (found, error) =
            found.map_or_else(|error| (vec![], Some(error.to_string())), |found| (found, None));
        let known = match kind {
            Kind::SecurityGroup => &self.known.security_groups,
            Kind::PlacementGroup => &self.known.placement_groups,
        };
        let all: BTreeSet<&String> = found.iter().map(|(id, _)| id).chain(known).collect();
        let removals = all.into_iter().map(|id| self.remove(kind, id, limit));
        error.into_iter().chain(join_all(removals).await.into_iter().filter_map(Result::err)).collect()
    }

    /// Removes one thing; what still uses it may need a moment to let it go, `limit` at most.
    async fn remove(&self, kind: Kind, id: &str, limit: Duration) -> Result<(), String> {
        let mut pace = Pace::new(kind.deadline(), limit, self.account.poll_interval);
        let ec2 = &self.account.ec2;
        loop {
            let removed = match kind {
                Kind::SecurityGroup => {
                    let request = ec2.delete_security_group().group_id(id);
                    call("DeleteSecurityGroup", id, request.send()).await.map(drop)
                }
                Kind::PlacementGroup => {
                    let request = ec2.delete_placement_group().group_name(id);
                    call("DeletePlacementGroup", id, request.send()).await.map(drop)
                }
            };
            match removed {
                Ok(()) => return Ok(()),
                Err(error) if error.cause == Cause::NotFound => return Ok(()),
                Err(error) if is_passing(error.cause) => {
                    if let Err(passed) = pace.wait().await {
                        return Err(if limit.is_zero() {
                            error.to_string()
                        } else {
                            format!("{passed}: {error}")
                        });
                    }
                    // A launch whose answer nobody heard may have come after the hosts were looked for. None comes
                    // after its security group is gone.
                    if error.cause == Cause::InUse {
                        self.terminate_hosts().await.map_err(|error| error.to_string())?;
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
            let problem = match inventory::volumes(self.account, Some(self.names.run().as_str())).await {
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
                return vec![format!("{passed}: {problem}")];
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
        let prefix = self.names.prefix();
        let report = self.names.report_prefix();
        let mut errors = Vec::new();
        let mut prefixes = Vec::new();
        if self.keep_results {
            errors.extend(self.remove_own_files().await.err().map(|error| error.to_string()));
        } else {
            prefixes.push(prefix);
        }
        prefixes.extend(self.with_report.then_some(report));
        if let Some(bucket) = self.bucket {
            for prefix in prefixes {
                errors.extend(remove_objects(self.account, bucket, &prefix).await.err());
            }
        }
        errors
    }

    /// Removes what the run itself has put into the bucket.
    async fn remove_own_files(&self) -> Result<(), ApiError> {
        let Some(bucket) = self.bucket else { return Ok(()) };
        for key in self.names.own_files() {
            let request = self.account.s3.delete_object().bucket(bucket).key(&key);
            call("DeleteObject", &key, request.send()).await?;
        }
        Ok(())
    }

    async fn remove_parameters(&self) -> Result<(), ApiError> {
        let parameters = inventory::parameters(self.account, Some(self.names.run().as_str())).await?;
        // The key's name is known, whether it is listed yet or not.
        let names = parameters.into_iter().filter_map(|parameter| parameter.name);
        let names: BTreeSet<String> = names.chain([self.names.key_parameter()]).collect();
        let names = Vec::from_iter(names);
        // So many fit into one call.
        for names in names.chunks(10) {
            let request = self.account.ssm.delete_parameters().set_names(Some(names.to_vec()));
            call("DeleteParameters", &names.join(", "), request.send()).await?;
        }
        Ok(())
    }
}

/// Removes the files whose keys begin with `prefix`.
///
/// # Errors
/// The first that cannot be removed, in words.
pub(crate) async fn remove_objects(account: &Account, bucket: &str, prefix: &str) -> Result<(), String> {
    let keys = inventory::objects(account, bucket, prefix).await.map_err(|error| error.to_string())?;
    for keys in keys.chunks(AT_ONCE_MAX) {
        let identifier = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects: Result<Vec<_>, _> = keys.iter().map(identifier).collect();
        let delete = Delete::builder().set_objects(objects.ok()).quiet(true).build();
        let delete = delete.map_err(|error| error.to_string())?;
        let what = format!("s3://{bucket}/{prefix}");
        let request = account.s3.delete_objects().bucket(bucket).delete(delete);
        let removed =
            call("DeleteObjects", &what, request.send()).await.map_err(|error| error.to_string())?;
        if let Some(error) = removed.errors().first() {
            let text = |text: Option<&str>| text.unwrap_or("?").to_owned();
            return Err(format!("{} cannot be removed: {}", text(error.key()), text(error.message())));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    SecurityGroup,
    PlacementGroup,
}

impl Kind {
    fn deadline(self) -> &'static str {
        match self {
            Self::SecurityGroup => "security group unused",
            Self::PlacementGroup => "placement group unused",
        }
    }
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
mod tests {
    use super::*;
    use crate::steps::fake_service::{FakeService, Reply};

    /// A service that finds nothing by tags, although one host runs until it is terminated.
    #[tokio::test]
    async fn what_is_not_found_by_its_tags_is_known_from_the_journal() {
        let mut state = "running";
        let service = FakeService::start(move |request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) else {
                return Reply::json(serde_json::json!({}));
            };
            if action == "TerminateInstances" {
                state = "terminated";
            }
            let host = if action == "DescribeInstances" && body.contains("=instance-id&") {
                format!(
                    "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>\
                     <instanceState><name>{state}</name></instanceState></item></instancesSet></item></reservationSet>"
                )
            } else {
                String::new()
            };
            Reply::xml(200, &format!("<{action}Response>{host}</{action}Response>"))
        });
        let names = RunNames::new("20261123-041500-1a2b".parse().unwrap());
        let set = |name: &str| BTreeSet::from([name.to_owned()]);
        let known = Known {
            instances: set("i-1"),
            security_groups: set("sg-1"),
            placement_groups: set("netbench-group"),
        };
        let account = service.account();
        let teardown = Teardown {
            account: &account,
            names: &names,
            bucket: None,
            with_report: false,
            keep_results: false,
            known: &known,
        };
        let left = teardown.run(&mut |_| {}).await;
        assert!(left.is_nothing(), "{left:?}");
        let asked = service.requests();
        let asked: Vec<_> = asked.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
        for (action, what) in [
            ("TerminateInstances", "InstanceId.1=i-1"),
            ("DeleteSecurityGroup", "GroupId=sg-1"),
            ("DeletePlacementGroup", "GroupName=netbench-group"),
        ] {
            let is_it = |body: &&std::borrow::Cow<'_, str>| body.contains(action) && body.contains(what);
            assert_eq!(asked.iter().filter(is_it).count(), 1, "{action}: {asked:#?}");
        }
    }
}
