//! What the service says when a call fails, sorted by what can be done about it.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::future::Future;

/// A call failed, after all its attempts.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of {resource} failed: {message}")]
pub struct ApiError {
    /// The operation, as AWS calls it.
    pub operation: &'static str,
    /// What it was about.
    pub resource: String,
    /// What can be done about it.
    pub cause: Cause,
    /// The code that the service gave, if it said anything.
    pub code: Option<String>,
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What can be done about a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no capacity for this type in this zone: another zone or type may have some.
    Capacity,
    /// The account may not have more of it.
    Quota,
    /// The caller may not do it, or has no credentials any more.
    Permission,
    /// It does not exist, or not yet.
    NotFound,
    /// It exists already.
    Exists,
    /// Something else still needs it.
    InUse,
    /// The service is asked too often.
    Throttled,
    /// What was asked makes no sense to the service.
    Invalid,
    /// The service could not be reached, did not answer in time, or has trouble of its own (a status from 500).
    Unreachable,
    /// A dry run would have succeeded.
    DryRun,
    /// Something else.
    Other,
}

/// What to do without credentials.
const LOG_IN: &str = "log in again (aws sso login), or renew the credentials";

/// Makes one call; an error names `operation` and `resource`.
///
/// # Errors
/// What the service says, or that it says nothing.
pub async fn call<T, E>(
    operation: &'static str,
    resource: &str,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, ApiError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    // A request is tens of kilobytes, and its callers nest: on the stack they would be megabytes.
    let result = Box::pin(request).await;
    let error = match result {
        Ok(output) => {
            tracing::debug!("{operation} of {resource}");
            return Ok(output);
        }
        Err(error) => error,
    };
    let code = error.code().map(str::to_owned);
    let cause = match &error {
        _ if has_no_credentials(&error) => Cause::Permission,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Cause::Unreachable,
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            let is_trouble = error.raw_response().is_some_and(|response| response.status().as_u16() >= 500);
            let cause = Cause::of(code.as_deref().unwrap_or(""));
            if is_trouble && cause == Cause::Other { Cause::Unreachable } else { cause }
        }
        SdkError::ConstructionFailure(_) => Cause::Other,
        // The SDK reserves the right to add kinds.
        _ => Cause::Other,
    };
    let message = match (&code, error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code.clone(),
        (None, _) if has_no_credentials(&error) => format!("{}; {LOG_IN}", causes_of(&error)),
        (None, _) => causes_of(&error),
    };
    tracing::debug!("{operation} of {resource} failed: {message}");
    Err(ApiError {
        operation,
        resource: resource.to_owned(),
        cause,
        code,
        message,
        source: Some(error.into()),
    })
}

impl ApiError {
    /// An answer that says, without an error, that it is not there.
    pub fn not_found(operation: &'static str, resource: &str) -> Self {
        Self { cause: Cause::NotFound, ..Self::incomplete(operation, resource, "such thing") }
    }

    /// An answer without what it must have.
    pub fn incomplete(operation: &'static str, resource: &str, what: &str) -> Self {
        Self {
            operation,
            resource: resource.to_owned(),
            cause: Cause::Other,
            code: None,
            message: format!("the answer has no {what}"),
            source: None,
        }
    }
}

impl Cause {
    /// What a code of EC2, SSM, S3, IAM, CloudFormation or STS means for us. Sources: the pages "Error codes" of the
    /// API references of these services.
    pub(super) fn of(code: &str) -> Self {
        match code {
            "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientCapacity"
            | "InsufficientFreeAddressesInSubnet"
            | "UnfulfillableCapacity"
            | "SpotMaxPriceTooLow"
            | "Unsupported" => Self::Capacity,
            "InstanceLimitExceeded"
            | "VcpuLimitExceeded"
            | "MaxSpotInstanceCountExceeded"
            | "SecurityGroupLimitExceeded"
            | "PlacementGroupLimitExceeded"
            | "ParameterLimitExceeded"
            | "LimitExceeded"
            | "LimitExceededException" => Self::Quota,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "AuthFailure"
            | "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "OptInRequired" => Self::Permission,
            "NoSuchEntity"
            | "NoSuchKey"
            | "NoSuchBucket"
            | "NotFound"
            | "ParameterNotFound"
            | "InvocationDoesNotExist"
            | "InvalidPlacementGroup.Unknown" => Self::NotFound,
            "InvalidGroup.Duplicate"
            | "InvalidPlacementGroup.Duplicate"
            | "AlreadyExistsException"
            | "ParameterAlreadyExists"
            | "BucketAlreadyOwnedByYou"
            | "InvalidPermission.Duplicate" => Self::Exists,
            "DependencyViolation" | "InvalidPlacementGroup.InUse" | "VolumeInUse" | "ResourceInUse" => {
                Self::InUse
            }
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "SlowDown"
            | "RateExceeded" => Self::Throttled,
            "DryRunOperation" => Self::DryRun,
            _ if code.ends_with(".NotFound") || code.ends_with("NotFoundException") => Self::NotFound,
            _ if code.starts_with("Invalid")
                || code == "ValidationError"
                || code == "ValidationException" =>
            {
                Self::Invalid
            }
            _ => Self::Other,
        }
    }
}

