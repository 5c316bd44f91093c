//! The subnets that runs may use, by their tag.

use super::{InfrastructureError, Subnet};
use crate::api::{Account, ApiError, call};
use aws_sdk_ec2::types::{Filter, SubnetState};

/// The subnets of one network.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) vpc: String,
    pub(super) subnets: Vec<Subnet>,
}

/// The available subnets with the tag `key`=`value`, one for each zone, sorted by zone; only those of `vpc` if given.
pub(super) async fn by_tag(
    account: &Account,
    key: &str,
    value: &str,
    vpc: Option<&str>,
) -> Result<Found, InfrastructureError> {
    let what = format!("subnets with the tag {key}={value}");
    let mut request = account.ec2.describe_subnets();
    request = request.filters(Filter::builder().name(format!("tag:{key}")).values(value).build());
    if let Some(vpc) = vpc {
        request = request.filters(Filter::builder().name("vpc-id").values(vpc).build());
    }
    let pages = request.into_paginator().items().send();
    let described: Vec<_> = call("DescribeSubnets", &what, pages.collect::<Result<_, _>>()).await?;
    let incomplete = |part| ApiError::incomplete("DescribeSubnets", &what, part);
    let mut vpcs = Vec::new();
    let mut subnets = Vec::new();
    for subnet in described
        .into_iter()
        .filter(|subnet| subnet.state().is_none_or(|state| *state == SubnetState::Available))
    {
        vpcs.push(subnet.vpc_id.ok_or_else(|| incomplete("network"))?);
        let id = subnet.subnet_id.ok_or_else(|| incomplete("id"))?;
        let zone = subnet.availability_zone.ok_or_else(|| incomplete("zone"))?;
        subnets.push(Subnet { id, zone });
    }
    vpcs.sort_unstable();
    vpcs.dedup();
    subnets.sort_unstable_by(|one, other| (&one.zone, &one.id).cmp(&(&other.zone, &other.id)));
    subnets.dedup_by(|later, earlier| later.zone == earlier.zone);
    let (key, value, region) = (key.to_owned(), value.to_owned(), account.region.clone());
    match vpcs.len() {
        0 => Err(InfrastructureError::NoSubnets { key, value, region, vpc: vpc.map(str::to_owned) }),
        1 => Ok(Found { vpc: vpcs.remove(0), subnets }),
        _ => Err(InfrastructureError::SeveralNetworks { key, value, region, vpcs }),
    }
}
