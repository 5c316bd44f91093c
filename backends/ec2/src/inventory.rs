//! What exists of runs, found by tag: nothing else has to be known.

use crate::api::{Account, ApiError, Cause, call};
use crate::names::{RunNames, TAG_RUN};
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName, SecurityGroup, Tag, Volume, VolumeState};
use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter};
use std::collections::BTreeMap;

/// Most values of one filter
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>).
const VALUES_MAX: usize = 200;

/// Most instances or security groups of one page, as EC2 has it.
const PAGE: i32 = 1000;

/// Most volumes of one page, for an answer that comes soon.
const VOLUMES_PAGE: i32 = 500;

/// Most parameters of one page, as SSM has it
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html>).
const PARAMETERS_PAGE: i32 = 50;

/// Everything that exists of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Hosts that are not terminated, with their states.
    pub instances: BTreeMap<String, String>,
    /// Security groups, by id.
    pub security_groups: Vec<String>,
    /// Placement groups, by name.
    pub placement_groups: Vec<String>,
    /// Volumes, by id.
    pub volumes: Vec<String>,
    /// Parameters, by name.
    pub parameters: Vec<String>,
    /// Files in the bucket, by key.
    pub objects: Vec<String>,
    /// The tags of the first thing that was found.
    pub tags: BTreeMap<String, String>,
}

impl Found {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.describe().is_empty()
    }

    /// Whether files below this prefix are all that is left.
    pub fn has_only(&self, prefix: &str) -> bool {
        self.describe().len() == self.objects.len() && self.objects.iter().all(|key| key.starts_with(prefix))
    }

    /// Each thing that is left, in words. Hosts choose the names of what they upload: on a terminal they are only text.
    pub fn describe(&self) -> Vec<String> {
        let instances = self.instances.iter().map(|(id, state)| format!("instance {id} ({state})"));
        let named = [
            ("security group", &self.security_groups),
            ("placement group", &self.placement_groups),
            ("volume", &self.volumes),
            ("parameter", &self.parameters),
            ("object", &self.objects),
        ];
        let named =
            named.into_iter().flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, id.escape_debug())));
        let named = named.map(|(kind, id)| format!("{kind} {id}"));
        instances.chain(named).collect()
    }
}

/// The instances of a run, or of all runs; terminated ones are still told of for about an hour.
///
/// # Errors
/// If the service cannot be asked.
pub async fn instances(account: &Account, run: Option<&str>) -> Result<Vec<Instance>, ApiError> {
    instances_by(account, filter(run), &what_of(run)).await
}

/// Those of the instances `ids` that exist, whatever tags they bear.
///
/// # Errors
/// If the service cannot be asked.
pub(crate) async fn instances_of(account: &Account, ids: &[String]) -> Result<Vec<Instance>, ApiError> {
    let mut instances = Vec::new();
    for ids in ids.chunks(VALUES_MAX) {
        instances.extend(instances_by(account, filter_of("instance-id", ids), &ids.join(", ")).await?);
    }
    Ok(instances)
}

async fn instances_by(account: &Account, filter: Filter, what: &str) -> Result<Vec<Instance>, ApiError> {
    let request = account.ec2.describe_instances().filters(filter).max_results(PAGE);
    let reservations = request.into_paginator().items().send().try_collect();
    let reservations = call("DescribeInstances", what, reservations).await?;
    Ok(reservations.into_iter().flat_map(|found| found.instances.unwrap_or_default()).collect())
}

