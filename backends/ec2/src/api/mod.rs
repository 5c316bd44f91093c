//! The clients of one account in one region, made by one factory.

mod capacity;
mod error;
mod pace;

pub use error::{ApiError, Cause, call};
pub use pace::{Deadline, DeadlinePassed, Pace};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedCredentialsProvider;
use capacity::CapacityIsAnAnswer;
use std::time::Duration;

/// For one attempt of one call. Uploads have limits of their own, by their length.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// For one call with all its attempts.
const CALL_LIMIT: Duration = Duration::from_secs(180);

/// Throttled calls are repeated with back-off; many hosts make many of them.
const ATTEMPTS_MAX: u32 = 8;

/// The first call of all tells whether there is an account; nobody waits long for that.
const FIRST_ATTEMPTS_MAX: u32 = 3;

/// Where to find an account, beyond what the standard AWS configuration says.
#[derive(Clone, Debug, Default)]
pub struct AccountOptions {
    /// Region; else that of the environment or the profile.
    pub region: Option<String>,
    /// Profile; else that of the environment.
    pub profile: Option<String>,
    /// Between two looks at something that takes its time.
    pub poll_interval: Duration,
}

/// An account in one region.
#[derive(Clone, Debug)]
pub struct Account {
    /// Instances, networks, placement groups.
    pub ec2: aws_sdk_ec2::Client,
    /// Commands on hosts, and secrets for them.
    pub ssm: aws_sdk_ssm::Client,
    /// Files for hosts, and from them.
    pub s3: aws_sdk_s3::Client,
    /// Instance profiles.
    pub iam: aws_sdk_iam::Client,
    /// The stack that runs need.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// How much may run at once.
    pub quotas: aws_sdk_servicequotas::Client,
    /// Who we are.
    pub sts: aws_sdk_sts::Client,
    /// What calls are signed with; links are, too, and end with it.
    pub credentials: Option<SharedCredentialsProvider>,
    /// Name of the region.
    pub region: String,
    /// Between two looks at something that takes its time.
    pub poll_interval: Duration,
}

/// There is no account to work with.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody says which region is meant.
    #[error("no region is set: give --region, set AWS_REGION, or set one in the AWS profile")]
    NoRegion,
    /// Nobody says who we are, or what they say is not accepted.
    #[error(
        "the AWS account cannot be used in the region {region}: {source}; check the credentials (aws sts \
         get-caller-identity, aws sso login) and the name of the region (--region, AWS_REGION)"
    )]
    NoCredentials {
        /// Name of the region.
        region: String,
        /// What was said.
        source: Box<ApiError>,
    },
    /// Somebody answers, and cannot say.
    #[error("AWS has trouble of its own: {0}; try again a little later")]
    Trouble(#[source] Box<ApiError>),
    /// Nobody answers for the region.
    #[error(
        "no answer from AWS for the region {region}: {source}; is its name right (--region, AWS_REGION), and is there \
         a way to the internet?"
    )]
    NoAnswer {
        /// Name of the region.
        region: String,
        /// What was tried.
        source: Box<ApiError>,
    },
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Number of the account.
    pub account: String,
    /// Name of the user or role, with its session.
    pub arn: String,
}

impl Account {
    /// Clients by the standard AWS configuration: environment, profiles, SSO, `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// If no region is set.
    pub async fn connect(options: &AccountOptions) -> Result<Self, AccountError> {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_LIMIT).operation_timeout(CALL_LIMIT);
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .timeout_config(timeouts.build());
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let region = config.region().ok_or(AccountError::NoRegion)?.to_string();
        Ok(Self::of(&config, region, options.poll_interval))
    }

    /// Clients by `config`.
    pub(crate) fn of(config: &SdkConfig, region: String, poll_interval: Duration) -> Self {
        let ec2 = aws_sdk_ec2::config::Builder::from(config).retry_classifier(CapacityIsAnAnswer);
        Self {
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            ssm: aws_sdk_ssm::Client::new(config),
            s3: aws_sdk_s3::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            quotas: aws_sdk_servicequotas::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            credentials: config.credentials_provider(),
            region,
            poll_interval,
        }
    }

    /// Who we are; to be asked first, since it tells missing and wrong credentials from everything else.
    ///
    /// # Errors
    /// If there are no credentials, they are not accepted, or nobody answers.
    pub async fn caller(&self) -> Result<Caller, AccountError> {
        let retries = RetryConfig::standard().with_max_attempts(FIRST_ATTEMPTS_MAX);
        let once = aws_sdk_sts::config::Builder::new().retry_config(retries);
        let request = self.sts.get_caller_identity().customize().config_override(once);
        let who = call("GetCallerIdentity", "the caller", request.send()).await;
        let region = self.region.clone();
        let who = who.map_err(Box::new).map_err(|source| match source.cause {
            Cause::Unreachable if source.code.is_none() => AccountError::NoAnswer { region, source },
            Cause::Unreachable | Cause::Throttled => AccountError::Trouble(source),
            Cause::Capacity
            | Cause::Quota
            | Cause::Permission
            | Cause::NotFound
            | Cause::Exists
            | Cause::InUse
            | Cause::Invalid
            | Cause::DryRun
            | Cause::Other => AccountError::NoCredentials { region, source },
        })?;
        let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
        Ok(Caller { account: text(who.account()), arn: text(who.arn()) })
    }
}
