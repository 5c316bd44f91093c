//! The plan of a run: what was asked, looked up in the account, and shown.

use super::Session;
use super::options::Ec2Run;
use crate::command::CommandError;
use backends::scenario::Scenario;
use ec2::artifacts::AL2023_GLIBC;
use ec2::infrastructure::{self, Infrastructure};
use ec2::launch::{Settings, may_launch};
use ec2::plan::{Account, Architecture, GroupRequest, LaunchPlan, Request};
use ec2::{lookup, public_address};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What a run will create, and with what.
pub(super) struct Planned {
    pub(super) infrastructure: Infrastructure,
    pub(super) plan: LaunchPlan,
    pub(super) settings: Settings,
    /// The architectures of which the user chose the image.
    own_images: Vec<Architecture>,
}

impl Ec2Run {
    /// Plans the hosts for `scenario`. Nothing is created.
    pub(super) fn plan(
        &self,
        session: &Session,
        stack: &str,
        scenario: &Scenario,
    ) -> Result<Planned, CommandError> {
        session.runtime.block_on(async {
            let infrastructure = self.infrastructure(session, stack).await?;
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
            Ok(Planned { infrastructure, plan, settings, own_images })
        })
    }

    /// What the run uses and does not create.
    pub(super) async fn infrastructure(
        &self,
        session: &Session,
        stack: &str,
    ) -> Result<Infrastructure, CommandError> {
        let Some(path) = &self.cdk_config_file else {
            return Ok(infrastructure::find(&session.account, stack).await?);
        };
        let config = infrastructure::from_cdk_config(path);
        let config = config.map_err(|error| CommandError::Input(error.to_string()))?;
        Ok(config.find(&session.account).await?)
    }

    fn request(&self, scenario: &Scenario) -> Result<Request, CommandError> {
        let group = |count: usize, zones: &Vec<String>, placement, own_type: &Option<String>| {
            let count = u16::try_from(count).map_err(|_| {
                CommandError::Input(format!(
                    "the scenario has {count} hosts in a group, at most 65535 are possible"
                ))
            })?;
            let instance_type = own_type.as_ref().unwrap_or(&self.instance_type).clone();
            Ok::<_, CommandError>(GroupRequest { count, instance_type, zones: zones.clone(), placement })
        };
        let (servers, clients) = (scenario.servers().len(), scenario.clients().len());
        Ok(Request {
            servers: group(
                servers,
                &self.server_az,
                self.server_placement.into(),
                &self.server_instance_type,
            )?,
            clients: group(
                clients,
                &self.client_az,
                self.client_placement.into(),
                &self.client_instance_type,
            )?,
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
        let control_cidrs = match self.allow_cidr.as_slice() {
            [] => vec![format!(
                "{}/32",
                public_address::find().await.map_err(|error| CommandError::Input(error.to_string()))?
            )],
            given => each_once(given),
        };
        let (images, own_images) = self.images(session, plan).await?;
        let (key_pair, ssh_cidrs) = (self.key_pair.clone(), each_once(&self.ssh_cidr));
        Ok((Settings { images, key_pair, control_cidrs, ssh_cidrs }, own_images))
    }

    /// The image for each architecture, and for which of them the user chose it.
    async fn images(
        &self,
        session: &Session,
        plan: &LaunchPlan,
    ) -> Result<(BTreeMap<Architecture, String>, Vec<Architecture>), CommandError> {
        let mut given = BTreeMap::new();
        for image in &self.ami {
            let bad = |problem: String| CommandError::Input(format!("--ami {image}: {problem}"));
            let found = lookup::image_architecture(&session.account, image).await?;
            let region = &session.account.region;
            let architecture = found.ok_or_else(|| bad(format!("there is no such image in {region}")))?;
            if !plan.architectures.values().any(|wanted| *wanted == architecture) {
                let types: Vec<&str> = plan.architectures.keys().map(String::as_str).collect();
                return Err(bad(format!("it is for {architecture}, and {} is not", types.join(" or "))));
            }
            if let Some(other) = given.insert(architecture, image.clone()) {
                return Err(bad(format!("it is for {architecture}, and so is {other}")));
            }
        }
        let mut images = BTreeMap::new();
        for architecture in plan.architectures.values() {
            let image = match given.get(architecture) {
                Some(image) => image.clone(),
                None => lookup::newest_image(&session.account, *architecture).await?,
            };
            images.insert(*architecture, image);
        }
        Ok((images, given.into_keys().collect()))
    }
}

/// The service refuses a block that is named twice.
fn each_once(blocks: &[String]) -> Vec<String> {
    BTreeSet::from_iter(blocks).into_iter().cloned().collect()
}

impl Planned {
    /// The newest version of glibc that programs may ask for on hosts of `architecture`.
    pub(super) fn glibc(&self, architecture: Architecture) -> (u16, u16) {
        // An image of the user's may have any C library.
        if self.own_images.contains(&architecture) { (u16::MAX, u16::MAX) } else { AL2023_GLIBC }
    }

    /// Whether the caller may launch the hosts.
    pub(super) fn check_permission(&self, session: &Session) -> Result<(), CommandError> {
        let Self { infrastructure, plan, settings, own_images: _ } = self;
        Ok(session.runtime.block_on(may_launch(&session.account, infrastructure, plan, settings))?)
    }

    /// In words, for `--dry-run`.
    pub(super) fn describe(&self, session: &Session) -> String {
        let Self { infrastructure, plan, settings, own_images: _ } = self;
        let mut text = String::new();
        let (account, region) = (&session.caller.account, &session.account.region);
        let _ = writeln!(text, "account {account}, region {region}, network {}", infrastructure.vpc);
        for kind in &plan.kinds {
            let zones: Vec<&str> = kind.zones.iter().map(|zone| zone.zone.as_str()).collect();
            let placement = kind.placement.strategy().unwrap_or("anywhere");
            let _ = writeln!(text, "launch {}, {placement}, in {}", kind.describe(), zones.join(" or "));
        }
        let spot = if plan.spot { ", spare capacity first" } else { "" };
        let _ = writeln!(text, "{} vCPUs at the same time{spot}", plan.vcpus);
        for (architecture, image) in &settings.images {
            let _ = writeln!(text, "image {image} ({architecture})");
        }
        let _ =
            writeln!(text, "create a security group: port 9000 from {}", settings.control_cidrs.join(", "));
        if !settings.ssh_cidrs.is_empty() {
            let _ = writeln!(text, "    and ssh from {}", settings.ssh_cidrs.join(", "));
        }
        let _ = writeln!(
            text,
            "create a parameter with the key of the run, and files in {}",
            infrastructure.bucket
        );
        let ttl = std::time::Duration::from_secs(plan.ttl_s);
        let _ = writeln!(text, "every host ends by itself after {}", humantime::format_duration(ttl));
        let steps = ec2::steps::Step::ALL.iter().filter(|step| step.reach() == ec2::steps::Reach::EveryHost);
        let steps: Vec<&str> = steps.map(|step| step.name()).collect();
        let _ = writeln!(text, "steps: {}", steps.join(", "));
        text
    }
}
