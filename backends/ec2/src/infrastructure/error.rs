//! Why there is nothing that a run could use.

use crate::api::ApiError;

/// What runs need is not there.
#[derive(Debug, thiserror::Error)]
pub enum InfrastructureError {
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Nobody made it yet, or not here.
    #[error(
        "there is no stack {stack} in {region}: run `runner ec2 setup` first, or name another with --stack or --region"
    )]
    NoStack {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
    },
    /// It is being made, or could not be made.
    #[error(
        "the stack {stack} in {region} is {status}: run `runner ec2 setup`, which waits for it or says what to do"
    )]
    NotReady {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Its state, as CloudFormation calls it.
        status: String,
    },
    /// It is another stack, or one of another version.
    #[error(
        "the stack {stack} in {region} has no output {output}: bring it up to date with `runner ec2 setup`"
    )]
    NoOutput {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Name of the output.
        output: &'static str,
    },
    /// There is no place for hosts.
    #[error(
        "no available subnet with the tag {key}={value} is in {region}{}: run `runner ec2 setup` first",
        vpc.as_ref().map(|vpc| format!(" in the network {vpc}")).unwrap_or_default()
    )]
    NoSubnets {
        /// Key of the tag.
        key: String,
        /// Its value.
        value: String,
        /// Name of the region.
        region: String,
        /// The network that was looked in, if only one was.
        vpc: Option<String>,
    },
    /// It is not clear which network is meant.
    #[error("subnets with the tag {key}={value} are in several networks in {region} ({}): one is expected", vpcs.join(", "))]
    SeveralNetworks {
        /// Key of the tag.
        key: String,
        /// Its value.
        value: String,
        /// Name of the region.
        region: String,
        /// The networks.
        vpcs: Vec<String>,
    },
    /// Hosts would have no rights.
    #[error(
        "the instance profile {profile} cannot be used in {region}: {source}; `runner ec2 setup` brings it back"
    )]
    Profile {
        /// Name of the instance profile.
        profile: String,
        /// Name of the region.
        region: String,
        /// What IAM says.
        source: Box<ApiError>,
    },
    /// Files would have no place.
    #[error(
        "the bucket {bucket} does not answer in {region}: {source}; `runner ec2 setup` brings back a missing one"
    )]
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// Name of the region.
        region: String,
        /// What S3 says.
        source: Box<ApiError>,
    },
    /// The infrastructure is elsewhere.
    #[error(
        "{path} describes infrastructure in {expected}, and the region is {region}: give --region {expected}"
    )]
    OtherRegion {
        /// The file.
        path: String,
        /// The region that the file names.
        expected: String,
        /// The region of the account.
        region: String,
    },
}
