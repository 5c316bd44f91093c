//! What hosts may do: the role of the stack.

use super::resource::{Resource, reference, substitute};
use serde_json::{Value, json};

/// What the rights are about, as values of the template.
pub(super) struct Places {
    /// ARN of the bucket.
    pub(super) bucket: Value,
    /// ARN of the log group's streams.
    pub(super) log_group: Value,
    /// ARN pattern of the parameters of runs.
    pub(super) parameters: Value,
}

/// The role and its instance profile.
pub(super) fn resources(places: &Places) -> [Resource; 2] {
    let role = json!({
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "ec2.amazonaws.com" },
                "Action": "sts:AssumeRole",
            }],
        },
        "Policies": [{
            "PolicyName": "netbench-host",
            "PolicyDocument": { "Version": "2012-10-17", "Statement": statements(places) },
        }],
    });
    [
        Resource::tagged(
            "HostRole",
            "AWS::IAM::Role",
            "role of the hosts: SSM agent, files of runs in the bucket, keys of runs, the log group".into(),
            role,
        ),
        Resource::untagged(
            "InstanceProfile",
            "AWS::IAM::InstanceProfile",
            "instance profile with that role".into(),
            json!({ "Roles": [reference("HostRole")] }),
        ),
    ]
}

fn statements(places: &Places) -> Value {
    let files = |pattern: &str| json!({ "Fn::Join": ["/", [places.bucket, pattern]] });
    json!([
        agent(),
        {
            // It has presigned links to everything else that a host is to get.
            "Sid": "ListOfFiles",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": [files("runs/*/manifest")],
        },
        {
            "Sid": "ResultsAndBuiltPrograms",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": [files("runs/*/hosts/*"), files("artifacts/*")],
        },
        {
            "Sid": "KeysOfRuns",
            "Effect": "Allow",
            "Action": ["ssm:GetParameter"],
            "Resource": [places.parameters],
        },
        {
            // The id of the key that AWS keeps for SSM is not known here; the conditions say what it may be used for.
            "Sid": "DecryptKeysOfRuns",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [substitute("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*")],
            "Condition": {
                "StringEquals": { "kms:ViaService": substitute("ssm.${AWS::Region}.amazonaws.com") },
                "StringLike": { "kms:EncryptionContext:PARAMETER_ARN": places.parameters },
            },
        },
        {
            "Sid": "OutputOfSteps",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            "Resource": [places.log_group],
        },
        {
            // The SSM agent looks for the group in the list of all groups.
            "Sid": "FindTheLogGroup",
            "Effect": "Allow",
            "Action": ["logs:DescribeLogGroups"],
            "Resource": [substitute("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*")],
        },
    ])
}

/// What the SSM agent needs to run commands. The managed policy AmazonSSMManagedInstanceCore has that too, and beside it
/// every parameter of the account, and what patches, inventory, compliance and associations need. A command comes to the
/// agent with its document, so the agent reads none; it asks for the associations of its host all the same, and there
/// are none. Which of the two services of messages an agent uses depends on its version
/// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html>).
///
/// The services of messages know no resources, and the ids of the hosts are not known here; so all of it is allowed on
/// everything, as in the managed policy.
fn agent() -> Value {
    json!({
        "Sid": "AgentOfCommands",
        "Effect": "Allow",
        "Action": [
            "ssm:UpdateInstanceInformation",
            "ssm:ListAssociations",
            "ssm:ListInstanceAssociations",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
        ],
        "Resource": "*",
    })
}
