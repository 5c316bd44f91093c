//! Empties the bucket: CloudFormation only removes empty ones.

use super::error::StackError;
use super::wait::Wait;
use crate::api::{Account, ApiError, Cause, call};
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

/// Removes all versions of all objects, and returns how many there were. A bucket that is gone is empty.
pub(super) async fn empty(account: &Account, bucket: &str, wait: &Wait<'_>) -> Result<usize, StackError> {
    let what = format!("bucket {bucket}");
    let mut removed = 0;
    loop {
        // What was listed is removed before the next listing, which therefore begins at the beginning.
        let request = account.s3.list_object_versions().bucket(bucket);
        let listed = match call("ListObjectVersions", &what, request.send()).await {
            Ok(listed) => listed,
            Err(error) if error.cause == Cause::NotFound => return Ok(removed),
            Err(error) => return Err(error.into()),
        };
        let objects = identifiers(&listed, &what)?;
        if objects.is_empty() {
            return Ok(removed);
        }
        removed += objects.len();
        remove(account, bucket, objects).await?;
        wait.go_on(&format!("losing its objects, {removed} so far"))?;
    }
}

/// At most 1000, which is what one listing has and one removal takes.
fn identifiers(listed: &ListObjectVersionsOutput, what: &str) -> Result<Vec<ObjectIdentifier>, ApiError> {
    let versions = listed.versions().iter().map(|version| (version.key(), version.version_id()));
    let markers = listed.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
    let identifier = |(key, version): (Option<&str>, Option<&str>)| {
        let built = ObjectIdentifier::builder()
            .set_key(key.map(str::to_owned))
            .set_version_id(version.map(str::to_owned))
            .build();
        built.map_err(|_| ApiError::incomplete("ListObjectVersions", what, "key of an object"))
    };
    versions.chain(markers).map(identifier).collect()
}

async fn remove(account: &Account, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<(), StackError> {
    let what = format!("{} objects in the bucket {bucket}", objects.len());
    let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
    let delete = delete.map_err(|_| ApiError::incomplete("ListObjectVersions", &what, "objects"))?;
    let request = account.s3.delete_objects().bucket(bucket).delete(delete);
    let answer = call("DeleteObjects", &what, request.send()).await?;
    match answer.errors().first() {
        None => Ok(()),
        Some(refused) => Err(StackError::Object {
            bucket: bucket.to_owned(),
            key: refused.key().unwrap_or("an object").to_owned(),
            reason: refused.message().or(refused.code()).unwrap_or("S3 gives no reason").to_owned(),
        }),
    }
}
