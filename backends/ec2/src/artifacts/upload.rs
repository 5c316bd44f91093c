//! Files into the bucket, and links to them.

use super::artifact::{Artifact, Place};
use super::error::ArtifactError;
use crate::api::{Account, ApiError, Cause, call};
use crate::names::RunNames;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::TryStreamExt as _;
use futures_util::stream;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Uploads at a time. More do not make one link faster, and each holds a connection.
const AT_ONCE: usize = 8;

/// What lies in the bucket for longer is uploaded anew, so that its expiry does not strike in the middle of a run.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// For an upload: this, and a second for each [`SLOW_BYTES_PER_S`].
const UPLOAD_LIMIT: Duration = Duration::from_secs(60);

/// The slowest uplink that is waited for.
const SLOW_BYTES_PER_S: u64 = 64 * 1024;

/// Uploads those of `artifacts` that runs share and that `bucket` does not have. Bytes that differ from the digest, because the file has
/// changed since, are refused by the service.
///
/// # Errors
/// The first that fails; what is still under way is given up.
pub async fn upload_shared(
    account: &Account,
    bucket: &str,
    names: &RunNames,
    artifacts: &[Artifact],
) -> Result<(), ArtifactError> {
    let shared = artifacts.iter().filter(|one| one.place == Place::Shared);
    let each: BTreeMap<String, &Artifact> = shared.map(|one| (one.key(names), one)).collect();
    let upload = async |(key, artifact): (String, &Artifact)| {
        if has_fresh(account, bucket, &key, artifact.length_bytes).await? {
            return Ok(());
        }
        upload_one(account, bucket, &key, artifact).await
    };
    stream::iter(each.into_iter().map(Ok)).try_for_each_concurrent(AT_ONCE, upload).await
}

/// Uploads those of `artifacts` that are of the run alone.
///
/// # Errors
/// The first that fails.
pub async fn upload_own(
    account: &Account,
    bucket: &str,
    names: &RunNames,
    artifacts: &[Artifact],
) -> Result<(), ArtifactError> {
    for artifact in artifacts.iter().filter(|one| one.place == Place::Scenario) {
        upload_one(account, bucket, &artifact.key(names), artifact).await?;
    }
    Ok(())
}

/// Uploads the list that every host of the run reads.
///
/// # Errors
/// If the service refuses.
pub async fn upload_manifest(
    account: &Account,
    bucket: &str,
    names: &RunNames,
    text: String,
) -> Result<(), ArtifactError> {
    upload_text(account, bucket, &names.manifest(), text, "text/plain; charset=utf-8").await
}

/// Uploads a small file that a browser may be shown.
///
/// # Errors
/// If the service refuses.
pub async fn upload_text(
    account: &Account,
    bucket: &str,
    key: &str,
    text: impl Into<Vec<u8>>,
    content_type: &str,
) -> Result<(), ArtifactError> {
    let body = ByteStream::from(text.into());
    let request = account.s3.put_object().bucket(bucket).key(key).content_type(content_type).body(body);
    call("PutObject", &format!("s3://{bucket}/{key}"), request.send()).await?;
    Ok(())
}

/// A link with which anybody can read an object for as long as `expires_in` (at most 7 days), or until the credentials
/// expire that it was made with.
///
/// # Errors
/// If it cannot be signed.
pub async fn link(
    account: &Account,
    bucket: &str,
    key: &str,
    expires_in: Duration,
) -> Result<String, ArtifactError> {
    let unsigned = |cause: String| ArtifactError::Unsigned { key: key.to_owned(), cause };
    let config = PresigningConfig::expires_in(expires_in).map_err(|error| unsigned(error.to_string()))?;
    let request = account.s3.get_object().bucket(bucket).key(key).presigned(config).await;
    let request = request.map_err(|error| unsigned(error.to_string()))?;
    Ok(request.uri().to_owned())
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
    let request = account.s3.get_object().bucket(bucket).key(key);
    let mut object = match call("GetObject", &format!("s3://{bucket}/{key}"), request.send()).await {
        Ok(object) => object,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let not_text = || ArtifactError::NotText { key: key.to_owned(), limit_bytes };
    while let Some(more) = object.body.next().await {
        let broken = |error: aws_sdk_s3::primitives::ByteStreamError| ArtifactError::BrokenOff {
            key: key.to_owned(),
            cause: error.to_string(),
        };
        bytes.extend_from_slice(&more.map_err(broken)?);
        if bytes.len() > limit_bytes {
            return Err(not_text());
        }
    }
    String::from_utf8(bytes).map(Some).map_err(|_| not_text())
}

/// How long ago an object was put into the bucket; `None` if it is not there.
///
/// # Errors
/// If the service refuses.
pub async fn age(account: &Account, bucket: &str, key: &str) -> Result<Option<Duration>, ArtifactError> {
    let head = account.s3.head_object().bucket(bucket).key(key);
    match call("HeadObject", &format!("s3://{bucket}/{key}"), head.send()).await {
        Ok(there) => {
            let since_s = there.last_modified().map_or(0, |at| at.secs());
            let age_s = seconds_since_1970().saturating_sub(since_s);
            Ok(Some(Duration::from_secs(u64::try_from(age_s).unwrap_or_default())))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an object is there, is whole, and will be there for a while.
async fn has_fresh(
    account: &Account,
    bucket: &str,
    key: &str,
    length_bytes: u64,
) -> Result<bool, ArtifactError> {
    let head = account.s3.head_object().bucket(bucket).key(key);
    match call("HeadObject", &format!("s3://{bucket}/{key}"), head.send()).await {
        Ok(there) => {
            let since_s = there.last_modified().map_or(0, |at| at.secs());
            let length = there.content_length().and_then(|length| u64::try_from(length).ok());
            let is_fresh = seconds_since_1970().saturating_sub(since_s) < FRESH.as_secs().cast_signed();
            Ok(length == Some(length_bytes) && is_fresh)
        }
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn upload_one(
    account: &Account,
    bucket: &str,
    key: &str,
    artifact: &Artifact,
) -> Result<(), ArtifactError> {
    let body = ByteStream::from_path(&artifact.path).await;
    let body = body.map_err(|error| ArtifactError::Read {
        path: artifact.path.clone(),
        source: std::io::Error::other(error),
    })?;
    let limit = UPLOAD_LIMIT + Duration::from_secs(artifact.length_bytes / SLOW_BYTES_PER_S);
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(limit).operation_timeout(limit * 3).build();
    let request = account.s3.put_object().bucket(bucket).key(key).body(body);
    let request = request.checksum_sha256(artifact.digest.base64()).customize();
    let request = request.config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts));
    call("PutObject", &format!("s3://{bucket}/{key}"), request.send()).await?;
    tracing::info!("uploaded {} ({} bytes)", artifact.name, artifact.length_bytes);
    Ok(())
}

/// A missing bucket is another matter than a missing object, where the service says which it is.
fn is_missing(error: &ApiError) -> bool {
    error.cause == Cause::NotFound && error.code.as_deref() != Some("NoSuchBucket")
}

fn seconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
