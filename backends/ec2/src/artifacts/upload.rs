//! Files into the bucket.

use super::artifact::{Artifact, Place};
use super::digest::Digest;
use super::error::ArtifactError;
use super::read::head;
use crate::api::{Account, ApiError, call};
use crate::names::RunNames;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::TryStreamExt as _;
use futures_util::stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// Uploads at a time. More do not make one link faster, and each holds a connection.
const AT_ONCE: usize = 8;

/// What lies in the bucket for longer is uploaded anew, so that its expiry does not strike in the middle of a run.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// For an upload: this, and a second for each [`SLOW_BYTES_PER_S`].
const UPLOAD_LIMIT: Duration = Duration::from_secs(60);

/// The slowest line that is waited for.
pub(super) const SLOW_BYTES_PER_S: u64 = 64 * 1024;

/// An object that is to be put into the bucket.
#[derive(Debug)]
pub(crate) struct Put<'a> {
    /// Its name.
    pub(crate) key: &'a str,
    /// What is in it.
    pub(crate) body: ByteStream,
    /// The length of that, in bytes.
    pub(crate) length_bytes: u64,
    /// What it is, as HTTP has it.
    pub(crate) content_type: Option<&'static str>,
    /// Whether caches must ask each time.
    pub(crate) is_changing: bool,
    /// Other bytes are refused by the service.
    pub(crate) sha256: Option<Digest>,
    /// For one attempt: this, and a second for each [`SLOW_BYTES_PER_S`].
    pub(crate) limit: Duration,
    /// How often it is tried, if not as often as everything else.
    pub(crate) attempts_max: Option<u32>,
}

impl<'a> Put<'a> {
    fn new(key: &'a str, body: ByteStream, length_bytes: u64) -> Self {
        Self {
            key,
            body,
            length_bytes,
            content_type: None,
            is_changing: false,
            sha256: None,
            limit: UPLOAD_LIMIT,
            attempts_max: None,
        }
    }

    /// `bytes`, under the name `key`.
    pub(crate) fn of_bytes(key: &'a str, bytes: Vec<u8>) -> Self {
        let length_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(key, ByteStream::from(bytes), length_bytes)
    }

    /// How long one attempt may take.
    pub(crate) fn attempt_limit(&self) -> Duration {
        self.limit + Duration::from_secs(self.length_bytes / SLOW_BYTES_PER_S)
    }
}

/// Puts an object into `bucket`: who reads it sees the old one or the new one.
///
/// # Errors
/// If the service refuses, or does not answer in time.
pub(crate) async fn put(account: &Account, bucket: &str, put: Put<'_>) -> Result<(), ApiError> {
    let limit = put.attempt_limit();
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(limit).operation_timeout(limit * 3).build();
    let mut config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts);
    if let Some(attempts) = put.attempts_max {
        config = config.retry_config(RetryConfig::standard().with_max_attempts(attempts));
    }
    let request = account.s3.put_object().bucket(bucket).key(put.key).body(put.body);
    let request = request
        .set_content_type(put.content_type.map(str::to_owned))
        .set_cache_control(put.is_changing.then(|| "no-cache".to_owned()))
        .set_checksum_sha256(put.sha256.map(|digest| digest.base64()));
    let request = request.customize().config_override(config);
    call("PutObject", &format!("s3://{bucket}/{}", put.key), request.send()).await.map(drop)
}

/// Uploads those of `artifacts` that runs share and that `bucket` does not have. Bytes that differ from the digest,
/// because the file has changed since, are refused by the service.
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
    let key = names.manifest();
    let put =
        Put { content_type: Some("text/plain; charset=utf-8"), ..Put::of_bytes(&key, text.into_bytes()) };
    Ok(self::put(account, bucket, put).await?)
}

/// Whether an object is there, is whole, and will be there for a while.
async fn has_fresh(
    account: &Account,
    bucket: &str,
    key: &str,
    length_bytes: u64,
) -> Result<bool, ArtifactError> {
    let there = head(account, bucket, key).await?;
    Ok(there.is_some_and(|(age, length)| length == Some(length_bytes) && age < FRESH))
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
    let put = Put { sha256: Some(artifact.digest), ..Put::new(key, body, artifact.length_bytes) };
    self::put(account, bucket, put).await?;
    tracing::info!("uploaded {} ({} bytes)", artifact.name, artifact.length_bytes);
    Ok(())
}
