//! Objects out of the bucket.

use super::collect::AT_ONCE;
use super::error::ArtifactError;
use super::upload::SLOW_BYTES_PER_S;
use crate::api::{Account, ApiError, Cause, Deadline, call};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For the body of an object: this, and the time that it takes on a slow line with a few others beside it.
const BODY_LIMIT: Duration = Duration::from_secs(60);

/// Reads an object, whose pieces `take` is given.
///
/// # Errors
/// If the service refuses, if it breaks off or takes longer than on a slow line, or what `take` says.
pub(super) async fn read(
    account: &Account,
    bucket: &str,
    key: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    let request = account.s3.get_object().bucket(bucket).key(key);
    let mut object = call("GetObject", &format!("s3://{bucket}/{key}"), request.send()).await?;
    let broken = |cause: String| ArtifactError::BrokenOff { key: key.to_owned(), cause };
    // The limits of calls end when the body begins.
    let deadline = Deadline { name: "object read", limit: limit_of(&object) };
    let reading = async {
        while let Some(piece) = object.body.next().await {
            take(&piece.map_err(|error| broken(error.to_string()))?)?;
        }
        Ok(())
    };
    let read = tokio::time::timeout(deadline.limit, reading).await;
    read.unwrap_or_else(|_| Err(broken(deadline.passed().to_string())))
}

fn limit_of(object: &GetObjectOutput) -> Duration {
    let length_bytes = object.content_length().and_then(|length| u64::try_from(length).ok());
    let share_bytes_per_s = SLOW_BYTES_PER_S / AT_ONCE as u64;
    BODY_LIMIT + Duration::from_secs(length_bytes.unwrap_or_default() / share_bytes_per_s)
}

/// A small text out of the bucket, such as what `build_driver` leaves; `None` if there is none.
///
/// # Errors
/// If the service refuses, or it is no text of at most `limit_bytes`.
pub async fn read_text(
    account: &Account,
    bucket: &str,
    key: &str,
    limit_bytes: usize,
) -> Result<Option<String>, ArtifactError> {
    let not_text = || ArtifactError::NotText { key: key.to_owned(), limit_bytes };
    let mut bytes = Vec::new();
    let take = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        if bytes.len() > limit_bytes { Err(not_text()) } else { Ok(()) }
    };
    match read(account, bucket, key, take).await {
        Ok(()) => String::from_utf8(bytes).map(Some).map_err(|_| not_text()),
        Err(ArtifactError::Api(error)) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long ago an object was put into the bucket; `None` if it is not there.
///
/// # Errors
/// If the service refuses.
pub async fn age(account: &Account, bucket: &str, key: &str) -> Result<Option<Duration>, ArtifactError> {
    Ok(head(account, bucket, key).await?.map(|(age, _)| age))
}

/// The age of an object, and its length in bytes; `None` if it is not there.
pub(super) async fn head(
    account: &Account,
    bucket: &str,
    key: &str,
) -> Result<Option<(Duration, Option<u64>)>, ArtifactError> {
    let head = account.s3.head_object().bucket(bucket).key(key);
    match call("HeadObject", &format!("s3://{bucket}/{key}"), head.send()).await {
        Ok(there) => {
            let since_s = there.last_modified().map_or(0, |at| at.secs());
            let age_s = u64::try_from(seconds_since_1970().saturating_sub(since_s)).unwrap_or_default();
            let length_bytes = there.content_length().and_then(|length| u64::try_from(length).ok());
            Ok(Some((Duration::from_secs(age_s), length_bytes)))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A missing bucket is another matter than a missing object, where the service says which it is.
fn is_missing(error: &ApiError) -> bool {
    error.cause == Cause::NotFound && error.code.as_deref() != Some("NoSuchBucket")
}

fn seconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
