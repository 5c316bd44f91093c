//! What is found, and what is said about what is not, against canned replies.

use super::*;
use crate::stack::canned::{Canned, Reply};
use std::path::Path;

fn stack(status: &str, outputs: &[(&str, &str)]) -> Reply {
    let outputs: String = outputs
        .iter()
        .map(|(key, value)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        })
        .collect();
    Reply::ok(format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>netbench</StackName>\
         <StackId>arn:1</StackId><StackStatus>{status}</StackStatus><Outputs>{outputs}</Outputs></member></Stacks>\
         </DescribeStacksResult></DescribeStacksResponse>"
    ))
}

const OUTPUTS: [(&str, &str); 4] = [
    ("VpcId", "vpc-1"),
    ("BucketName", "files"),
    ("InstanceProfileName", "profile"),
    ("LogGroupName", "/netbench/netbench"),
];

fn subnets(items: &[(&str, &str, &str)], next: &str) -> Reply {
    let items: String = items
        .iter()
        .map(|(id, zone, vpc)| {
            format!(
                "<item><subnetId>{id}</subnetId><availabilityZone>{zone}</availabilityZone><vpcId>{vpc}</vpcId>\
                 <state>available</state></item>"
            )
        })
        .collect();
    Reply::ok(format!(
        "<DescribeSubnetsResponse><subnetSet>{items}</subnetSet>{next}</DescribeSubnetsResponse>"
    ))
}

fn profile() -> Reply {
    Reply::ok(
        "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile><Path>/</Path>\
         <InstanceProfileName>profile</InstanceProfileName><InstanceProfileId>1</InstanceProfileId><Arn>a</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles/></InstanceProfile></GetInstanceProfileResult>\
         </GetInstanceProfileResponse>",
    )
}

fn script() -> Vec<(&'static str, Vec<Reply>)> {
    vec![
        ("DescribeStacks", vec![stack("CREATE_COMPLETE", &OUTPUTS)]),
        (
            "DescribeSubnets",
            vec![
                subnets(&[("subnet-2", "eu-north-1b", "vpc-1")], "<nextToken>more</nextToken>"),
                subnets(&[("subnet-9", "eu-north-1a", "vpc-1"), ("subnet-1", "eu-north-1a", "vpc-1")], ""),
            ],
        ),
        ("GetInstanceProfile", vec![profile()]),
        ("HeadBucket", vec![Reply::status(200)]),
    ]
}

fn with(operation: &'static str, reply: Reply) -> Canned {
    let mut script = script();
    script.retain(|(name, _)| *name != operation);
    script.push((operation, vec![reply]));
    Canned::serve(script)
}

#[tokio::test]
async fn a_stack_is_found_with_one_subnet_of_each_zone() {
    let canned = Canned::serve(script());
    let found = find(&canned.account, "netbench").await.unwrap();
    let expected = Infrastructure {
        vpc: "vpc-1".into(),
        subnets: vec![
            Subnet { id: "subnet-1".into(), zone: "eu-north-1a".into() },
            Subnet { id: "subnet-2".into(), zone: "eu-north-1b".into() },
        ],
        bucket: "files".into(),
        instance_profile: "profile".into(),
        log_group: Some("/netbench/netbench".into()),
    };
    assert_eq!(found, expected);
    let asked = canned.asked().into_iter().find(|one| one.operation == "DescribeSubnets").unwrap();
    assert!(asked.text.contains("tag%3Anetbench-stack") && asked.text.contains("vpc-1"), "{}", asked.text);
}

