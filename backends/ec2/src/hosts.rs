//! The hosts of a run on EC2.

use russula_proto::Group;
use std::net::Ipv4Addr;

/// One instance with its part in the run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CloudHost {
    /// Id of the instance.
    pub instance: String,
    /// Its group.
    pub group: Group,
    /// Its place in the group.
    pub index: u16,
    /// Where the other hosts reach it.
    pub private_ip: Ipv4Addr,
    /// Where the orchestrator reaches it.
    pub public_ip: Ipv4Addr,
    /// Its availability zone.
    pub zone: String,
    /// Its instance type.
    pub instance_type: String,
}