/// Whether nothing was sent because there was nobody to sign it: a session that is over, a profile without credentials.
///
/// The SDK makes it a failure to dispatch that is of no kind (`OrchestratorError::into_sdk_error` of
/// aws-smithy-runtime-api). So is what its HTTP client cannot sort (`downcast_error` of aws-smithy-http-client), such as
/// an answer that is no HTTP; that one comes from hyper, whose types have no name here. Credentials that are fetched
/// over a network can fail for its sake, and that passes.
fn has_no_credentials<E>(error: &SdkError<E>) -> bool {
    let SdkError::DispatchFailure(failure) = error else { return false };
    let is_of_no_kind = failure.is_other() && failure.as_other().is_none();
    let mut next = failure.as_connector_error().and_then(Error::source);
    while let Some(cause) = next {
        let is_of_http = format!("{cause:?}").starts_with("hyper");
        if cause.is::<std::io::Error>() || is_of_http || cause.to_string().contains("timed out") {
            return false;
        }
        next = cause.source();
    }
    is_of_no_kind
}

/// An error and what caused it, in one line; the SDK hides what matters in the last of them.
fn causes_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Account;
    use aws_config::credential_process::CredentialProcessProvider;
    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
    use std::io::{Read, Write};
    use std::net::SocketAddr;
    use std::time::Duration;

    #[test]
    fn codes_are_sorted_by_what_can_be_done() {
        for (code, cause) in [
            ("InsufficientInstanceCapacity", Cause::Capacity),
            ("UnfulfillableCapacity", Cause::Capacity),
            ("InsufficientFreeAddressesInSubnet", Cause::Capacity),
            ("VcpuLimitExceeded", Cause::Quota),
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", Cause::Permission),
            ("UnauthorizedOperation", Cause::Permission),
            ("InvalidInstanceID.NotFound", Cause::NotFound),
            ("DependencyViolation", Cause::InUse),
            ("InvalidGroup.Duplicate", Cause::Exists),
            ("InvalidParameterValue", Cause::Invalid),
            ("RequestLimitExceeded", Cause::Throttled),
            ("InternalError", Cause::Other),
            ("", Cause::Other),
        ] {
            assert_eq!(Cause::of(code), cause, "{code}");
        }
    }
    /// A port that nobody listens on.
    fn nobody() -> SocketAddr {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    /// A call to a service that answers once, with this.
    async fn answered(answer: &'static str) -> ApiError {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let good = Credentials::new("key", "secret", None, None, "test");
        let error = refused(port, SharedCredentialsProvider::new(good)).await;
        server.join().unwrap();
        error
    }

    /// What becomes of a call to this port, with these credentials.
    async fn refused(port: SocketAddr, credentials: SharedCredentialsProvider) -> ApiError {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{port}"))
            .credentials_provider(credentials)
            .build();
        let account = Account::of(&config, "us-east-1".to_owned(), Duration::from_millis(10));
        call("DescribeVpcs", "networks", account.ec2.describe_vpcs().send()).await.unwrap_err()
    }

    #[tokio::test]
    async fn credentials_that_are_over_are_no_fault_of_the_network() {
        let over = CredentialProcessProvider::new("echo the session is over >&2; exit 1".to_owned());
        let error = refused(nobody(), SharedCredentialsProvider::new(over)).await;
        assert_eq!(error.cause, Cause::Permission, "{error}");
        assert!(error.to_string().contains("log in again (aws sso login)"), "{error}");
        assert!(error.to_string().contains("the session is over"), "{error}");

        let good = Credentials::new("key", "secret", None, None, "test");
        let error = refused(nobody(), SharedCredentialsProvider::new(good)).await;
        assert_eq!(error.cause, Cause::Unreachable, "{error}");
        assert!(!error.to_string().contains("log in again"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_http_is_no_matter_of_credentials() {
        let error = answered("this is no answer\r\n\r\n").await;
        assert_eq!(error.cause, Cause::Unreachable, "{error}");
        assert!(!error.to_string().contains("log in again"), "{error}");
    }

    #[tokio::test]
    async fn a_service_that_has_trouble_may_be_well_again_a_moment_later() {
        for (answer, cause) in [
            ("503 Service Unavailable\r\ncontent-length: 0", Cause::Unreachable),
            ("500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops", Cause::Unreachable),
            ("418 I am a teapot\r\ncontent-length: 0", Cause::Other),
        ] {
            let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n").leak();
            let error = answered(answer).await;
            assert_eq!(error.cause, cause, "{error}");
        }
    }
}
