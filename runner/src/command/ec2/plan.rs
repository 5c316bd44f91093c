//! The plan of a run: what was asked, looked up in the account, and shown.

use super::Session;
use super::options::{Ec2Run, PlaceArgs};
use super::run::collection_time;
use crate::command::CommandError;
use backends::scenario::Scenario;
use ec2::api::{ApiError, Cause};
use ec2::artifacts::AL2023_GLIBC;
use ec2::infrastructure::Infrastructure;
use ec2::launch::{CONTROL_PORT, Image, Settings, may_launch};
use ec2::names::RunNames;
use ec2::plan::{Account, Architecture, GroupRequest, LaunchPlan, Request, Resource};
use ec2::tags::{self, Tags};
use ec2::{lookup, public_address};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

/// Stands in a dry run for the name of the run, which there is only once the run has a directory.
const UNNAMED: &str = "planned";

/// What a run will create, and with what.
pub(super) struct Planned {
    pub(super) infrastructure: Infrastructure,
    pub(super) plan: LaunchPlan,
    pub(super) settings: Settings,
    /// The architectures of which the user chose the image.
    own_images: Vec<Architecture>,
    /// vCPUs of standard instances that the account may have at once, if it is known.
    vcpu_quota: Option<u32>,
}

impl Ec2Run {
    /// Plans the hosts for `scenario`. Nothing is created.
    pub(super) fn plan(
        &self,
        session: &Session,
        place: &PlaceArgs,
        scenario: &Scenario,
    ) -> Result<Planned, CommandError> {
        session.runtime.block_on(async {
            let infrastructure = place.infrastructure(session).await?;
            let request = self.request(scenario)?;
            let types = [&request.servers, &request.clients].map(|group| group.instance_type.clone());
            let mut types = Vec::from(types);
            types.dedup();
            let account = Account {
                subnets: infrastructure.subnets.clone(),
                types: lookup::instance_types(&session.account, &types).await?,
                vcpu_quota: lookup::vcpu_quota(&session.account).await,
            };
            let plan = ec2::plan::plan(&request, &account)?;
            let (settings, own_images) = self.settings(session, &plan).await?;
            let vcpu_quota = account.vcpu_quota;
            Ok(Planned { infrastructure, plan, settings, own_images, vcpu_quota })
        })
    }

    fn request(&self, scenario: &Scenario) -> Result<Request, CommandError> {
        let group = |count: usize, zones: &Vec<String>, placement, own_type: &Option<String>| {
            let count = u16::try_from(count).expect("each has a port of its own");
            let instance_type = own_type.as_ref().unwrap_or(&self.instance_type).clone();
            GroupRequest { count, instance_type, zones: zones.clone(), placement }
        };
        let (servers, clients) = (scenario.servers().len(), scenario.clients().len());
        check_ports(self.driver_port, servers.max(clients))?;
        Ok(Request {
            servers: group(
                servers,
                &self.server_az,
                self.server_placement.into(),
                &self.server_instance_type,
            ),
            clients: group(
                clients,
                &self.client_az,
                self.client_placement.into(),
                &self.client_instance_type,
            ),
            spot: self.spot,
            ttl: self.ttl,
        })
    }

    async fn settings(
        &self,
        session: &Session,
        plan: &LaunchPlan,
    ) -> Result<(Settings, Vec<Architecture>), CommandError> {
        if let Some(name) = &self.key_pair
            && !lookup::has_key_pair(&session.account, name).await?
        {
            let region = &session.account.region;
            return Err(CommandError::Input(format!(
                "--key-pair {name}: there is no such key pair in {region}"
            )));
        }
        let control_cidrs = self.control_cidrs().await?;
        let (images, own_images) = self.images(session, plan).await?;
        let (key_pair, ssh_cidrs) = (self.key_pair.clone(), each_once(&self.ssh_cidr));
        let root = |image: &Image| Some((image.architecture, image.root.clone()?));
        let roots = images.values().filter_map(root).collect();
        let images = images.into_iter().map(|(architecture, image)| (architecture, image.id)).collect();
        Ok((Settings { images, roots, key_pair, control_cidrs, ssh_cidrs }, own_images))
    }

    /// From where the control port is to be reached.
    pub(super) async fn control_cidrs(&self) -> Result<Vec<String>, CommandError> {
        if !self.allow_cidr.is_empty() {
            return Ok(each_once(&self.allow_cidr));
        }
        let address = public_address::find().await.map_err(|error| CommandError::Input(error.to_string()))?;
        Ok(vec![format!("{address}/32")])
    }

    /// The image for each architecture, and for which of them the user chose it.
    async fn images(
        &self,
        session: &Session,
        plan: &LaunchPlan,
    ) -> Result<(BTreeMap<Architecture, Image>, Vec<Architecture>), CommandError> {
        let mut given: BTreeMap<Architecture, Image> = BTreeMap::new();
        for image in &self.ami {
            let bad = |problem: String| CommandError::Input(format!("--ami {image}: {problem}"));
            let found = Image::find(&session.account, image).await?;
            let region = &session.account.region;
            let found = found.ok_or_else(|| bad(format!("there is no such image in {region}")))?;
            let architecture = found.architecture;
            if !plan.kinds.iter().any(|kind| kind.architecture == architecture) {
                let types = BTreeSet::from_iter(plan.kinds.iter().map(|kind| kind.instance_type.as_str()));
                let types = Vec::from_iter(types);
                return Err(bad(format!("it is for {architecture}, and {} is not", types.join(" or "))));
            }
            if let Some(other) = given.insert(architecture, found) {
                return Err(bad(format!("it is for {architecture}, and so is {}", other.id)));
            }
        }
        let mut images = BTreeMap::new();
        for architecture in BTreeSet::from_iter(plan.kinds.iter().map(|kind| kind.architecture)) {
            let image = match given.get(&architecture) {
                Some(image) => image.clone(),
                None => {
                    let newest = lookup::newest_image(&session.account, architecture).await?;
                    let found = Image::find(&session.account, &newest).await?;
                    found.ok_or_else(|| ApiError::incomplete("DescribeImages", &newest, "image"))?
                }
            };
            images.insert(architecture, image);
        }
        Ok((images, given.into_keys().collect()))
    }
}

