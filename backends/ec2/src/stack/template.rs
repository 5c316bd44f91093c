//! The CloudFormation template, as a pure function of the stack's name and the zones.

use super::resource::{Resource, attribute, reference, substitute};
use super::{network, rights, storage};
use crate::names::TAG_STACK;
use serde_json::{Map, Value, json};

/// The output that names the network.
pub const OUTPUT_VPC: &str = "VpcId";
/// The output that names the bucket.
pub const OUTPUT_BUCKET: &str = "BucketName";
/// The output that names the instance profile.
pub const OUTPUT_INSTANCE_PROFILE: &str = "InstanceProfileName";
/// The output that names the log group.
pub const OUTPUT_LOG_GROUP: &str = "LogGroupName";

/// One thing that the stack creates, to be shown before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name within the template, such as `SubnetA`.
    pub id: String,
    /// Its type, as CloudFormation calls it.
    pub kind: &'static str,
    /// What it is and what it is for, in one line.
    pub what: String,
}

/// The template cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A run needs at least one subnet.
    #[error("no availability zone is given: the stack needs at least one")]
    NoZones,
    /// The last letter of a zone decides which part of the network its subnet gets.
    #[error(
        "{0:?} is no availability zone: a name such as us-east-1a, which ends in a letter from a to p, is expected"
    )]
    Zone(String),
    /// Two subnets would get the same part of the network.
    #[error("the zones {0} and {1} cannot both have a subnet: they are the same zone, or of two regions")]
    SameLetter(String, String),
    /// CloudFormation would refuse it.
    #[error(
        "{0:?} cannot be the name of a stack: letters, digits and hyphens are expected, a letter first, at most 128"
    )]
    Name(String),
}

/// The template of the stack `name` with a public subnet in each of `zones`. The same zones give the same template,
/// in whatever order they come, and another zone changes nothing for the others.
///
/// # Errors
/// If `name` or a zone is not acceptable, or there is no zone.
pub fn template(zones: &[String], name: &str) -> Result<Value, TemplateError> {
    let mut described = Map::new();
    for resource in resources(zones, name)? {
        described.insert(resource.id.clone(), resource.into_json(name));
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What netbench runs need: a network, a private bucket, an instance profile, a log group",
        "Resources": described,
        "Outputs": {
            OUTPUT_VPC: { "Value": reference("Vpc") },
            OUTPUT_BUCKET: { "Value": reference("Bucket") },
            OUTPUT_INSTANCE_PROFILE: { "Value": reference("InstanceProfile") },
            OUTPUT_LOG_GROUP: { "Value": reference("LogGroup") },
        },
    }))
}

/// What the stack `name` consists of, in the order of the template.
///
/// # Errors
/// As [`template`].
pub fn plan(zones: &[String], name: &str) -> Result<Vec<Planned>, TemplateError> {
    let resources = resources(zones, name)?.into_iter();
    Ok(resources.map(|Resource { id, kind, what, .. }| Planned { id, kind, what }).collect())
}

fn resources(zones: &[String], name: &str) -> Result<Vec<Resource>, TemplateError> {
    check_name(name)?;
    let mut all = network::resources(zones)?;
    all.extend(storage::resources(name));
    all.extend(rights::resources(&rights::Places {
        bucket: attribute("Bucket", "Arn"),
        log_group: attribute("LogGroup", "Arn"),
        parameters: substitute(
            "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/netbench/*",
        ),
    }));
    Ok(all)
}

fn check_name(name: &str) -> Result<(), TemplateError> {
    let acceptable = name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if acceptable { Ok(()) } else { Err(TemplateError::Name(name.to_owned())) }
}

