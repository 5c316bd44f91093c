//! What cannot be planned.

use super::Placement;
use russula_proto::Group;

/// What was asked does not fit together, or not to the account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no network.
    #[error("the network has no public subnet; run `runner ec2 setup` again")]
    NoSubnets,
    /// The region does not have it.
    #[error("--{group}-az {zone}: there is no subnet in this zone; expected one of {}", known.join(", "))]
    UnknownZone {
        /// Whose zone it is.
        group: Group,
        /// The zone.
        zone: String,
        /// The zones that there are.
        known: Vec<String>,
    },
    /// Neither one for all nor one for each.
    #[error(
        "--{group}-az names {given} zones and the scenario has {hosts} {group}s: name one zone for all of them, or one \
         for each"
    )]
    ZoneCount {
        /// Whose zones they are.
        group: Group,
        /// How many were given.
        given: usize,
        /// How many hosts the group has.
        hosts: u16,
    },
    /// The region does not have it.
    #[error(
        "there is no instance type {0} in this region; `aws ec2 describe-instance-type-offerings` lists them"
    )]
    UnknownType(String),
    /// The type cannot be placed so.
    #[error(
        "--{group}-placement {placement:?}: instances of type {instance_type} cannot be placed so; choose another type"
    )]
    Unplaceable {
        /// Whose placement it is.
        group: Group,
        /// The type.
        instance_type: String,
        /// The strategy.
        placement: Placement,
    },
    /// Too many for hardware of their own.
    #[error(
        "{count} hosts may come to be spread in zone {zone}, at most {max} are possible there: name more zones"
    )]
    Spread {
        /// The zone.
        zone: String,
        /// How many hosts would be in it.
        count: usize,
        /// How many can be.
        max: usize,
    },
    /// The account may not have so many.
    #[error(
        "the hosts have {vcpus} vCPUs and the account may run {quota} at once (quota L-1216C47A, \"Running On-Demand \
         Standard instances\"): take smaller instances, fewer hosts, or ask AWS for more"
    )]
    Quota {
        /// What the hosts need.
        vcpus: u32,
        /// What there is.
        quota: u32,
    },
}
