//! What is planned, and what is refused.

use super::*;

fn account() -> Account {
    let subnet = |zone: &str| Subnet { id: format!("subnet-{zone}"), zone: format!("us-east-1{zone}") };
    let instance_type = |vcpus, placements: &[Placement]| InstanceType {
        architecture: Architecture::X86_64,
        vcpus,
        placements: placements.to_vec(),
    };
    let all = [Placement::Cluster, Placement::Spread, Placement::Partition];
    Account {
        subnets: vec![subnet("a"), subnet("b")],
        types: [
            ("m.big".to_owned(), instance_type(16, &all)),
            ("old".to_owned(), instance_type(1, &all[1..])),
        ]
        .into(),
        vcpu_quota: Some(128),
    }
}

fn group(count: u16, zones: &[&str]) -> GroupRequest {
    let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
    GroupRequest { count, instance_type: "m.big".to_owned(), zones, placement: Placement::Unspecified }
}

fn request(servers: GroupRequest, clients: GroupRequest) -> Request {
    Request { servers, clients, spot: false, ttl: Duration::from_secs(3600) }
}

#[test]
fn hosts_of_one_kind_are_launched_together() {
    let plan = plan(&request(group(3, &[]), group(2, &["us-east-1b"])), &account()).unwrap();
    let kinds: Vec<_> = plan.kinds.iter().map(|kind| (kind.group.name(), &kind.indices[..])).collect();
    assert_eq!(kinds, [("server", &[0, 1, 2][..]), ("client", &[0, 1])]);
    assert_eq!(plan.kinds[0].zones.len(), 2, "any zone may be taken");
    assert_eq!(plan.kinds[1].zones, [Subnet { id: "subnet-b".into(), zone: "us-east-1b".into() }]);
    assert_eq!((plan.hosts(), plan.vcpus, plan.ttl), (5, 80, Duration::from_secs(3600)));
    assert_eq!(plan.kinds[0].describe(), "3 servers (m.big)");
    assert_eq!(plan.kind_of(Group::Client, 1), Some(&plan.kinds[1]));
    assert_eq!(plan.kind_of(Group::Client, 2), None);
}

#[test]
fn a_zone_for_each_host_makes_a_kind_of_each_zone() {
    let zones = ["us-east-1b", "us-east-1a", "us-east-1b"];
    let plan = plan(&request(group(3, &zones), group(1, &[])), &account()).unwrap();
    let servers: Vec<_> =
        plan.kinds[..2].iter().map(|kind| (kind.zones[0].zone.as_str(), &kind.indices[..])).collect();
    assert_eq!(servers, [("us-east-1a", &[1][..]), ("us-east-1b", &[0, 2])]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |servers, clients| plan(&request(servers, clients), &account()).unwrap_err().to_string();
    let zones = ["us-east-1a", "us-east-1b"];
    for (error, expected) in [
        (
            refused(group(3, &zones), group(1, &[])),
            "--server-az names 2 zones and the scenario has 3 servers",
        ),
        (refused(group(1, &[]), group(1, &["us-east-1z"])), "--client-az us-east-1z: there is no subnet"),
        (
            refused(GroupRequest { instance_type: "x9".into(), ..group(1, &[]) }, group(1, &[])),
            "no instance type x9",
        ),
        (refused(group(8, &[]), group(1, &[])), "the hosts have 144 vCPUs and the account may run 128"),
        (
            refused(
                GroupRequest { instance_type: "old".into(), placement: Placement::Cluster, ..group(1, &[]) },
                group(1, &[]),
            ),
            "cannot be placed so",
        ),
        (
            refused(
                GroupRequest { placement: Placement::Spread, ..group(8, &["us-east-1a"]) },
                group(0, &[]),
            ),
            "8 hosts may come to be spread in zone us-east-1a, at most 7",
        ),
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let nowhere = Account { subnets: vec![], ..account() };
    assert_eq!(plan(&request(group(1, &[]), group(1, &[])), &nowhere), Err(PlanError::NoSubnets));
}

#[test]
fn an_unknown_quota_and_spare_capacity_do_not_limit() {
    let many = request(group(8, &[]), group(8, &[]));
    assert!(plan(&many, &Account { vcpu_quota: None, ..account() }).is_ok());
    assert!(plan(&Request { spot: true, ..many.clone() }, &account()).is_ok());
    assert!(plan(&many, &account()).is_err());
}

#[test]
fn the_quota_is_of_standard_types() {
    for (instance_type, counts) in [
        ("c6i.large", true),
        ("im4gn.large", true),
        ("z1d.metal", true),
        ("g5.xlarge", false),
        ("hpc7g.16xlarge", false),
        ("u-6tb1.metal", false),
    ] {
        assert_eq!(is_standard(instance_type), counts, "{instance_type}");
    }
}