/// Everything that exists of each run, or of one, by the run's name. `bucket` is where their files lie, if that is
/// known.
///
/// # Errors
/// If a service cannot be asked: then nobody knows.
pub async fn find(
    account: &Account,
    run: Option<&str>,
    bucket: Option<&str>,
) -> Result<BTreeMap<String, Found>, ApiError> {
    let mut runs = Runs::default();
    let (instances, groups, placements, volumes, parameters) = tokio::try_join!(
        self::instances(account, run),
        security_groups(account, run),
        placement_groups(account, run),
        volumes(account, run),
        parameters(account, run),
    )?;
    for instance in &instances {
        if let Some((id, state)) = still_there(instance) {
            runs.of_tags(instance.tags()).instances.insert(id, state);
        }
    }
    for (id, tags) in groups {
        runs.of_tags(&tags).security_groups.push(id);
    }
    for (name, tags) in placements {
        runs.of_tags(&tags).placement_groups.push(name);
    }
    for volume in volumes {
        runs.of_tags(volume.tags.as_deref().unwrap_or_default()).volumes.extend(volume.volume_id);
    }
    for parameter in parameters {
        // /netbench/RUN/...
        let name = parameter.name.unwrap_or_default();
        if let Some(owner) = name.split('/').nth(2).map(str::to_owned) {
            runs.of(&owner).parameters.push(name);
        }
    }
    if let Some(bucket) = bucket {
        for key in objects(account, bucket, &prefix_of(run)).await? {
            // runs/RUN/...
            if let Some(owner) = key.split('/').nth(1).map(str::to_owned) {
                runs.of(&owner).objects.push(key);
            }
        }
    }
    Ok(runs.0)
}

/// Id and state of an instance, unless it is terminated.
pub(crate) fn still_there(instance: &Instance) -> Option<(String, String)> {
    let state = instance.state().and_then(|state| state.name());
    let is_there = state != Some(&InstanceStateName::Terminated);
    let state = state.map(ToString::to_string).unwrap_or_default();
    is_there.then(|| (instance.instance_id().unwrap_or_default().to_owned(), state))
}

#[derive(Default)]
struct Runs(BTreeMap<String, Found>);

impl Runs {
    fn of(&mut self, run: &str) -> &mut Found {
        self.0.entry(run.to_owned()).or_default()
    }

    fn of_tags(&mut self, tags: &[Tag]) -> &mut Found {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let tags: BTreeMap<String, String> =
            tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect();
        let found = self.of(tags.get(TAG_RUN).map_or("", String::as_str));
        if found.tags.is_empty() {
            found.tags = tags;
        }
        found
    }
}

/// Id or name of a group, and its tags.
pub(crate) type Group = (String, Vec<Tag>);

/// The security groups of a run, or of all runs.
pub(crate) async fn security_groups(account: &Account, run: Option<&str>) -> Result<Vec<Group>, ApiError> {
    security_groups_by(account, filter(run), &what_of(run)).await
}

/// Those of the security groups `ids` that exist, whatever tags they bear.
pub(crate) async fn security_groups_of(account: &Account, ids: &[String]) -> Result<Vec<Group>, ApiError> {
    let mut groups = Vec::new();
    for ids in ids.chunks(VALUES_MAX) {
        groups.extend(security_groups_by(account, filter_of("group-id", ids), &ids.join(", ")).await?);
    }
    Ok(groups)
}

async fn security_groups_by(account: &Account, filter: Filter, what: &str) -> Result<Vec<Group>, ApiError> {
    let request = account.ec2.describe_security_groups().filters(filter).max_results(PAGE);
    let groups = request.into_paginator().items().send().try_collect();
    let groups = call("DescribeSecurityGroups", what, groups).await?;
    let group = |group: SecurityGroup| (group.group_id.unwrap_or_default(), group.tags.unwrap_or_default());
    Ok(groups.into_iter().map(group).collect())
}

/// The placement groups of a run, or of all runs.
pub(crate) async fn placement_groups(account: &Account, run: Option<&str>) -> Result<Vec<Group>, ApiError> {
    placement_groups_by(account, filter(run), &what_of(run)).await
}