/// The tag that finds the resources of the stack `name` again.
pub(super) fn tag(name: &str) -> Value {
    json!({ "Key": TAG_STACK, "Value": name })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CloudFormation knows no tags for these.
    const NOT_TAGGABLE: [&str; 5] = [
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::EC2::Route",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::IAM::InstanceProfile",
        "AWS::S3::BucketPolicy",
    ];

    fn zones(letters: &str) -> Vec<String> {
        letters.chars().map(|letter| format!("eu-north-1{letter}")).collect()
    }

    fn resources_of(template: &Value) -> &Map<String, Value> {
        template["Resources"].as_object().unwrap()
    }

    fn of_kind<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
        let all = resources_of(template).iter();
        all.filter(|(_, one)| one["Type"] == kind)
            .map(|(id, one)| (id.as_str(), &one["Properties"]))
            .collect()
    }

    fn statements(template: &Value) -> Vec<Value> {
        let roles = of_kind(template, "AWS::IAM::Role");
        let policies = roles.iter().flat_map(|(_, role)| role["Policies"].as_array().unwrap());
        policies
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap().clone())
            .collect()
    }

    #[test]
    fn every_zone_has_a_public_subnet_with_a_route_to_the_internet() {
        let template = template(&zones("abc"), "netbench").unwrap();
        let subnets = of_kind(&template, "AWS::EC2::Subnet");
        assert_eq!(subnets.len(), 3);
        let associations = of_kind(&template, "AWS::EC2::SubnetRouteTableAssociation");
        for (id, subnet) in &subnets {
            assert_eq!(subnet["MapPublicIpOnLaunch"], true, "{id}");
            assert_eq!(subnet["VpcId"], json!({ "Ref": "Vpc" }), "{id}");
            let routed = associations.iter().filter(|(_, one)| one["SubnetId"] == json!({ "Ref": id }));
            assert_eq!(routed.count(), 1, "{id}");
        }
        let [(_, route)] = of_kind(&template, "AWS::EC2::Route")[..] else { panic!("one route") };
        assert_eq!(route["DestinationCidrBlock"], "0.0.0.0/0");
        assert_eq!(route["GatewayId"], json!({ "Ref": "InternetGateway" }));
        assert_eq!(resources_of(&template)["DefaultRoute"]["DependsOn"], "InternetGatewayAttachment");
    }

    #[test]
    fn another_zone_changes_nothing_for_the_others() {
        let few = template(&zones("ac"), "netbench").unwrap();
        let more = template(&zones("cba"), "netbench").unwrap();
        for (id, resource) in resources_of(&few) {
            assert_eq!(resource, &more["Resources"][id], "{id}");
        }
        assert_eq!(few["Resources"]["SubnetC"]["Properties"]["CidrBlock"], "10.42.32.0/20");
        assert_eq!(template(&zones("ca"), "netbench").unwrap(), few);
    }

    #[test]
    fn everything_that_can_be_tagged_bears_the_name_of_the_stack() {
        let template = template(&zones("ab"), "mine").unwrap();
        for (id, resource) in resources_of(&template) {
            let tags = resource["Properties"]["Tags"].as_array();
            let tagged = tags.is_some_and(|tags| tags.contains(&tag("mine")));
            let kind = resource["Type"].as_str().unwrap();
            assert_eq!(tagged, !NOT_TAGGABLE.contains(&kind), "{id} of {kind}");
        }
    }

    #[test]
    fn hosts_have_the_least_rights() {
        let template = template(&zones("a"), "netbench").unwrap();
        let mut actions = Vec::new();
        for (id, role) in of_kind(&template, "AWS::IAM::Role") {
            assert_eq!(
                role.get("ManagedPolicyArns"),
                None,
                "{id}: nobody here says what such a policy allows"
            );
        }
        for statement in statements(&template) {
            assert_eq!(statement["Effect"], "Allow");
            for action in statement["Action"].as_array().unwrap() {
                let action = action.as_str().unwrap();
                assert!(!action.contains('*'), "{action}");
                actions.push(action.to_owned());
            }
            if statement["Sid"] == "AgentOfCommands" {
                assert_eq!(statement["Resource"], "*");
                continue;
            }
            for resource in statement["Resource"].as_array().unwrap() {
                assert!(resource.is_object(), "made from names of this account, not {resource}");
            }
        }
        actions.sort();
        let expected = [
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
            "kms:Decrypt",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "s3:GetObject",
            "s3:PutObject",
            "ssm:GetParameter",
            "ssm:ListAssociations",
            "ssm:ListInstanceAssociations",
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ];
        assert_eq!(actions, expected);
        let decrypt =
            statements(&template).into_iter().find(|one| one["Action"] == json!(["kms:Decrypt"])).unwrap();
        let via = &decrypt["Condition"]["StringEquals"]["kms:ViaService"];
        assert_eq!(via, &substitute("ssm.${AWS::Region}.amazonaws.com"));
    }

    #[test]
    fn the_bucket_is_private_encrypted_and_forgets() {
        let template = template(&zones("a"), "netbench").unwrap();
        let [(_, bucket)] = of_kind(&template, "AWS::S3::Bucket")[..] else { panic!("one bucket") };
        let block = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert_eq!(block.len(), 4);
        assert!(block.values().all(|on| on == true));
        assert_eq!(bucket["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
        assert!(bucket["BucketEncryption"].is_object());
        let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        let days = |prefix: &str| {
            rules.iter().find(|rule| rule["Prefix"] == prefix).unwrap()["ExpirationInDays"].clone()
        };
        assert_eq!((days("runs/"), days("artifacts/"), days("reports/")), (json!(14), json!(14), json!(90)));
        assert!(rules.iter().any(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1));
        let [(_, policy)] = of_kind(&template, "AWS::S3::BucketPolicy")[..] else { panic!("one policy") };
        let statement = &policy["PolicyDocument"]["Statement"][0];
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(statement["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }));
    }

    #[test]
    fn every_reference_is_to_something_in_the_template() {
        fn check(value: &Value, known: &Map<String, Value>) {
            match value {
                Value::Object(fields) => {
                    if let Some(target) = fields.get("Ref") {
                        assert!(known.contains_key(target.as_str().unwrap()), "{target}");
                    }
                    if let Some(target) = fields.get("Fn::GetAtt") {
                        assert!(known.contains_key(target[0].as_str().unwrap()), "{target}");
                    }
                    fields.values().for_each(|field| check(field, known));
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, known)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let template = template(&zones("abcdefghijklmnop"), "netbench").unwrap();
        check(&template, resources_of(&template));
        // What CreateStack accepts as text.
        assert!(template.to_string().len() <= 51_200, "{}", template.to_string().len());
    }

    #[test]
    fn the_plan_names_all_that_the_template_creates() {
        let planned = plan(&zones("ab"), "netbench").unwrap();
        let template = template(&zones("ab"), "netbench").unwrap();
        assert_eq!(planned.len(), resources_of(&template).len());
        for one in &planned {
            assert_eq!(template["Resources"][&one.id]["Type"], one.kind);
        }
        let lines: Vec<_> = planned.iter().map(|one| one.what.as_str()).collect();
        assert!(lines.contains(&"public subnet 10.42.16.0/20 in eu-north-1b"), "{lines:?}");
    }

    #[test]
    fn what_cannot_be_a_stack_is_refused() {
        assert_eq!(template(&[], "netbench"), Err(TemplateError::NoZones));
        assert_eq!(template(&zones("q"), "netbench"), Err(TemplateError::Zone("eu-north-1q".into())));
        assert_eq!(template(&["é".into()], "netbench"), Err(TemplateError::Zone("é".into())));
        let twice = template(&["eu-north-1a".into(), "us-east-1a".into()], "netbench");
        assert_eq!(twice, Err(TemplateError::SameLetter("eu-north-1a".into(), "us-east-1a".into())));
        for name in ["", "1st", "a_b", "a/b"] {
            assert_eq!(template(&zones("a"), name), Err(TemplateError::Name(name.into())));
        }
    }
}
