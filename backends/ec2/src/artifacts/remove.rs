//! Everything below a prefix of the bucket: listed, and deleted.

use super::error::ArtifactError;
use crate::api::{Account, ApiError, call};
use crate::inventory;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

pub(super) use crate::inventory::list;

/// Most objects that one DeleteObjects takes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
const BATCH: usize = 1000;

/// Deletes all objects whose keys begin with `prefix`, which ends with `/`; says how many there were. There are none in a
/// bucket that does not exist.
///
/// # Errors
/// If the service refuses to list or to delete; what can be deleted is deleted.
pub async fn remove_all(account: &Account, bucket: &str, prefix: &str) -> Result<usize, ArtifactError> {
    let refused = |cause: &str, count, example: &str| ArtifactError::NotDeleted {
        prefix: prefix.to_owned(),
        count,
        example: example.to_owned(),
        cause: cause.to_owned(),
    };
    if prefix.len() < 2 || !prefix.ends_with('/') {
        return Err(refused("a prefix ends with / and is not all of the bucket", 0, ""));
    }
    let keys = inventory::objects(account, bucket, prefix).await?;
    let mut remaining: Option<ArtifactError> = None;
    let mut count = 0;
    for batch in keys.chunks(BATCH) {
        let resource = format!("{} objects below s3://{bucket}/{prefix}", batch.len());
        let objects = batch.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<Result<Vec<_>, _>>();
        let objects = objects.map_err(|_| ApiError::incomplete("ListObjectsV2", prefix, "key"))?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|_| ApiError::incomplete("ListObjectsV2", prefix, "key"))?;
        let request = account.s3.delete_objects().bucket(bucket).delete(delete);
        let answer = match call("DeleteObjects", &resource, request.send()).await {
            Ok(answer) => answer,
            Err(error) => {
                remaining = Some(error.into());
                continue;
            }
        };
        if let Some(first) = answer.errors().first() {
            count += answer.errors().len();
            let cause = first.message().or(first.code()).unwrap_or("no reason is given");
            remaining = Some(refused(cause, count, first.key().unwrap_or("one without a key")));
        }
    }
    remaining.map_or(Ok(keys.len()), Err)
}
