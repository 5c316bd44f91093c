//! What is asked of EC2, where hosts are tried, and what is said of those that are not there.

use super::*;
use crate::infrastructure::{Infrastructure, Subnet};
use crate::journal::Journal;
use crate::launch::{RootDevice, Settings, may_launch};
use crate::names::RunNames;
use crate::plan::{Architecture, LaunchPlan};
use crate::steps::fake_service::{FakeService, Reply};
use crate::tags::Tags;

fn zone(letter: char) -> Subnet {
    Subnet { id: format!("subnet-{letter}"), zone: format!("us-east-1{letter}") }
}

fn kind(group: Group, placement: Placement, zones: &str) -> Kind {
    Kind {
        group,
        indices: vec![0],
        instance_type: "c6i.large".to_owned(),
        architecture: Architecture::X86_64,
        placement,
        zones: zones.chars().map(zone).collect(),
    }
}

fn launched(group: Group, letter: char) -> LaunchedHost {
    LaunchedHost { instance: format!("i-{group}"), group, index: 0, zone: zone(letter).zone }
}

/// Everything of a run but the service.
struct Parts {
    infrastructure: Infrastructure,
    names: RunNames,
    tags: Tags,
    plan: LaunchPlan,
    settings: Settings,
    journal: Journal,
    _directory: tempfile::TempDir,
}

impl Parts {
    fn new(spot: bool, root_gib: i32) -> Self {
        let root = RootDevice { name: "/dev/xvda".to_owned(), size_gib: root_gib };
        let text = |text: &str| text.to_owned();
        let directory = tempfile::tempdir().unwrap();
        Self {
            infrastructure: Infrastructure {
                vpc: text("vpc-1"),
                subnets: vec![zone('a'), zone('b')],
                bucket: text("files"),
                instance_profile: text("profile"),
                log_group: None,
            },
            names: RunNames::new("r1".parse().unwrap()),
            tags: Tags {
                run: text("r1"),
                owner: text("me"),
                created: text("2026-11-22T21:55:00Z"),
                expires: text("2026-11-22T22:55:00Z"),
                version: text("1"),
                bucket: text("files"),
            },
            plan: LaunchPlan {
                kinds: vec![kind(Group::Server, Placement::Unspecified, "ab")],
                vcpus: 2,
                spot,
                ttl: Duration::from_secs(3600),
            },
            settings: Settings {
                images: [(Architecture::X86_64, text("ami-1"))].into(),
                roots: [(Architecture::X86_64, root)].into(),
                key_pair: None,
                control_cidrs: vec![],
                ssh_cidrs: vec![],
            },
            journal: Journal::open(directory.path()).unwrap(),
            _directory: directory,
        }
    }

    async fn launch(&self, service: &FakeService) -> Result<Vec<LaunchedHost>, LaunchError> {
        self.launch_unless(service, &Cell::new(false)).await
    }

    async fn launch_unless(
        &self,
        service: &FakeService,
        is_given_up: &Cell<bool>,
    ) -> Result<Vec<LaunchedHost>, LaunchError> {
        let Self { infrastructure, names, tags, plan, settings, journal, _directory } = self;
        let account = &service.account();
        let launch = Launch { account, infrastructure, names, tags, plan, settings, journal };
        launch.launch_kind(0, &plan.kinds[0], "sg-1", is_given_up).await
    }
}

/// A service that refuses the first requests with these codes, and launches a host after that.
fn service(refusals: &'static [&str]) -> FakeService {
    let mut refusals = refusals.iter();
    FakeService::start(move |_| match refusals.next() {
        Some(code) => {
            let error = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            Reply::xml(400, &format!("<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"))
        }
        None => {
            let instance = "<item><instanceId>i-1</instanceId></item>";
            let set = format!("<instancesSet>{instance}</instancesSet>");
            Reply::xml(200, &format!("<RunInstancesResponse>{set}</RunInstancesResponse>"))
        }
    })
}

/// The parameters of each request, decoded as far as tests look at them.
fn asked(service: &FakeService) -> Vec<Vec<String>> {
    let requests = service.requests().into_iter();
    let text = requests.map(|request| String::from_utf8(request.body).unwrap());
    text.map(|text| text.split('&').map(|pair| pair.replace("%2F", "/")).collect()).collect()
}

#[tokio::test]
async fn nothing_is_launched_for_who_has_given_up() {
    let service = service(&[]);
    let error = Parts::new(true, 8).launch_unless(&service, &Cell::new(true)).await.unwrap_err();
    assert_eq!(error.to_string(), "given up before 1 server (c6i.large) was launched");
    assert!(asked(&service).is_empty(), "nothing is asked for");
}

#[tokio::test]
async fn a_host_has_a_public_address_a_root_volume_and_no_second_life() {
    for (own_gib, gib) in [(8, 50), (80, 80)] {
        let service = service(&[]);
        Parts::new(false, own_gib).launch(&service).await.unwrap();
        let [request] = &asked(&service)[..] else { panic!("one request") };
        for expected in [
            "NetworkInterface.1.DeviceIndex=0",
            "NetworkInterface.1.SubnetId=subnet-a",
            "NetworkInterface.1.SecurityGroupId.1=sg-1",
            "NetworkInterface.1.AssociatePublicIpAddress=true",
            "NetworkInterface.1.DeleteOnTermination=true",
            "MaintenanceOptions.AutoRecovery=disabled",
            "BlockDeviceMapping.1.DeviceName=/dev/xvda",
            "BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
            "BlockDeviceMapping.1.Ebs.VolumeType=gp3",
            &format!("BlockDeviceMapping.1.Ebs.VolumeSize={gib}"),
        ] {
            assert!(request.iter().any(|one| one == expected), "{expected} in {request:?}");
        }
        // EC2 refuses the first two beside an interface.
        for absent in ["SubnetId=", "SecurityGroupId.", "DryRun="] {
            assert!(!request.iter().any(|one| one.starts_with(absent)), "{absent} in {request:?}");
        }
    }
}

