//! What `runner ec2` is told, on the command line or in a file.

use super::Session;
use crate::command::CommandError;
use crate::command::options::RunOptions;
use crate::command::programs::ProgramOptions;
use backends::drivers::{BadPackage, DriverSource, Package};
use clap::{ArgAction, Args, ValueEnum};
use ec2::infrastructure::{self, Infrastructure};
use ec2::plan::Placement;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// Name of the stack that `setup` makes.
const STACK: &str = "netbench";

/// Where the account is.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct AccountArgs {
    /// AWS region [default: that of the environment or of the profile]
    #[arg(long, value_name = "NAME")]
    pub(super) region: Option<String>,

    /// AWS profile [default: that of the environment]
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// CloudFormation stack with the network, the bucket and the role that runs need (`runner ec2 setup` makes it)
    #[arg(long, value_name = "NAME", default_value = STACK)]
    pub(super) stack: String,

    /// Time between two looks at something that takes its time; looks get rarer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = backends::durations::parse_limit)]
    pub(super) poll_interval: Duration,
}

/// Where runs are: the account, and what there is in it for them.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    pub(super) account: AccountArgs,

    /// Use the infrastructure that the CDK of the original netbench orchestrator made, as it wrote it into this file
    #[arg(long, value_name = "FILE", conflicts_with = "stack")]
    pub(super) cdk_config_file: Option<PathBuf>,
}

impl PlaceArgs {
    /// The same from whichever directory it is read again.
    ///
    /// # Errors
    /// If nobody knows the directory of this process.
    pub(super) fn absolute(&self) -> std::io::Result<Self> {
        let file = self.cdk_config_file.as_ref().map(std::path::absolute).transpose()?;
        Ok(Self { cdk_config_file: file, ..self.clone() })
    }

    /// What runs use and do not create.
    pub(super) async fn infrastructure(&self, session: &Session) -> Result<Infrastructure, CommandError> {
        let Some(path) = &self.cdk_config_file else {
            return Ok(infrastructure::find(&session.account, &self.account.stack).await?);
        };
        let config = infrastructure::from_cdk_config(path);
        let config = config.map_err(|error| CommandError::Input(error.to_string()))?;
        Ok(config.find(&session.account).await?)
    }

    /// The options by which a command that a user is told of finds the same place in `region`, each after a space.
    pub(super) fn options(&self, region: &str) -> String {
        let file = self.cdk_config_file.as_ref().map(|file| file.display().to_string());
        self.account.options(region) + &option("cdk-config-file", file.as_deref())
    }
}

impl AccountArgs {
    /// The same without the infrastructure.
    pub(super) fn options(&self, region: &str) -> String {
        let Self { profile, stack, .. } = self;
        option("region", Some(region).filter(|region| !region.is_empty()))
            + &option("profile", profile.as_deref())
            + &option("stack", Some(stack.as_str()).filter(|stack| *stack != STACK))
    }
}

/// An option as it is typed, after a space; nothing without a value.
fn option(name: &str, value: Option<&str>) -> String {
    value.map(|value| format!(" --{name} {}", word(value))).unwrap_or_default()
}

/// `text` as a user types it in a shell.
fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@+=".contains(letter);
    if text.chars().all(is_plain) { text.into() } else { ec2::steps::quote(text).into() }
}

