//! What a run will create, before anything is created: a pure function from what was asked and what the account has.

mod error;
mod resources;

pub use error::PlanError;
pub use resources::Resource;

use crate::infrastructure::Subnet;
use russula_proto::Group;
use std::collections::BTreeMap;
use std::time::Duration;

/// How instances are placed on the hardware of a zone
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Close together, for low latency and high throughput between them.
    Cluster,
    /// Each on hardware of its own; at most seven in a zone.
    Spread,
    /// In partitions that share no hardware.
    Partition,
    /// Wherever there is room.
    Unspecified,
}

/// Instances of a spread placement group in one zone, at most; source: the page above.
const SPREAD_MAX: usize = 7;

/// What was asked for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// How many hosts the scenario has.
    pub count: u16,
    /// Instance type.
    pub instance_type: String,
    /// Zones: none for any, one for all hosts, or one for each host in order.
    pub zones: Vec<String>,
    /// How they are placed.
    pub placement: Placement,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The servers.
    pub servers: GroupRequest,
    /// The clients.
    pub clients: GroupRequest,
    /// Whether spare capacity may be used, which can be taken away at any time.
    pub spot: bool,
    /// How long the hosts may live at most.
    pub ttl: Duration,
}

/// What is known about an instance type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// What its programs have to be made for.
    pub architecture: Architecture,
    /// Processors, as quotas count them.
    pub vcpus: u32,
    /// The strategies that it can be placed by.
    pub placements: Vec<Placement>,
}

/// What a program has to be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Architecture {
    /// x86-64.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "arm64")]
    Arm64,
}

/// What the account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Public subnets, sorted by zone.
    pub subnets: Vec<Subnet>,
    /// The instance types that were asked for, by name; one that is missing does not exist in the region.
    pub types: BTreeMap<String, InstanceType>,
    /// How many vCPUs may run at once, if it is known.
    pub vcpu_quota: Option<u32>,
}

/// Hosts that one call can launch: they differ in nothing but their place in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Their group.
    pub group: Group,
    /// Their places in the group, ascending.
    pub indices: Vec<u16>,
    /// Their instance type.
    pub instance_type: String,
    /// What their programs have to be made for.
    pub architecture: Architecture,
    /// What they are placed by.
    pub placement: Placement,
    /// Where they may be: the first one that has room is taken.
    pub zones: Vec<Subnet>,
}

/// What a run will create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// Its hosts; one call launches each kind.
    pub kinds: Vec<Kind>,
    /// vCPUs of all of them.
    pub vcpus: u32,
    /// Whether spare capacity is tried first.
    pub spot: bool,
    /// How long the hosts may live at most.
    pub ttl: Duration,
}

impl LaunchPlan {
    /// How many hosts there will be.
    pub fn hosts(&self) -> usize {
        self.kinds.iter().map(|kind| kind.indices.len()).sum()
    }

    /// What the host at this place of the group is; none if the plan has no such host.
    pub fn kind_of(&self, group: Group, index: u16) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.group == group && kind.indices.contains(&index))
    }
}

impl Kind {
    /// In words, for messages: `3 servers (c6i.large)`.
    pub fn describe(&self) -> String {
        let count = self.indices.len();
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {}{plural} ({})", self.group, self.instance_type)
    }
}

impl Placement {
    /// Its name, as EC2 has it; none for a host that is placed anywhere.
    pub fn strategy(self) -> Option<&'static str> {
        match self {
            Self::Cluster => Some("cluster"),
            Self::Spread => Some("spread"),
            Self::Partition => Some("partition"),
            Self::Unspecified => None,
        }
    }
}

