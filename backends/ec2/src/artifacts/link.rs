//! Links with which anybody can read an object, for a while.

use super::error::ArtifactError;
use crate::api::Account;
use aws_sdk_s3::Client;
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

/// Signs links, all with the same credentials, so that their end is known.
#[derive(Debug)]
pub struct Signer {
    s3: Client,
    /// The end of the credentials, if they tell.
    end: Option<SystemTime>,
    /// Whether they may end without having told.
    may_end_earlier: bool,
}

impl Signer {
    /// With the credentials that `account` has now.
    pub async fn new(account: &Account) -> Self {
        let credentials = match &account.credentials {
            Some(provider) => {
                tokio::time::timeout(CREDENTIALS_LIMIT, provider.provide_credentials()).await.ok()
            }
            None => None,
        };
        match credentials.and_then(Result::ok) {
            Some(credentials) => {
                let end = credentials.expiry();
                let may_end_earlier = end.is_none() && credentials.session_token().is_some();
                // The client itself may sign with older ones, which it keeps until they end.
                let config = account.s3.config().to_builder().credentials_provider(credentials);
                Self { s3: Client::from_conf(config.build()), end, may_end_earlier }
            }
            None => Self { s3: account.s3.clone(), end: None, may_end_earlier: true },
        }
    }

    /// A link to an object for `life`, [`LINK_LIFE_MAX`] at most, or until the credentials end. The object need not be
    /// there yet.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn link(&self, bucket: &str, key: &str, life: Duration) -> Result<Link, ArtifactError> {
        let unsigned = |cause: String| ArtifactError::Unsigned { key: key.to_owned(), cause };
        let now = SystemTime::now();
        // What is signed with credentials that have expired is refused.
        let life = self.end.map_or(life, |end| end.duration_since(now).unwrap_or_default().min(life));
        // A link lasts for whole seconds.
        let life = Duration::from_secs(life.as_secs().max(1));
        let config = PresigningConfig::builder().start_time(now).expires_in(life).build();
        let config = config.map_err(|error| unsigned(error.to_string()))?;
        let request = self.s3.get_object().bucket(bucket).key(key).presigned(config).await;
        let request = request.map_err(|error| unsigned(error.to_string()))?;
        Ok(Link { url: request.uri().to_owned(), until: now + life, may_end_earlier: self.may_end_earlier })
    }
}
