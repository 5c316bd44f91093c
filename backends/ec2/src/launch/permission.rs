//! Whether the caller may launch what is planned, without launching anything.

use super::Settings;
use crate::api::{Account, ApiError, Cause, call};
use crate::infrastructure::Infrastructure;
use crate::plan::LaunchPlan;
use aws_sdk_ec2::types::{
    HttpTokensState, IamInstanceProfileSpecification, InstanceMetadataOptionsRequest, InstanceType,
};

/// Asks for every kind of the plan whether it could be launched.
///
/// # Errors
/// What the service would refuse.
pub async fn may_launch(
    account: &Account,
    infrastructure: &Infrastructure,
    plan: &LaunchPlan,
    settings: &Settings,
) -> Result<(), ApiError> {
    for kind in &plan.kinds {
        let count = i32::try_from(kind.indices.len()).unwrap_or(i32::MAX);
        let architecture = plan.architectures.get(&kind.instance_type);
        let image = architecture.and_then(|architecture| settings.images.get(architecture).cloned());
        let profile =
            IamInstanceProfileSpecification::builder().name(&infrastructure.instance_profile).build();
        let metadata =
            InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
        let request = account.ec2.run_instances().dry_run(true).min_count(count).max_count(count);
        let request = request
            .set_image_id(image)
            .instance_type(InstanceType::from(kind.instance_type.as_str()))
            .metadata_options(metadata)
            .set_key_name(settings.key_pair.clone())
            .iam_instance_profile(profile);
        let mut refused = None;
        for zone in &kind.zones {
            let what = format!("{} in {} (dry run)", kind.describe(), zone.zone);
            refused = match call("RunInstances", &what, request.clone().subnet_id(&zone.id).send()).await {
                // What launches nothing is not refused by a service that does not know dry runs.
                Ok(_) => None,
                Err(error) if error.cause == Cause::DryRun => None,
                // The launch goes on to the next zone as well.
                Err(error) if error.cause == Cause::Capacity => Some(error),
                Err(error) => return Err(error),
            };
            if refused.is_none() {
                break;
            }
        }
        refused.map_or(Ok(()), Err)?;
    }
    Ok(())
}
