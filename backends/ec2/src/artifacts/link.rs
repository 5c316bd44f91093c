//! Links with which anybody can read an object, for a while.

use super::error::ArtifactError;
use crate::api::Account;
use aws_sdk_s3::config::ProvideCredentials;
use aws_sdk_s3::presigning::PresigningConfig;
use std::time::{Duration, SystemTime};

/// How long a link can last at most
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>).
pub const LINK_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// For the credentials to be there.
const CREDENTIALS_LIMIT: Duration = Duration::from_secs(10);

/// An address under which anybody can read an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub url: String,
    /// When it ends.
    pub until: SystemTime,
    /// Whether it was made with credentials whose expiry is unknown; the link ends with them.
    pub may_end_earlier: bool,
}

impl Link {
    /// Whether it ends sooner than that, as far as is known.
    pub fn lasts_less_than(&self, needed: Duration) -> bool {
        self.until < SystemTime::now() + needed
    }
}

/// A link to an object for `life`, [`LINK_LIFE_MAX`] at most, or until the credentials expire that it was made with. The
/// object need not be there yet.
///
/// # Errors
/// If it cannot be signed.
pub async fn link(account: &Account, bucket: &str, key: &str, life: Duration) -> Result<Link, ArtifactError> {
    let unsigned = |cause: String| ArtifactError::Unsigned { key: key.to_owned(), cause };
    let credentials = match &account.credentials {
        Some(provider) => tokio::time::timeout(CREDENTIALS_LIMIT, provider.provide_credentials()).await.ok(),
        None => None,
    };
    let now = SystemTime::now();
    let (life, may_end_earlier) = match credentials.and_then(Result::ok) {
        // What is signed with credentials that have expired is refused.
        Some(credentials) => match credentials.expiry() {
            Some(end) => (end.duration_since(now).unwrap_or_default().min(life), false),
            None => (life, credentials.session_token().is_some()),
        },
        None => (life, true),
    };
    // A link lasts for whole seconds.
    let life = Duration::from_secs(life.as_secs().max(1));
    let config = PresigningConfig::builder().start_time(now).expires_in(life).build();
    let config = config.map_err(|error| unsigned(error.to_string()))?;
    let request = account.s3.get_object().bucket(bucket).key(key).presigned(config).await;
    let request = request.map_err(|error| unsigned(error.to_string()))?;
    Ok(Link { url: request.uri().to_owned(), until: now + life, may_end_earlier })
}