/// Each host has a port of its own for its driver, by its place in its group, and one for its worker.
fn check_ports(first: u16, hosts: usize) -> Result<(), CommandError> {
    let last = usize::from(first) + hosts.saturating_sub(1);
    let problem = if last > usize::from(u16::MAX) {
        format!("{hosts} hosts need ports up to {last}, and there are 65535")
    } else if (usize::from(first)..=last).contains(&usize::from(CONTROL_PORT)) {
        format!("drivers would have ports {first} to {last}, and {CONTROL_PORT} is that of the workers")
    } else {
        return Ok(());
    };
    Err(CommandError::Input(format!("--driver-port {first}: {problem}")))
}

/// The service refuses a block that is named twice.
fn each_once(blocks: &[String]) -> Vec<String> {
    BTreeSet::from_iter(blocks).into_iter().cloned().collect()
}

impl Planned {
    /// The version of glibc on hosts of `architecture`; an image of the user's may have any C library.
    pub(super) fn glibc(&self, architecture: Architecture) -> Option<(u16, u16)> {
        (!self.own_images.contains(&architecture)).then_some(AL2023_GLIBC)
    }

    /// Whether the caller may launch the hosts.
    pub(super) fn check_permission(&self, session: &Session) -> Result<(), CommandError> {
        let Self { infrastructure, plan, settings, .. } = self;
        let names = RunNames::new(UNNAMED.parse().expect("the name is a legal one"));
        let tags = tags_of(session, UNNAMED, plan.ttl, &infrastructure.bucket);
        let may = may_launch(&session.account, infrastructure, (&names, &tags), plan, settings);
        session.runtime.block_on(may).map_err(|error| match error.cause {
            // Another zone or type would do.
            Cause::Capacity | Cause::Invalid | Cause::NotFound => CommandError::Input(error.to_string()),
            Cause::Quota
            | Cause::Permission
            | Cause::Exists
            | Cause::InUse
            | Cause::Throttled
            | Cause::Unreachable
            | Cause::DryRun
            | Cause::Other => error.into(),
        })
    }

    /// In words, for `--dry-run`.
    pub(super) fn describe(&self, session: &Session) -> String {
        let Self { infrastructure, plan, settings, vcpu_quota, own_images: _ } = self;
        let mut text = String::new();
        let (account, region) = (&session.caller.account, &session.account.region);
        let _ = writeln!(text, "account {account}, region {region}, network {}", infrastructure.vpc);
        let quota = match vcpu_quota {
            Some(quota) => format!("the quota of standard instances is {quota}"),
            None => "the quota is not known".to_owned(),
        };
        let _ = writeln!(text, "{} vCPUs at the same time; {quota}", plan.vcpus);
        for (architecture, image) in &settings.images {
            let _ = writeln!(text, "image {image} ({architecture})");
        }
        let mut create = |kind: &str, what: &str| {
            let _ = writeln!(text, "create {kind:<18} {what}");
        };
        let control_cidrs = settings.control_cidrs.join(", ");
        create(
            "security group",
            &format!("port {CONTROL_PORT} from {control_cidrs}; hosts among themselves"),
        );
        if !settings.ssh_cidrs.is_empty() {
            create("", &format!("and ssh from {}", settings.ssh_cidrs.join(", ")));
        }
        create("parameter", "the key of the run, encrypted");
        let bucket = &infrastructure.bucket;
        create("objects", &format!("programs, scenario, results, report and status page in {bucket}"));
        for Resource { kind, what } in plan.resources() {
            create(kind, &what);
        }
        let ttl = plan.ttl;
        let collection = humantime::format_duration(collection_time(ttl));
        let ttl = humantime::format_duration(ttl);
        let _ =
            writeln!(text, "every host ends by itself after {ttl}; repetitions end {collection} before that");
        let steps = ec2::steps::Step::ALL.iter().filter(|step| step.reach() == ec2::steps::Reach::EveryHost);
        let steps: Vec<&str> = steps.map(|step| step.name()).collect();
        let _ = writeln!(text, "steps: {}", steps.join(", "));
        text
    }
}

/// The tags of a run that begins now, and of everything that it creates.
pub(super) fn tags_of(session: &Session, run: &str, ttl: Duration, bucket: &str) -> Tags {
    let now = Timestamp::now();
    Tags {
        run: run.to_owned(),
        owner: tags::value_of(&session.caller.arn),
        created: now.to_string(),
        expires: now.saturating_add(ttl).unwrap_or(now).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bucket: bucket.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_have_ports_that_exist_and_are_not_the_workers() {
        assert!(check_ports(4433, 4567).is_ok() && check_ports(65_535, 1).is_ok());
        for (first, hosts, expected) in [
            (4433, 4568, "9000 is that of the workers"),
            (9000, 1, "9000 is that of the workers"),
            (65_500, 100, "100 hosts need ports up to 65599"),
        ] {
            let error = check_ports(first, hosts).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