#[tokio::test]
async fn what_is_missing_is_named_with_region_and_remedy() {
    let absent = Reply::error(400, "ValidationError", "Stack with id netbench does not exist");
    let no_profile = Reply::error(404, "NoSuchEntity", "Instance Profile profile cannot be found.");
    for (operation, reply, expected) in [
        ("DescribeStacks", absent, "there is no stack netbench in eu-north-1: run `runner ec2 setup`"),
        ("DescribeStacks", stack("CREATE_IN_PROGRESS", &[]), "is CREATE_IN_PROGRESS"),
        ("DescribeStacks", stack("CREATE_COMPLETE", &OUTPUTS[..1]), "has no output BucketName"),
        (
            "DescribeSubnets",
            subnets(&[], ""),
            "netbench-stack=netbench is in eu-north-1 in the network vpc-1",
        ),
        ("GetInstanceProfile", no_profile, "the instance profile profile cannot be used in eu-north-1"),
        ("HeadBucket", Reply::status(404), "the bucket files does not answer in eu-north-1"),
        ("HeadBucket", Reply::status(403), "the bucket files does not answer in eu-north-1"),
    ] {
        let canned = with(operation, reply);
        let text = find(&canned.account, "netbench").await.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("runner ec2 setup") && text.contains("eu-north-1"), "{text}");
    }
}

#[tokio::test]
async fn a_refused_call_is_named() {
    let canned = with("DescribeStacks", Reply::error(403, "AccessDenied", "no"));
    let text = find(&canned.account, "netbench").await.unwrap_err().to_string();
    assert!(text.contains("DescribeStacks of stack netbench in eu-north-1 failed"), "{text}");
}

#[tokio::test]
async fn infrastructure_of_the_original_is_found_by_its_tag() {
    let config = CdkConfig {
        path: Path::new("cdk_config.json").to_owned(),
        region: "eu-north-1".into(),
        bucket: "files".into(),
        instance_profile: "profile".into(),
        log_group: None,
        subnet_tag: ("subnet-name".into(), "for-runners".into()),
    };
    let canned = Canned::serve(script());
    let found = config.find(&canned.account).await.unwrap();
    assert_eq!((found.vpc.as_str(), found.subnets.len(), found.log_group), ("vpc-1", 2, None));
    let elsewhere = CdkConfig { region: "us-west-2".into(), ..config.clone() };
    let text = elsewhere.find(&canned.account).await.unwrap_err().to_string();
    assert!(text.contains("give --region us-west-2"), "{text}");
    let two = subnets(&[("subnet-1", "eu-north-1a", "vpc-1"), ("subnet-2", "eu-north-1b", "vpc-2")], "");
    let canned = with("DescribeSubnets", two);
    let text = config.find(&canned.account).await.unwrap_err().to_string();
    assert!(text.contains("in several networks in eu-north-1 (vpc-1, vpc-2)"), "{text}");
}

#[tokio::test]
async fn only_zones_that_can_be_used_are_listed() {
    let zone = |name: &str, kind: &str, state: &str, opted: &str| {
        format!(
            "<item><zoneName>{name}</zoneName><zoneType>{kind}</zoneType><zoneState>{state}</zoneState>\
             <optInStatus>{opted}</optInStatus></item>"
        )
    };
    let listed = [
        zone("eu-north-1c", "availability-zone", "available", "opt-in-not-required"),
        zone("eu-north-1a", "availability-zone", "available", "opted-in"),
        zone("eu-north-1b", "availability-zone", "impaired", "opt-in-not-required"),
        zone("eu-north-1-arn-1a", "local-zone", "available", "opted-in"),
        zone("eu-north-1d", "availability-zone", "available", "not-opted-in"),
    ];
    let body = |zones: String| {
        let set = format!("<availabilityZoneInfo>{zones}</availabilityZoneInfo>");
        Reply::ok(format!("<DescribeAvailabilityZonesResponse>{set}</DescribeAvailabilityZonesResponse>"))
    };
    let canned = Canned::serve(vec![("DescribeAvailabilityZones", vec![body(listed.concat())])]);
    assert_eq!(zones(&canned.account).await.unwrap(), ["eu-north-1a", "eu-north-1c"]);
    let canned = Canned::serve(vec![("DescribeAvailabilityZones", vec![body(String::new())])]);
    let text = zones(&canned.account).await.unwrap_err().to_string();
    assert!(text.contains("region eu-north-1"), "{text}");
}
