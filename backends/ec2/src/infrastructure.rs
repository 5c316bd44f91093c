//! What has to be there before a run can be: a network, a bucket, an instance profile.

/// What runs use and do not create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infrastructure {
    /// The network.
    pub vpc: String,
    /// Its public subnets, sorted by zone; one of each zone.
    pub subnets: Vec<Subnet>,
    /// The private bucket.
    pub bucket: String,
    /// Name of the instance profile.
    pub instance_profile: String,
    /// Where the output of steps goes.
    pub log_group: Option<String>,
}

/// A public subnet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its availability zone, such as `us-east-1a`.
    pub zone: String,
}
