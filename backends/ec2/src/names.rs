//! What the things of a run are called: the one place that knows, for whoever creates, finds and removes them.

use russula_proto::RunId;

/// The tag that everything of a run bears; its value is the run's name.
pub const TAG_RUN: &str = "netbench-run";
/// Who made it: the caller's ARN.
pub const TAG_OWNER: &str = "netbench-owner";
/// When it was made, RFC 3339 in UTC.
pub const TAG_CREATED: &str = "netbench-created";
/// When it may be removed by anybody (`runner ec2 gc`), RFC 3339 in UTC.
pub const TAG_EXPIRES: &str = "netbench-expires";
/// The version of the orchestrator that made it.
pub const TAG_VERSION: &str = "netbench-version";
/// The bucket in which its files lie.
pub const TAG_BUCKET: &str = "netbench-bucket";
/// On an instance: its group, `server` or `client`.
pub const TAG_GROUP: &str = "netbench-group";
/// On what belongs to the stack and not to a run: the stack's name.
pub const TAG_STACK: &str = "netbench-stack";

/// Where files of all runs lie in the bucket, by their SHA-256 digest.
pub const ARTIFACTS: &str = "artifacts/";

/// Names of a run's resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNames(RunId);

impl RunNames {
    /// The names of `run`.
    pub fn new(run: RunId) -> Self {
        Self(run)
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.0
    }

    /// Its security group.
    pub fn security_group(&self) -> String {
        format!("netbench-{}", self.0)
    }

    /// A placement group. There is one for each strategy and zone, whoever is in it: a cluster does not cross zones.
    pub fn placement_group(&self, strategy: &str, zone: &str) -> String {
        format!("netbench-{}-{strategy}-{zone}", self.0)
    }

    /// An instance, as the console shows it.
    pub fn instance(&self, group: &str) -> String {
        format!("netbench-{}-{group}", self.0)
    }

    /// The parameter that holds the key of the run.
    pub fn key_parameter(&self) -> String {
        format!("{}key", self.parameter_path())
    }

    /// What the names of its parameters begin with.
    pub fn parameter_path(&self) -> String {
        format!("/netbench/{}/", self.0)
    }

    /// What its files in the bucket begin with.
    pub fn prefix(&self) -> String {
        format!("runs/{}/", self.0)
    }

    /// The list of hosts and files that every host reads.
    pub fn manifest(&self) -> String {
        format!("{}manifest", self.prefix())
    }

    /// The scenario. It may hold secrets, so it is not shared with other runs, and goes with this one.
    pub fn scenario(&self) -> String {
        format!("{}scenario", self.prefix())
    }

    /// What the orchestrator puts there for the hosts of this run alone.
    pub fn own_files(&self) -> [String; 2] {
        [self.manifest(), self.scenario()]
    }

    /// What its hosts upload.
    pub fn hosts_prefix(&self) -> String {
        format!("{}hosts/", self.prefix())
    }

    /// What a host uploads.
    pub fn host_prefix(&self, group: &str, index: u16) -> String {
        format!("{}{group}-{index}/", self.hosts_prefix())
    }

    /// The copy of the report that outlives the run; the bucket lets it expire.
    pub fn report_prefix(&self) -> String {
        format!("reports/{}/", self.0)
    }
}