/// Options of a run on EC2.
///
/// Each server and client of the scenario is an instance. Everything that the run creates is given back at its end,
/// whatever happens, and the instances end by themselves after --ttl.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct Ec2Run {
    /// The scenario file, which has to be given here or in --config; s2n-netbench-scenarios makes them
    #[arg(long, value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,

    #[command(flatten)]
    pub(super) run: RunOptions,

    #[command(flatten)]
    pub(super) programs: ProgramOptions,

    /// The worker for the hosts: a `runner` for their architecture; repeat it for another one [default: this program]
    #[arg(long, value_name = "FILE")]
    pub(super) worker: Vec<PathBuf>,

    /// What the worker is built from, on one host for all of its kind, if no file fits: git:URL@COMMIT
    #[arg(long, value_name = "SOURCE", value_parser = parse_worker_source)]
    pub(super) worker_source: Option<Package>,

    /// What a driver is built from, on one host for all of its kind: registry:PACKAGE@VERSION or
    /// git:URL@COMMIT#PACKAGE; repeat it for another one [default: local files; where none fits, netbench's own
    /// drivers come from the registry]
    #[arg(long, value_name = "NAME=SOURCE")]
    pub(super) driver_source: Vec<DriverSource>,

    /// Zones of the servers: one for all, or one for each in order [default: any zone with room]
    #[arg(long, value_name = "ZONE", value_delimiter = ',')]
    pub(super) server_az: Vec<String>,

    /// Zones of the clients, likewise
    #[arg(long, value_name = "ZONE", value_delimiter = ',')]
    pub(super) client_az: Vec<String>,

    /// How servers are placed on hardware
    #[arg(long, value_enum, default_value_t = PlacementArg::Unspecified)]
    pub(super) server_placement: PlacementArg,

    /// How clients are placed on hardware
    #[arg(long, value_enum, default_value_t = PlacementArg::Unspecified)]
    pub(super) client_placement: PlacementArg,

    /// Instance type of all hosts
    #[arg(long, value_name = "TYPE", default_value = "c6i.4xlarge")]
    pub(super) instance_type: String,

    /// Instance type of the servers [default: --instance-type]
    #[arg(long, value_name = "TYPE")]
    pub(super) server_instance_type: Option<String>,

    /// Instance type of the clients [default: --instance-type]
    #[arg(long, value_name = "TYPE")]
    pub(super) client_instance_type: Option<String>,

    /// Image of the hosts; repeat it for another architecture [default: the newest Amazon Linux 2023 for theirs]
    #[arg(long, value_name = "ID")]
    pub(super) ami: Vec<String>,

    /// Key pair for ssh; it has to exist
    #[arg(long, value_name = "NAME")]
    pub(super) key_pair: Option<String>,

    /// Try spare capacity first, which is cheaper and can be taken away; --spot=false if the file of --config says so
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(super) spot: bool,

    /// How long the hosts live at most, whatever becomes of this program; the run ends early enough for its results to be
    /// collected
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = parse_ttl)]
    pub(super) ttl: Duration,

    /// Keep everything at the end: the hosts end at --ttl, and `runner ec2 destroy` removes the rest; --keep=false likewise
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(super) keep: bool,

    /// From where the workers can be reached, as a CIDR block; may be repeated [default: this machine's public address]
    #[arg(long, value_name = "CIDR", value_parser = parse_cidr)]
    pub(super) allow_cidr: Vec<String>,

    /// From where ssh is open, as a CIDR block; may be repeated [default: nowhere]
    #[arg(long, value_name = "CIDR", value_parser = parse_cidr)]
    pub(super) ssh_cidr: Vec<String>,

    /// Port of the first server's driver; each further server uses the next one
    #[arg(long, value_name = "PORT", default_value_t = 4433, value_parser = clap::value_parser!(u16).range(1024..))]
    pub(super) driver_port: u16,

    /// Longest time for each step of the preparation and the collection, on the slowest host; each step has a limit of its
    /// own as well
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = backends::durations::parse_limit)]
    pub(super) step_timeout: Duration,

    /// Say what would be created and whether the hosts may be launched, and change nothing; --dry-run=false likewise
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(super) dry_run: bool,

    /// Take options from this TOML file; its keys are the names of the options, and those given here win
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// How the hosts of a group are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(super) enum PlacementArg {
    /// Close together in one zone
    Cluster,
    /// Each on hardware of its own; at most seven in a zone
    Spread,
    /// In partitions that share no hardware
    Partition,
    /// Wherever there is room
    Unspecified,
}

