//! The ways of a stack, against canned replies.

use super::canned::{Canned, Reply};
use super::create::create_within;
use super::delete::{Limits, delete_within};
use super::{StackError, create, delete};
use std::time::Duration;

type Script = Vec<(&'static str, Vec<Reply>)>;

fn zones() -> Vec<String> {
    vec!["eu-north-1a".to_owned()]
}

fn stack(status: &str) -> Reply {
    tagged(status, "netbench")
}

fn tagged(status: &str, tag: &str) -> Reply {
    let output = |key: &str, value: &str| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs = [
        output("VpcId", "vpc-1"),
        output("BucketName", "files"),
        output("InstanceProfileName", "profile"),
        output("LogGroupName", "/netbench/netbench"),
    ];
    Reply::ok(format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>netbench</StackName>\
         <StackId>arn:netbench/1</StackId><StackStatus>{status}</StackStatus><Outputs>{}</Outputs>\
         <Tags><member><Key>netbench-stack</Key><Value>{tag}</Value></member></Tags></member></Stacks>\
         </DescribeStacksResult></DescribeStacksResponse>",
        outputs.concat()
    ))
}

fn absent() -> Reply {
    Reply::error(400, "ValidationError", "Stack with id netbench does not exist")
}

/// Events as CloudFormation lists them, newest first: id, resource, status, reason.
fn events(events: &[(&str, &str, &str, &str)], next: &str) -> Reply {
    let members: String = events
        .iter()
        .map(|(id, resource, status, reason)| {
            format!(
                "<member><EventId>{id}</EventId><LogicalResourceId>{resource}</LogicalResourceId>\
                 <PhysicalResourceId>{resource}-1</PhysicalResourceId><ResourceType>AWS::{resource}</ResourceType>\
                 <ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason></member>"
            )
        })
        .collect();
    Reply::ok(format!(
        "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>{members}</StackEvents>{next}\
         </DescribeStackEventsResult></DescribeStackEventsResponse>"
    ))
}

fn started(operation: &str) -> Reply {
    Reply::ok(format!(
        "<{operation}Response><{operation}Result><StackId>arn:netbench/1</StackId></{operation}Result>\
         </{operation}Response>"
    ))
}

fn list(operation: &str, set: &str, items: &str) -> Reply {
    Reply::ok(format!("<{operation}Response><{set}>{items}</{set}></{operation}Response>"))
}

/// What [`crate::infrastructure::find`] asks for.
fn usable() -> Script {
    let subnet = "<item><subnetId>subnet-1</subnetId><availabilityZone>eu-north-1a</availabilityZone>\
                  <vpcId>vpc-1</vpcId><state>available</state></item>";
    let profile = "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile><Path>/</Path>\
                   <InstanceProfileName>profile</InstanceProfileName><InstanceProfileId>1</InstanceProfileId>\
                   <Arn>a</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles/></InstanceProfile>\
                   </GetInstanceProfileResult></GetInstanceProfileResponse>";
    vec![
        ("DescribeSubnets", vec![list("DescribeSubnets", "subnetSet", subnet)]),
        ("GetInstanceProfile", vec![Reply::ok(profile)]),
        ("HeadBucket", vec![Reply::status(200)]),
    ]
}

async fn created(script: Script) -> (Canned, Result<(), StackError>, Vec<String>) {
    let canned = Canned::serve(usable().into_iter().chain(script).collect());
    let mut lines = Vec::new();
    let result = create(&canned.account, "netbench", &zones(), &mut |line| lines.push(line.to_owned())).await;
    let result = result.map(|found| assert_eq!(found.bucket, "files"));
    (canned, result, lines)
}

