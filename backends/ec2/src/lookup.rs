//! What the account has, as far as a plan needs it. Nothing is created here.

use crate::api::{Account, ApiError, Cause, call};
use crate::plan::{Architecture, InstanceType, Placement};
use aws_sdk_ec2::types::{ArchitectureType, InstanceTypeInfo, PlacementGroupStrategy};
use std::collections::BTreeMap;

/// The quota "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs.
const STANDARD_VCPUS: &str = "L-1216C47A";

/// The public parameter that names the newest Amazon Linux 2023
/// (<https://docs.aws.amazon.com/linux/al2023/ug/ec2.html>).
const NEWEST_AL2023: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-";

/// The instance types among `names` that exist in the region, by name.
///
/// # Errors
/// If the service cannot be asked.
pub async fn instance_types(
    account: &Account,
    names: &[String],
) -> Result<BTreeMap<String, InstanceType>, ApiError> {
    let (operation, resource) = ("DescribeInstanceTypes", names.join(", "));
    let types = names.iter().map(|name| name.as_str().into()).collect();
    let request = account.ec2.describe_instance_types().set_instance_types(Some(types));
    let found = match call(operation, &resource, request.send()).await {
        Ok(found) => found,
        // One that does not exist fails them all: the plan says which one, so the others are asked for alone.
        Err(error) if is_unknown_type(&error) && names.len() > 1 => {
            let mut known = BTreeMap::new();
            for name in names {
                known.extend(Box::pin(instance_types(account, std::slice::from_ref(name))).await?);
            }
            return Ok(known);
        }
        Err(error) if is_unknown_type(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    Ok(found.instance_types().iter().filter_map(known_type).collect())
}

fn is_unknown_type(error: &ApiError) -> bool {
    matches!(error.cause, Cause::Invalid | Cause::NotFound)
}

fn known_type(info: &InstanceTypeInfo) -> Option<(String, InstanceType)> {
    let name = info.instance_type()?.as_str().to_owned();
    let architectures = info.processor_info().map(|info| info.supported_architectures()).unwrap_or_default();
    let architecture = if architectures.contains(&ArchitectureType::Arm64) {
        Architecture::Arm64
    } else if architectures.contains(&ArchitectureType::X8664) {
        Architecture::X86_64
    } else {
        return None;
    };
    let vcpus = info.v_cpu_info().and_then(|info| info.default_v_cpus());
    let strategies = info.placement_group_info().map(|info| info.supported_strategies()).unwrap_or_default();
    let strategy = |strategy: &PlacementGroupStrategy| match strategy.as_str() {
        "cluster" => Some(Placement::Cluster),
        "spread" => Some(Placement::Spread),
        "partition" => Some(Placement::Partition),
        // The service may learn more of them, and none of ours is among those.
        _ => None,
    };
    let placements = strategies.iter().filter_map(strategy).collect();
    let vcpus = u32::try_from(vcpus.unwrap_or(1)).unwrap_or(1);
    Some((name, InstanceType { architecture, vcpus, placements }))
}

/// How many vCPUs may run at once; `None` if the caller may not know.
pub async fn vcpu_quota(account: &Account) -> Option<u32> {
    let request = account.quotas.get_service_quota().service_code("ec2").quota_code(STANDARD_VCPUS);
    let quota = call("GetServiceQuota", "the vCPUs of running instances", request.send()).await.ok()?;
    let value = quota.quota()?.value()?;
    // Quotas are whole numbers that JSON carries as floating point.
    (value >= 0.0).then_some(value.min(f64::from(u32::MAX)) as u32)
}

/// The id of the newest Amazon Linux 2023 for an architecture.
///
/// # Errors
/// If the service cannot be asked.
pub async fn newest_image(account: &Account, architecture: Architecture) -> Result<String, ApiError> {
    let name = format!("{NEWEST_AL2023}{}", architecture.name());
    let parameter = call("GetParameter", &name, account.ssm.get_parameter().name(&name).send()).await?;
    let image = parameter.parameter().and_then(|parameter| parameter.value());
    image.map(str::to_owned).ok_or_else(|| ApiError::incomplete("GetParameter", &name, "value"))
}

/// Whether there is a key pair of this name.
///
/// # Errors
/// If the service cannot be asked.
pub async fn has_key_pair(account: &Account, name: &str) -> Result<bool, ApiError> {
    match call("DescribeKeyPairs", name, account.ec2.describe_key_pairs().key_names(name).send()).await {
        Ok(found) => Ok(!found.key_pairs().is_empty()),
        Err(error) if error.cause == Cause::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
