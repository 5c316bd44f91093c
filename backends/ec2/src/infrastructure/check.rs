//! Whether what runs need is really there: a stack does not notice when somebody removes a part of it.

use super::{Infrastructure, InfrastructureError};
use crate::api::{Account, call};

/// Asks for the instance profile and the bucket.
pub(super) async fn answers(account: &Account, found: &Infrastructure) -> Result<(), InfrastructureError> {
    let region = || account.region.clone();
    let profile = &found.instance_profile;
    let request = account.iam.get_instance_profile().instance_profile_name(profile);
    let answer = call("GetInstanceProfile", &format!("instance profile {profile}"), request.send()).await;
    answer.map_err(Box::new).map_err(|source| InfrastructureError::Profile {
        profile: profile.clone(),
        region: region(),
        source,
    })?;
    let bucket = &found.bucket;
    let request = account.s3.head_bucket().bucket(bucket);
    let answer = call("HeadBucket", &format!("bucket {bucket}"), request.send()).await;
    answer.map_err(Box::new).map_err(|source| InfrastructureError::Bucket {
        bucket: bucket.clone(),
        region: region(),
        source,
    })?;
    Ok(())
}
