//! Why a stack could not be created or removed.

use super::template::TemplateError;
use crate::api::{ApiError, DeadlinePassed};
use crate::infrastructure::InfrastructureError;

/// A stack could not be created, brought up to date or removed.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The template cannot be made.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The stack is there, and cannot be used all the same.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
    /// Somebody else's stack has this name; it is left alone.
    #[error(
        "the stack {stack} in {region} is not one of netbench (it lacks the tag netbench-stack={stack}): choose another \
         name with --stack"
    )]
    NotOurs {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
    },
    /// CloudFormation neither updates a stack in this state nor creates it anew.
    #[error(
        "the stack {stack} in {region} is {status} and cannot be updated: remove it first with \
         `runner ec2 teardown`, then set it up again"
    )]
    NotUpdatable {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Its state, as CloudFormation calls it.
        status: String,
    },
    /// CloudFormation gave up.
    #[error("the stack {stack} in {region} is {status}: {cause}; {advice}")]
    Failed {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Its state, as CloudFormation calls it.
        status: String,
        /// The first resource that failed, and why.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// It took too long.
    #[error("{passed}: the stack {stack} in {region} is still {status}")]
    Deadline {
        /// The deadline.
        passed: DeadlinePassed,
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Where it stands.
        status: String,
    },
    /// Somebody uses its network.
    #[error("the stack {stack} in {region} is in use: {}; nothing was removed", users.join("; "))]
    InUse {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// Who, and what to do about each of them.
        users: Vec<String>,
    },
    /// An object in the bucket cannot be removed.
    #[error("{key} in the bucket {bucket} cannot be removed: {reason}; the stack was not removed")]
    Object {
        /// Name of the bucket.
        bucket: String,
        /// Key of the object.
        key: String,
        /// Why, as S3 says it.
        reason: String,
    },
    /// The stack is gone, and something of it is not.
    #[error("the stack {stack} in {region} is gone, but not {}: remove it by hand", left.join(", "))]
    Left {
        /// Name of the stack.
        stack: String,
        /// Name of the region.
        region: String,
        /// What is left.
        left: Vec<String>,
    },
}
