//! Whether anything of a removed stack is left.

use super::delete::Parts;
use super::error::StackError;
use super::wait::Wait;
use crate::api::{Account, ApiError, Cause, call};
use crate::names::TAG_STACK;
use aws_sdk_ec2::types::Filter;

/// Looks until nothing of the stack `name` is left, or the deadline passes.
pub(super) async fn nothing_left(
    account: &Account,
    name: &str,
    parts: &Parts,
    wait: &mut Wait<'_>,
) -> Result<(), StackError> {
    loop {
        let mut left = tagged(account, name).await?;
        left.extend(named(account, parts).await?);
        if left.is_empty() {
            return Ok(());
        }
        match wait.pause("partly there").await {
            Ok(()) => {}
            Err(StackError::Deadline { stack, region, .. }) => {
                return Err(StackError::Left { stack, region, left });
            }
            Err(error) => return Err(error),
        }
    }
}

/// What still bears the tag. Each kind is asked for: the list of tags also has those of things that are gone.
async fn tagged(account: &Account, name: &str) -> Result<Vec<String>, ApiError> {
    let with_tag = Filter::builder().name(format!("tag:{TAG_STACK}")).values(name).build();
    let what = format!("what bears the tag {TAG_STACK}={name}");
    let mut left = Vec::new();
    macro_rules! look_for {
        ($kind:literal, $operation:literal, $request:ident, $id:ident) => {
            let pages = account.ec2.$request().filters(with_tag.clone()).into_paginator().items().send();
            let found: Vec<_> = call($operation, &what, pages.collect::<Result<_, _>>()).await?;
            left.extend(found.iter().map(|one| format!("{} {}", $kind, one.$id().unwrap_or_default())));
        };
    }
    look_for!("subnet", "DescribeSubnets", describe_subnets, subnet_id);
    look_for!("route table", "DescribeRouteTables", describe_route_tables, route_table_id);
    look_for!(
        "internet gateway",
        "DescribeInternetGateways",
        describe_internet_gateways,
        internet_gateway_id
    );
    look_for!("network", "DescribeVpcs", describe_vpcs, vpc_id);
    Ok(left)
}

/// What is known by name and found by no tag here.
async fn named(account: &Account, parts: &Parts) -> Result<Vec<String>, ApiError> {
    let mut left = Vec::new();
    if let Some(bucket) = &parts.bucket {
        let what = format!("bucket {bucket}");
        if exists(call("HeadBucket", &what, account.s3.head_bucket().bucket(bucket).send()).await)? {
            left.push(what);
        }
    }
    if let Some(profile) = &parts.instance_profile {
        let what = format!("instance profile {profile}");
        let request = account.iam.get_instance_profile().instance_profile_name(profile);
        if exists(call("GetInstanceProfile", &what, request.send()).await)? {
            left.push(what);
        }
    }
    Ok(left)
}

fn exists<T>(answer: Result<T, ApiError>) -> Result<bool, ApiError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.cause == Cause::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