#[tokio::test]
async fn a_dry_run_asks_for_what_the_launch_asks_for() {
    let (parts, service) = (Parts::new(true, 8), service(&["DryRunOperation"]));
    let Parts { infrastructure, names, tags, plan, settings, .. } = &parts;
    may_launch(&service.account(), infrastructure, (names, tags), plan, settings).await.unwrap();
    parts.launch(&service).await.unwrap();
    let [dry, launch] = &asked(&service)[..] else { panic!("two requests") };
    let only = |of: &[String], other: &[String]| -> Vec<String> {
        // The SDK makes up a token where there is none.
        let parameters = of.iter().filter(|one| !one.starts_with("ClientToken="));
        parameters.filter(|one| !other.contains(one)).cloned().collect()
    };
    assert!(launch.contains(&"ClientToken=r1-0-spot-us-east-1a".to_owned()), "{launch:?}");
    // The security group does not exist before the launch.
    assert_eq!(only(launch, dry), ["NetworkInterface.1.SecurityGroupId.1=sg-1"]);
    assert_eq!(only(dry, launch), ["DryRun=true"]);
}

#[tokio::test]
async fn without_the_role_for_spare_capacity_other_hosts_are_taken() {
    const NO_ROLE: &str = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";
    let spot = service(&[NO_ROLE, NO_ROLE]);
    Parts::new(true, 8).launch(&spot).await.unwrap();
    let is_spot = |request: &Vec<String>| request.iter().any(|one| one.starts_with("InstanceMarketOptions."));
    assert_eq!(asked(&spot).iter().map(is_spot).collect::<Vec<_>>(), [true, true, false]);

    let plain = service(&[NO_ROLE]);
    assert!(matches!(Parts::new(false, 8).launch(&plain).await, Err(LaunchError::Api(_))));
}

#[tokio::test]
async fn a_zone_without_free_addresses_is_passed_over() {
    let hosts = Parts::new(false, 8).launch(&service(&["InsufficientFreeAddressesInSubnet"])).await.unwrap();
    assert_eq!(hosts[0].zone, "us-east-1b");
}

#[test]
fn each_host_is_told_with_what_it_lacks() {
    let seen = |state: &str, private: Option<&str>, public: Option<&str>| {
        let state = aws_sdk_ec2::types::InstanceState::builder().name(InstanceStateName::from(state)).build();
        let instance = Instance::builder().state(state);
        let instance = instance
            .set_private_ip_address(private.map(str::to_owned))
            .set_public_ip_address(public.map(str::to_owned));
        BTreeMap::from([("i-client".to_owned(), instance.build())])
    };
    let host = launched(Group::Client, 'a');
    for (seen, expected) in [
        (BTreeMap::new(), "client i-client is not known to the service yet"),
        (seen("pending", None, None), "client i-client is pending"),
        (seen("running", None, None), "client i-client runs, but has no private address"),
        (seen("running", Some("10.0.0.1"), None), "client i-client runs, but has no public address"),
    ] {
        let Ok(Seen::Lacking(lack)) = host.as_it_is(&seen) else { panic!("{expected}") };
        let words = in_words(&[(&host, lack)]);
        assert_eq!(words[0], expected);
        assert!(words[1].starts_with("try another zone"), "{words:?}");
    }
    let ready = host.as_it_is(&seen("running", Some("10.0.0.1"), Some("192.0.2.1")));
    assert!(matches!(ready, Ok(Seen::Ready(_))));
    assert!(matches!(host.as_it_is(&seen("terminated", None, None)), Err(LaunchError::Died { .. })));
}

#[test]
fn of_many_hosts_some_are_named() {
    let host = launched(Group::Server, 'a');
    let words = in_words(&[(&host, Lack::Start); NAMED_MAX + 2]);
    assert_eq!(words[NAMED_MAX..], ["2 more are not ready", "try another zone or instance type"]);
}

#[test]
fn clusters_that_came_apart_are_warned_about() {
    let both =
        |placement, zones| [kind(Group::Server, placement, zones), kind(Group::Client, placement, zones)];
    let at = |servers, clients| [launched(Group::Server, servers), launched(Group::Client, clients)];
    let open = both(Placement::Cluster, "ab");
    let warning = apart(&open, &at('a', 'b')).unwrap();
    assert!(warning.contains("servers are in us-east-1a, clients in us-east-1b"), "{warning}");
    assert_eq!(apart(&open, &at('b', 'b')), None);
    assert_eq!(apart(&both(Placement::Spread, "ab"), &at('a', 'b')), None);
    let named = [kind(Group::Server, Placement::Cluster, "a"), kind(Group::Client, Placement::Cluster, "b")];
    assert_eq!(apart(&named, &at('a', 'b')), None);
}
