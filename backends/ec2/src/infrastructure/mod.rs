//! What has to be there before a run can be: a network, a bucket, an instance profile.

mod cdk;
mod check;
mod error;
mod subnets;

pub use cdk::{CdkConfig, CdkError, from_cdk_config};
pub use error::InfrastructureError;

use crate::api::{Account, ApiError, call};
use crate::names::TAG_STACK;
use crate::stack::{self, OUTPUT_BUCKET, OUTPUT_INSTANCE_PROFILE, OUTPUT_LOG_GROUP, OUTPUT_VPC, StackView};
use aws_sdk_ec2::types::{AvailabilityZone, AvailabilityZoneOptInStatus, AvailabilityZoneState};

/// What runs use and do not create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infrastructure {
    /// The network.
    pub vpc: String,
    /// Its public subnets, sorted by zone; one of each zone.
    pub subnets: Vec<Subnet>,
    /// The private bucket.
    pub bucket: String,
    /// Name of the instance profile.
    pub instance_profile: String,
    /// Where the output of steps goes.
    pub log_group: Option<String>,
}

/// A public subnet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its availability zone, such as `us-east-1a`.
    pub zone: String,
}

/// What the stack `stack` offers to runs; everything in it is looked at.
///
/// # Errors
/// If there is no such stack, it is not ready, or something of it is missing: each says what to do.
pub async fn find(account: &Account, stack: &str) -> Result<Infrastructure, InfrastructureError> {
    let place = || (stack.to_owned(), account.region.clone());
    let Some(view) = stack::look(account, stack).await? else {
        let (stack, region) = place();
        return Err(InfrastructureError::NoStack { stack, region });
    };
    if !view.is_usable() {
        let (stack, region) = place();
        return Err(InfrastructureError::NotReady { stack, region, status: view.status });
    }
    let output = |key: &'static str| output(&view, key).ok_or_else(|| no_output(account, stack, key));
    let vpc = output(OUTPUT_VPC)?;
    let found = Infrastructure {
        subnets: subnets::by_tag(account, TAG_STACK, stack, Some(&vpc)).await?.subnets,
        vpc,
        bucket: output(OUTPUT_BUCKET)?,
        instance_profile: output(OUTPUT_INSTANCE_PROFILE)?,
        log_group: Some(output(OUTPUT_LOG_GROUP)?),
    };
    check::answers(account, &found).await?;
    Ok(found)
}

/// The availability zones of the account's region where instances can be launched, sorted; neither local zones nor
/// those that the account has not opted in to.
///
/// # Errors
/// If the call fails, or there is none.
pub async fn zones(account: &Account) -> Result<Vec<String>, InfrastructureError> {
    let what = format!("region {}", account.region);
    let answer =
        call("DescribeAvailabilityZones", &what, account.ec2.describe_availability_zones().send()).await?;
    let usable = answer.availability_zones().iter().filter(|zone| is_usable(zone));
    let mut zones: Vec<_> = usable.filter_map(AvailabilityZone::zone_name).map(str::to_owned).collect();
    zones.sort_unstable();
    if zones.is_empty() {
        return Err(ApiError::incomplete("DescribeAvailabilityZones", &what, "available zone").into());
    }
    Ok(zones)
}

/// Checked here and not by filters, which emulators and older regions know only in part.
fn is_usable(zone: &AvailabilityZone) -> bool {
    zone.state() == Some(&AvailabilityZoneState::Available)
        && zone.zone_type().is_none_or(|kind| kind == "availability-zone")
        && zone.opt_in_status() != Some(&AvailabilityZoneOptInStatus::NotOptedIn)
}

fn output(view: &StackView, key: &str) -> Option<String> {
    view.outputs.get(key).filter(|value| !value.is_empty()).cloned()
}

fn no_output(account: &Account, stack: &str, output: &'static str) -> InfrastructureError {
    InfrastructureError::NoOutput { stack: stack.to_owned(), region: account.region.clone(), output }
}

#[cfg(test)]
mod tests;
