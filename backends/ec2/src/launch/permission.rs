//! Whether the caller may launch what is planned, without launching anything.

use super::Settings;
use crate::api::{Account, ApiError, Cause, call};
use crate::infrastructure::Infrastructure;
use crate::plan::LaunchPlan;
use aws_sdk_ec2::types::{IamInstanceProfileSpecification, InstanceType};

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
        let request = account.ec2.run_instances().dry_run(true).min_count(count).max_count(count);
        let request = request
            .set_image_id(image)
            .instance_type(InstanceType::from(kind.instance_type.as_str()))
            .set_subnet_id(kind.zones.first().map(|zone| zone.id.clone()))
            .iam_instance_profile(profile);
        match call("RunInstances", &format!("{} (dry run)", kind.describe()), request.send()).await {
            Err(error) if error.cause == Cause::DryRun => {}
            Err(error) => return Err(error),
            // What launches nothing is not refused by a service that does not know dry runs.
            Ok(_) => {}
        }
    }
    Ok(())
}
