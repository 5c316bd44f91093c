//! Who still uses the network of the stack.

use super::error::StackError;
use crate::api::{Account, call};
use crate::names::TAG_RUN;
use aws_sdk_ec2::types::{Filter, Tag};
use std::collections::BTreeMap;

/// Refuses while there are instances or security groups in the network `vpc`: CloudFormation could not remove it, and
/// would say so only after half of the stack is gone.
pub(super) async fn check_none(account: &Account, stack: &str, vpc: &str) -> Result<(), StackError> {
    let mut used_by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, what) in instances(account, vpc).await?.into_iter().chain(security_groups(account, vpc).await?)
    {
        used_by.entry(user).or_default().push(what);
    }
    if used_by.is_empty() {
        return Ok(());
    }
    Err(StackError::InUse {
        stack: stack.to_owned(),
        region: account.region.clone(),
        users: used_by.into_iter().map(|(user, what)| format!("{user} ({})", shortened(&what))).collect(),
    })
}

/// Instances that are not yet terminated, each with whose it is.
async fn instances(account: &Account, vpc: &str) -> Result<Vec<(String, String)>, StackError> {
    let alive = ["pending", "running", "shutting-down", "stopping", "stopped"].map(str::to_owned);
    let request = account
        .ec2
        .describe_instances()
        .filters(in_vpc(vpc))
        .filters(Filter::builder().name("instance-state-name").set_values(Some(alive.to_vec())).build());
    let pages = request.into_paginator().items().send();
    let reservations: Vec<_> =
        call("DescribeInstances", &format!("network {vpc}"), pages.collect::<Result<_, _>>()).await?;
    let instances = reservations.iter().flat_map(|reservation| reservation.instances());
    Ok(instances
        .map(|one| {
            (user(one.tags(), &account.region), format!("instance {}", one.instance_id().unwrap_or_default()))
        })
        .collect())
}

/// Security groups other than the one that every network has.
async fn security_groups(account: &Account, vpc: &str) -> Result<Vec<(String, String)>, StackError> {
    let request = account.ec2.describe_security_groups().filters(in_vpc(vpc));
    let pages = request.into_paginator().items().send();
    let groups: Vec<_> =
        call("DescribeSecurityGroups", &format!("network {vpc}"), pages.collect::<Result<_, _>>()).await?;
    let groups = groups.iter().filter(|group| group.group_name() != Some("default"));
    Ok(groups
        .map(|group| {
            let id = group.group_id().unwrap_or_default();
            (user(group.tags(), &account.region), format!("security group {id}"))
        })
        .collect())
}

fn in_vpc(vpc: &str) -> Filter {
    Filter::builder().name("vpc-id").values(vpc).build()
}

/// Whose a resource is, with what to do about it.
fn user(tags: &[Tag], region: &str) -> String {
    match tags.iter().find(|tag| tag.key() == Some(TAG_RUN)).and_then(Tag::value) {
        Some(run) => format!("run {run}, to be ended by `runner ec2 destroy {run} --region {region}`"),
        None => "no run of netbench, to be removed by hand".to_owned(),
    }
}

/// A few of many.
fn shortened(all: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        Some(_) | None => shown,
    }
}