#[tokio::test]
async fn a_new_stack_is_created_and_each_resource_told_once() {
    let more = "<NextToken>more</NextToken>";
    let (canned, result, lines) = created(vec![
        ("DescribeStacks", vec![absent(), stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")]),
        ("CreateStack", vec![started("CreateStack")]),
        (
            "DescribeStackEvents",
            vec![
                events(&[("2", "Vpc", "CREATE_COMPLETE", "")], more),
                events(&[("1", "Vpc", "CREATE_IN_PROGRESS", "")], ""),
                events(&[("3", "Bucket", "CREATE_COMPLETE", ""), ("2", "Vpc", "CREATE_COMPLETE", "")], more),
            ],
        ),
    ])
    .await;
    result.unwrap();
    assert_eq!(
        lines,
        ["creating the stack netbench in eu-north-1", "created: Vpc Vpc-1", "created: Bucket Bucket-1"]
    );
    assert_eq!(canned.count("DescribeStackEvents"), 3, "what was seen is not asked for again");
    let asked = canned.asked().into_iter().find(|one| one.operation == "CreateStack").unwrap().text;
    for expected in ["CAPABILITY_IAM", "netbench-create-", "Tags.member.1.Key=netbench-stack", "SubnetA"] {
        assert!(asked.contains(expected), "{expected} is not in {asked}");
    }
}

#[tokio::test]
async fn a_stack_that_is_up_to_date_stays_as_it_is() {
    let (canned, result, lines) = created(vec![
        ("DescribeStacks", vec![stack("UPDATE_COMPLETE")]),
        ("DescribeStackEvents", vec![events(&[("1", "Vpc", "CREATE_COMPLETE", "")], "")]),
        ("UpdateStack", vec![Reply::error(400, "ValidationError", "No updates are to be performed.")]),
    ])
    .await;
    result.unwrap();
    assert_eq!(lines, ["the stack netbench in eu-north-1 is up to date"]);
    assert_eq!(canned.count("CreateStack"), 0);
}

#[tokio::test]
async fn an_older_stack_is_updated_and_old_events_are_no_news() {
    let (_, result, lines) = created(vec![
        (
            "DescribeStacks",
            vec![stack("CREATE_COMPLETE"), stack("UPDATE_IN_PROGRESS"), stack("UPDATE_COMPLETE")],
        ),
        (
            "DescribeStackEvents",
            vec![
                events(&[("1", "Vpc", "CREATE_COMPLETE", "")], ""),
                events(&[("2", "Bucket", "UPDATE_COMPLETE", ""), ("1", "Vpc", "CREATE_COMPLETE", "")], ""),
            ],
        ),
        ("UpdateStack", vec![started("UpdateStack")]),
    ])
    .await;
    result.unwrap();
    assert_eq!(lines, ["updating the stack netbench in eu-north-1", "updated: Bucket Bucket-1"]);
}

#[tokio::test]
async fn an_interrupted_setup_is_waited_for() {
    let (canned, result, lines) = created(vec![
        (
            "DescribeStacks",
            vec![stack("CREATE_IN_PROGRESS"), stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")],
        ),
        ("DescribeStackEvents", vec![events(&[("1", "Vpc", "CREATE_COMPLETE", "")], "")]),
        ("UpdateStack", vec![Reply::error(400, "ValidationError", "No updates are to be performed.")]),
    ])
    .await;
    result.unwrap();
    assert_eq!(lines[1], "created: Vpc Vpc-1");
    assert_eq!(canned.count("CreateStack"), 0);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_goes_on() {
    let (_, result, _) = created(vec![
        ("DescribeStacks", vec![absent(), stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")]),
        ("CreateStack", vec![Reply::error(400, "AlreadyExistsException", "Stack [netbench] already exists")]),
        ("DescribeStackEvents", vec![events(&[], "")]),
    ])
    .await;
    result.unwrap();
}

#[tokio::test]
async fn a_failed_creation_names_the_first_resource_that_failed() {
    let (_, result, lines) = created(vec![
        ("DescribeStacks", vec![absent(), stack("ROLLBACK_IN_PROGRESS"), stack("ROLLBACK_COMPLETE")]),
        ("CreateStack", vec![started("CreateStack")]),
        (
            "DescribeStackEvents",
            vec![events(
                &[
                    ("4", "Bucket", "DELETE_FAILED", "also this"),
                    ("3", "HostRole", "CREATE_FAILED", "not allowed to iam:CreateRole"),
                    ("2", "Vpc", "CREATE_FAILED", "Resource creation cancelled"),
                ],
                "",
            )],
        ),
    ])
    .await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("netbench in eu-north-1 is ROLLBACK_COMPLETE"), "{text}");
    assert!(text.contains("HostRole (AWS::HostRole): not allowed to iam:CreateRole"), "{text}");
    assert!(text.contains("runner ec2 teardown"), "{text}");
    assert_eq!(lines[1], "failed: HostRole (AWS::HostRole): not allowed to iam:CreateRole");
}

#[tokio::test]
async fn a_stack_that_cannot_be_updated_is_to_be_removed_first() {
    let (canned, result, _) = created(vec![("DescribeStacks", vec![stack("ROLLBACK_COMPLETE")])]).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("is ROLLBACK_COMPLETE and cannot be updated: remove it first"), "{text}");
    assert_eq!(canned.count("UpdateStack") + canned.count("CreateStack"), 0);
}

#[tokio::test]
async fn the_stack_of_somebody_else_is_left_alone() {
    let (canned, result, _) =
        created(vec![("DescribeStacks", vec![tagged("CREATE_COMPLETE", "other")])]).await;
    assert!(matches!(result, Err(StackError::NotOurs { .. })), "{result:?}");
    let result = delete(&canned.account, "netbench", &mut |_| {}).await;
    assert!(matches!(result, Err(StackError::NotOurs { .. })), "{result:?}");
    assert!(canned.asked().iter().all(|one| one.operation == "DescribeStacks"));
}

#[tokio::test]
async fn a_creation_that_takes_too_long_ends_with_its_deadline() {
    let canned = Canned::serve(vec![
        ("DescribeStacks", vec![absent(), stack("CREATE_IN_PROGRESS")]),
        ("CreateStack", vec![started("CreateStack")]),
        ("DescribeStackEvents", vec![events(&[], "")]),
    ]);
    let limit = Duration::from_millis(50);
    let result = create_within(limit, &canned.account, "netbench", &zones(), &mut |_| {}).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("deadline 'stack created'") && text.contains("CREATE_IN_PROGRESS"), "{text}");
}

/// A stack that can be removed: a bucket with two listings, and nothing left afterwards.
fn removable() -> Script {
    let part = |kind: &str, id: &str| {
        format!(
            "<member><ResourceType>{kind}</ResourceType><PhysicalResourceId>{id}</PhysicalResourceId>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        )
    };
    let parts = [
        part("AWS::EC2::VPC", "vpc-1"),
        part("AWS::S3::Bucket", "files"),
        part("AWS::IAM::InstanceProfile", "profile"),
    ];
    let parts = format!(
        "<DescribeStackResourcesResponse><DescribeStackResourcesResult><StackResources>{}</StackResources>\
         </DescribeStackResourcesResult></DescribeStackResourcesResponse>",
        parts.concat()
    );
    let versions = |items: &str| Reply::ok(format!("<ListVersionsResult>{items}</ListVersionsResult>"));
    let version =
        |kind: &str, key: &str| format!("<{kind}><Key>{key}</Key><VersionId>7</VersionId></{kind}>");
    let default = "<item><groupId>sg-1</groupId><groupName>default</groupName></item>";
    vec![
        (
            "DescribeStacks",
            vec![stack("CREATE_COMPLETE"), stack("DELETE_IN_PROGRESS"), stack("DELETE_COMPLETE")],
        ),
        ("DescribeStackResources", vec![Reply::ok(parts)]),
        ("DescribeInstances", vec![list("DescribeInstances", "reservationSet", "")]),
        ("DescribeSecurityGroups", vec![list("DescribeSecurityGroups", "securityGroupInfo", default)]),
        (
            "ListObjectVersions",
            vec![
                versions(&(version("Version", "runs/1") + &version("DeleteMarker", "runs/1"))),
                versions(&version("Version", "artifacts/2")),
                versions(""),
            ],
        ),
        ("DeleteObjects", vec![Reply::ok("<DeleteResult/>")]),
        (
            "DescribeStackEvents",
            vec![
                events(&[("1", "Vpc", "CREATE_COMPLETE", "")], ""),
                events(&[("2", "Vpc", "DELETE_COMPLETE", ""), ("1", "Vpc", "CREATE_COMPLETE", "")], ""),
            ],
        ),
        ("DeleteStack", vec![Reply::ok("<DeleteStackResponse/>")]),
        ("DescribeSubnets", vec![list("DescribeSubnets", "subnetSet", "")]),
        ("DescribeRouteTables", vec![list("DescribeRouteTables", "routeTableSet", "")]),
        ("DescribeInternetGateways", vec![list("DescribeInternetGateways", "internetGatewaySet", "")]),
        ("DescribeVpcs", vec![list("DescribeVpcs", "vpcSet", "")]),
        ("HeadBucket", vec![Reply::status(404)]),
        ("GetInstanceProfile", vec![Reply::error(404, "NoSuchEntity", "gone")]),
    ]
}

async fn deleted(changes: Script) -> (Canned, Result<(), StackError>, Vec<String>) {
    let canned = Canned::serve(removable().into_iter().chain(changes).collect());
    let limits = Limits { deleted: Duration::from_secs(10), nothing_left: Duration::from_millis(50) };
    let mut lines = Vec::new();
    let result =
        delete_within(&limits, &canned.account, "netbench", &mut |line| lines.push(line.to_owned())).await;
    (canned, result, lines)
}

#[tokio::test]
async fn a_stack_is_removed_with_all_that_is_in_its_bucket() {
    let (canned, result, lines) = deleted(vec![]).await;
    result.unwrap();
    let expected = [
        "bucket files is empty: 3 objects removed",
        "removing the stack netbench in eu-north-1",
        "removed: Vpc Vpc-1",
        "nothing of the stack netbench is left in eu-north-1",
    ];
    assert_eq!(lines, expected);
    assert_eq!(canned.count("DeleteObjects"), 2);
}

#[tokio::test]
async fn a_network_in_use_stays_and_its_runs_are_named() {
    let instance = "<item><instancesSet><item><instanceId>i-1</instanceId><tagSet><item><key>netbench-run</key>\
                    <value>20261122-225500-1a2b</value></item></tagSet></item></instancesSet></item>";
    let (canned, result, _) =
        deleted(vec![("DescribeInstances", vec![list("DescribeInstances", "reservationSet", instance)])])
            .await;
    let text = result.unwrap_err().to_string();
    assert!(
        text.contains("`runner ec2 destroy 20261122-225500-1a2b --region eu-north-1` (instance i-1)"),
        "{text}"
    );
    assert_eq!(canned.count("DeleteObjects") + canned.count("DeleteStack"), 0);
}

#[tokio::test]
async fn a_stack_that_is_gone_is_fine() {
    let (canned, result, _) = deleted(vec![("DescribeStacks", vec![absent()])]).await;
    result.unwrap();
    assert_eq!(canned.count("DeleteStack"), 0);
    assert_eq!(canned.count("DescribeVpcs"), 1, "it is looked for all the same");
}

#[tokio::test]
async fn a_stack_that_is_being_created_is_removed_once_that_is_done() {
    let ways = ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE", "DELETE_COMPLETE"];
    let (canned, result, lines) = deleted(vec![("DescribeStacks", ways.map(stack).to_vec())]).await;
    result.unwrap();
    assert_eq!(lines[0], "the stack netbench is CREATE_IN_PROGRESS: waiting until that is done");
    let asked: Vec<_> = canned.asked().into_iter().map(|one| one.operation).collect();
    let first = asked.iter().position(|one| one == "DescribeStackResources").unwrap();
    let settled = asked[..first].iter().filter(|one| *one == "DescribeStacks").count();
    assert_eq!(settled, 3, "its parts are only known when it is complete: {asked:?}");
}

#[tokio::test]
async fn a_removal_that_takes_too_long_ends_with_its_deadline() {
    let never: Script = vec![
        ("DescribeStacks", vec![stack("CREATE_COMPLETE"), stack("DELETE_IN_PROGRESS")]),
        ("ListObjectVersions", vec![Reply::ok("<ListVersionsResult/>")]),
    ];
    let canned = Canned::serve(removable().into_iter().chain(never).collect());
    let limit = Duration::from_millis(50);
    let limits = Limits { deleted: limit, nothing_left: limit };
    let result = delete_within(&limits, &canned.account, "netbench", &mut |_| {}).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("deadline 'stack deleted'") && text.contains("DELETE_IN_PROGRESS"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_removed_is_named() {
    let refused = "<DeleteResult><Error><Key>runs/1</Key><Code>AccessDenied</Code><Message>locked</Message></Error>\
                   </DeleteResult>";
    let failed =
        events(&[("2", "Vpc", "DELETE_FAILED", "has dependencies"), ("1", "Vpc", "CREATE_COMPLETE", "")], "");
    let vpc = "<item><vpcId>vpc-1</vpcId></item>";
    let status = vec![stack("CREATE_COMPLETE"), stack("DELETE_FAILED")];
    for (changes, expected) in [
        (
            vec![("DeleteObjects", vec![Reply::ok(refused)])],
            "runs/1 in the bucket files cannot be removed: locked",
        ),
        (
            vec![("DescribeStacks", status), ("DescribeStackEvents", vec![events(&[], ""), failed])],
            "is DELETE_FAILED: Vpc (AWS::Vpc): has dependencies",
        ),
        (
            vec![
                ("DescribeVpcs", vec![list("DescribeVpcs", "vpcSet", vpc)]),
                ("HeadBucket", vec![Reply::status(200)]),
            ],
            "is gone, but not network vpc-1, bucket files",
        ),
    ] {
        let (_, result, _) = deleted(changes).await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}