impl Architecture {
    /// Its name, as EC2 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Plans the hosts of a run.
///
/// # Errors
/// If what was asked does not fit together, or not to the account. Nothing was created then.
pub fn plan(request: &Request, account: &Account) -> Result<LaunchPlan, PlanError> {
    if account.subnets.is_empty() {
        return Err(PlanError::NoSubnets);
    }
    let mut kinds = Vec::new();
    for (group, asked) in [(Group::Server, &request.servers), (Group::Client, &request.clients)] {
        kinds.extend(kinds_of(group, asked, account)?);
    }
    check_placement(&kinds)?;
    let (mut vcpus, mut of_quota) = (0, 0);
    for kind in &kinds {
        let known = type_of(&kind.instance_type, account)?;
        let of_kind = known.vcpus.saturating_mul(u32::try_from(kind.indices.len()).unwrap_or(u32::MAX));
        vcpus += of_kind;
        of_quota += if is_standard(&kind.instance_type) { of_kind } else { 0 };
    }
    // Spare capacity has a quota of its own, and what falls back from it counts here.
    if let Some(quota) = account.vcpu_quota
        && of_quota > quota
        && !request.spot
    {
        return Err(PlanError::Quota { vcpus: of_quota, quota });
    }
    Ok(LaunchPlan { kinds, vcpus, spot: request.spot, ttl: request.ttl })
}

/// Whether a type counts towards the quota of standard instances; other families have quotas of their own
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html>).
fn is_standard(instance_type: &str) -> bool {
    let family: String = instance_type.chars().take_while(char::is_ascii_alphabetic).collect();
    ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"].contains(&family.as_str())
}

fn kinds_of(group: Group, asked: &GroupRequest, account: &Account) -> Result<Vec<Kind>, PlanError> {
    let known = type_of(&asked.instance_type, account)?;
    if asked.placement != Placement::Unspecified && !known.placements.contains(&asked.placement) {
        return Err(PlanError::Unplaceable {
            group,
            instance_type: asked.instance_type.clone(),
            placement: asked.placement,
        });
    }
    let kind = |indices, zones| Kind {
        group,
        indices,
        instance_type: asked.instance_type.clone(),
        architecture: known.architecture,
        placement: asked.placement,
        zones,
    };
    let all = 0..asked.count;
    match asked.zones.as_slice() {
        [] => Ok(vec![kind(all.collect(), account.subnets.clone())]),
        [zone] => Ok(vec![kind(all.collect(), vec![subnet_of(zone, group, account)?])]),
        zones if zones.len() == usize::from(asked.count) => {
            let mut by_zone: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
            for (index, zone) in all.zip(zones) {
                by_zone.entry(zone).or_default().push(index);
            }
            let kinds = by_zone.into_iter();
            kinds.map(|(zone, indices)| Ok(kind(indices, vec![subnet_of(zone, group, account)?]))).collect()
        }
        zones => Err(PlanError::ZoneCount { group, given: zones.len(), hosts: asked.count }),
    }
}

fn type_of<'a>(name: &str, account: &'a Account) -> Result<&'a InstanceType, PlanError> {
    account.types.get(name).ok_or_else(|| PlanError::UnknownType(name.to_owned()))
}

fn subnet_of(zone: &str, group: Group, account: &Account) -> Result<Subnet, PlanError> {
    let found = account.subnets.iter().find(|subnet| subnet.zone == zone);
    found.cloned().ok_or_else(|| PlanError::UnknownZone {
        group,
        zone: zone.to_owned(),
        known: account.subnets.iter().map(|subnet| subnet.zone.clone()).collect(),
    })
}

/// A spread placement group is shared by the groups of a run that are in the same zone.
fn check_placement(kinds: &[Kind]) -> Result<(), PlanError> {
    let mut by_zone: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.placement == Placement::Spread) {
        // Where the zone is open, all may end up in the same one.
        for zone in &kind.zones {
            *by_zone.entry(&zone.zone).or_default() += kind.indices.len();
        }
    }
    match by_zone.into_iter().find(|(_, count)| *count > SPREAD_MAX) {
        Some((zone, count)) => Err(PlanError::Spread { zone: zone.to_owned(), count, max: SPREAD_MAX }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
