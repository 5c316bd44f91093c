//! The bucket and the log group of the stack.

use super::resource::{Resource, attribute, reference};
use serde_json::{Value, json};

/// For what a run and its `resume` need, for programs that later runs may use, and for results that were not fetched.
pub(crate) const RUNS_KEPT_DAYS: u32 = 14;

/// For copies of reports, which are linked from elsewhere.
const REPORTS_KEPT_DAYS: u32 = 90;

/// For the output of steps.
const LOGS_KEPT_DAYS: u32 = 30;

/// The bucket with its policy, and the log group of the stack `name`.
pub(super) fn resources(name: &str) -> [Resource; 3] {
    [
        Resource::tagged(
            "Bucket",
            "AWS::S3::Bucket",
            format!(
                "private bucket, encrypted; runs and artifacts expire after {RUNS_KEPT_DAYS} days, reports after \
                 {REPORTS_KEPT_DAYS}"
            ),
            bucket(),
        ),
        Resource::untagged(
            "BucketPolicy",
            "AWS::S3::BucketPolicy",
            "policy of the bucket: no unencrypted connections".into(),
            bucket_policy(),
        ),
        Resource::tagged(
            "LogGroup",
            "AWS::Logs::LogGroup",
            format!("log group /netbench/{name} for the output of steps, kept for {LOGS_KEPT_DAYS} days"),
            json!({ "LogGroupName": format!("/netbench/{name}"), "RetentionInDays": LOGS_KEPT_DAYS }),
        ),
    ]
}

/// It has no name of its own: bucket names are shared with the whole world, and CloudFormation finds a free one.
fn bucket() -> Value {
    json!({
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": true,
            "BlockPublicPolicy": true,
            "IgnorePublicAcls": true,
            "RestrictPublicBuckets": true,
        },
        "OwnershipControls": { "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] },
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                { "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } },
            ],
        },
        "LifecycleConfiguration": {
            "Rules": [
                expiry("runs", RUNS_KEPT_DAYS),
                expiry("artifacts", RUNS_KEPT_DAYS),
                expiry("reports", REPORTS_KEPT_DAYS),
                {
                    "Id": "incomplete-uploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
                },
            ],
        },
    })
}

fn expiry(folder: &str, days: u32) -> Value {
    json!({ "Id": folder, "Status": "Enabled", "Prefix": format!("{folder}/"), "ExpirationInDays": days })
}

fn bucket_policy() -> Value {
    let bucket = attribute("Bucket", "Arn");
    let objects = json!({ "Fn::Join": ["", [bucket, "/*"]] });
    json!({
        "Bucket": reference("Bucket"),
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "OnlyEncryptedConnections",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, objects],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            }],
        },
    })
}
