//! What comes into being with the hosts of a plan, for whoever wants to know before.

use super::{Kind, LaunchPlan};
use crate::launch::ROOT_GIB;
use std::collections::BTreeSet;

/// Something that will be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: &'static str,
    /// Which, and how many.
    pub what: String,
}

impl LaunchPlan {
    /// All of them, in the order in which they are created.
    pub fn resources(&self) -> Vec<Resource> {
        let resource = |kind, what: String| Resource { kind, what };
        let strategies: BTreeSet<String> = self.kinds.iter().flat_map(placements_of).collect();
        let mut all: Vec<Resource> =
            strategies.into_iter().map(|what| resource("placement group", what)).collect();
        all.extend(self.kinds.iter().map(|kind| {
            let placement = kind.placement.strategy().unwrap_or("anywhere");
            let market = if self.spot { ", spare capacity first" } else { "" };
            let zones = zones_of(kind);
            resource("instance", format!("{}, {placement}, in {zones}{market}", kind.describe()))
        }));
        let hosts = self.hosts();
        all.push(resource(
            "volume",
            format!("{hosts} of {ROOT_GIB} GiB, or what the image needs; gone with the hosts"),
        ));
        all.push(resource(
            "network interface",
            format!("{hosts}, each with a public address; gone with the hosts"),
        ));
        all
    }
}

/// Where a kind may be, one group is created of these: that of the zone that has room.
fn placements_of(kind: &Kind) -> Option<String> {
    let strategy = kind.placement.strategy()?;
    Some(format!("{strategy}, in {}", zones_of(kind)))
}

fn zones_of(kind: &Kind) -> String {
    let zones: Vec<&str> = kind.zones.iter().map(|zone| zone.zone.as_str()).collect();
    zones.join(" or ")
}