/// Those of the placement groups `names` that exist, whatever tags they bear.
pub(crate) async fn placement_groups_of(account: &Account, names: &[String]) -> Result<Vec<Group>, ApiError> {
    let mut groups = Vec::new();
    for names in names.chunks(VALUES_MAX) {
        let filter = filter_of("group-name", names);
        groups.extend(placement_groups_by(account, filter, &names.join(", ")).await?);
    }
    Ok(groups)
}

/// All of them come at once (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribePlacementGroups.html>).
async fn placement_groups_by(account: &Account, filter: Filter, what: &str) -> Result<Vec<Group>, ApiError> {
    let request = account.ec2.describe_placement_groups().filters(filter);
    let found = call("DescribePlacementGroups", what, request.send()).await?;
    let groups = found.placement_groups.unwrap_or_default().into_iter();
    let there = groups.filter(|group| group.state().is_none_or(|state| state.as_str() != "deleted"));
    Ok(there.map(|group| (group.group_name.unwrap_or_default(), group.tags.unwrap_or_default())).collect())
}

/// Volumes that are not being deleted.
pub(crate) async fn volumes(account: &Account, run: Option<&str>) -> Result<Vec<Volume>, ApiError> {
    let request = account.ec2.describe_volumes().filters(filter(run)).max_results(VOLUMES_PAGE);
    let volumes = request.into_paginator().items().send().try_collect();
    let mut volumes = call("DescribeVolumes", &what_of(run), volumes).await?;
    volumes.retain(|volume| !matches!(volume.state, Some(VolumeState::Deleting | VolumeState::Deleted)));
    Ok(volumes)
}

pub(crate) async fn parameters(
    account: &Account,
    run: Option<&str>,
) -> Result<Vec<ParameterMetadata>, ApiError> {
    let path = run.map_or_else(|| "/netbench".to_owned(), |run| format!("/netbench/{run}"));
    let below = ParameterStringFilter::builder().key("Path").option("Recursive").values(&path).build();
    let below = below.map_err(|_| ApiError::incomplete("DescribeParameters", &path, "filter"))?;
    let request = account.ssm.describe_parameters().parameter_filters(below).max_results(PARAMETERS_PAGE);
    let pages = call("DescribeParameters", &path, request.into_paginator().send().try_collect()).await?;
    Ok(pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default()).collect())
}

/// The keys in the bucket that begin with `prefix`; none if there is no such bucket.
pub(crate) async fn objects(account: &Account, bucket: &str, prefix: &str) -> Result<Vec<String>, ApiError> {
    match list(account, bucket, prefix).await {
        Err(error) if error.cause == Cause::NotFound => Ok(vec![]),
        listed => listed,
    }
}

/// The keys in the bucket, which exists, that begin with `prefix`, in order.
pub(crate) async fn list(account: &Account, bucket: &str, prefix: &str) -> Result<Vec<String>, ApiError> {
    let pages = account.s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let pages = call("ListObjectsV2", &format!("s3://{bucket}/{prefix}"), pages.try_collect()).await?;
    let objects = pages.into_iter().flat_map(|page| page.contents.unwrap_or_default());
    Ok(objects.filter_map(|object| object.key).collect())
}

fn filter(run: Option<&str>) -> Filter {
    match run {
        Some(run) => Filter::builder().name(format!("tag:{TAG_RUN}")).values(run).build(),
        None => Filter::builder().name("tag-key").values(TAG_RUN).build(),
    }
}

/// By ids or names, [`VALUES_MAX`] at most. A filter, unlike a list of ids, does not mind one that is unknown.
fn filter_of(name: &str, values: &[String]) -> Filter {
    Filter::builder().name(name).set_values(Some(values.to_vec())).build()
}

fn what_of(run: Option<&str>) -> String {
    run.map_or_else(|| "all runs".to_owned(), |run| format!("run {run}"))
}

fn prefix_of(run: Option<&str>) -> String {
    let parsed = run.and_then(|run| run.parse().ok());
    parsed.map_or_else(|| "runs/".to_owned(), |run| RunNames::new(run).prefix())
}