impl From<PlacementArg> for Placement {
    fn from(placement: PlacementArg) -> Self {
        match placement {
            PlacementArg::Cluster => Self::Cluster,
            PlacementArg::Spread => Self::Spread,
            PlacementArg::Partition => Self::Partition,
            PlacementArg::Unspecified => Self::Unspecified,
        }
    }
}

/// Longest time limit that hosts can have.
pub(super) const TTL_MAX: Duration = ec2::artifacts::LINK_LIFE_MAX;

/// A life of ten minutes, which a launch alone may take, to seven days, which a link to a file lasts at most.
fn parse_ttl(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(600)..=TTL_MAX;
    let ttl = backends::durations::parse_limit(text)?;
    if range.contains(&ttl) { Ok(ttl) } else { Err("expected a duration from 10m to 7days".into()) }
}

/// The repository of this program at a commit.
fn parse_worker_source(text: &str) -> Result<Package, String> {
    if !text.starts_with("git:") || text.contains('#') {
        return Err(
            "expected git:URL@COMMIT, a repository of this program and the full hash of a commit".into()
        );
    }
    format!("{text}#runner").parse().map_err(|error: BadPackage| error.to_string())
}

/// An IPv4 block such as `203.0.113.7/32`, which may not be everything.
fn parse_cidr(text: &str) -> Result<String, String> {
    let expected = "expected an IPv4 block such as 203.0.113.7/32";
    let (address, length) = text.split_once('/').ok_or(expected)?;
    let _: std::net::Ipv4Addr = address.parse().map_err(|_| expected)?;
    match length.parse::<u8>() {
        Ok(0) => Err("the whole internet is not allowed; name the block that is meant".into()),
        Ok(1..=32) => Ok(text.to_owned()),
        Ok(33..) | Err(_) => Err(expected.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_one_of_ipv4_and_not_everything() {
        assert_eq!(parse_cidr("203.0.113.7/32").as_deref(), Ok("203.0.113.7/32"));
        for wrong in ["", "203.0.113.7", "203.0.113/24", "203.0.113.7/33", "::1/128", "a/8", "1.2.3.4/-1"] {
            assert!(parse_cidr(wrong).unwrap_err().starts_with("expected an IPv4 block"), "{wrong}");
        }
        assert!(parse_cidr("0.0.0.0/0").unwrap_err().contains("whole internet"));
    }

    #[test]
    fn a_command_that_a_user_is_told_of_finds_the_same_place() {
        let account = |stack: &str, profile: Option<&str>| AccountArgs {
            region: None,
            profile: profile.map(str::to_owned),
            stack: stack.to_owned(),
            poll_interval: Duration::from_secs(2),
        };
        let place =
            |account, file: Option<&str>| PlaceArgs { account, cdk_config_file: file.map(Into::into) };
        assert_eq!(place(account(STACK, None), None).options("eu-west-1"), " --region eu-west-1");
        assert_eq!(place(account("ours", Some("me")), None).options(""), " --profile me --stack ours");
        let of_cdk = place(account(STACK, None), Some("/my files/cdk.json"));
        assert_eq!(of_cdk.options("x"), " --region x --cdk-config-file '/my files/cdk.json'");
    }

    #[test]
    fn a_worker_is_built_from_a_commit() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let package = parse_worker_source(&format!("git:https://h/a@{commit}")).unwrap();
        assert_eq!(package.to_string(), format!("git:https://h/a@{commit}#runner"));
        for (wrong, expected) in [
            ("registry:runner@1.0.0", "expected git:URL@COMMIT"),
            ("git:https://h/a@main", "is not pinned"),
            ("git:https://h/a", "is no source"),
        ] {
            assert!(parse_worker_source(wrong).unwrap_err().contains(expected), "{wrong}");
        }
        assert!(parse_worker_source(&format!("git:https://h/a@{commit}#x")).is_err());
    }

    #[test]
    fn a_host_lives_long_enough_and_not_for_ever() {
        assert_eq!(parse_ttl("90m"), Ok(Duration::from_secs(5400)));
        for wrong in ["5m", "8days", "soon", "0"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
