//! The plan of a run: what was asked, looked up in the account, and shown.

use super::Session;
use super::options::Ec2Run;
use super::run::collection_time;
use crate::command::CommandError;
use backends::scenario::Scenario;
use ec2::api::ApiError;
use ec2::artifacts::AL2023_GLIBC;
use ec2::infrastructure::{self, Infrastructure};
use ec2::launch::{CONTROL_PORT, Image, Settings, may_launch};
use ec2::names::RunNames;
use ec2::plan::{Account, Architecture, GroupRequest, LaunchPlan, Request};
use ec2::tags::{self, Tags};
use ec2::{lookup, public_address};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Stands in a dry run for the name of the run, which there is only once the run has a directory.
const UNNAMED: &str = "planned";

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
        let Self { infrastructure, plan, settings, own_images: _ } = self;
        let names = RunNames::new(UNNAMED.parse().expect("the name is a legal one"));
        let tags = self.tags(session);
        let may = may_launch(&session.account, infrastructure, (&names, &tags), plan, settings);
        Ok(session.runtime.block_on(may)?)
    }

    /// The tags of the hosts, but for the name of the run.
    fn tags(&self, session: &Session) -> Tags {
        let now = Timestamp::now();
        let ttl = self.plan.ttl;
        Tags {
            run: UNNAMED.to_owned(),
            owner: tags::value_of(&session.caller.arn),
            created: now.to_string(),
            expires: now.saturating_add(ttl).unwrap_or(now).to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bucket: self.infrastructure.bucket.clone(),
        }
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
        let control_cidrs = settings.control_cidrs.join(", ");
        let _ = writeln!(text, "create a security group: port {CONTROL_PORT} from {control_cidrs}");
        if !settings.ssh_cidrs.is_empty() {
            let _ = writeln!(text, "    and ssh from {}", settings.ssh_cidrs.join(", "));
        }
        let _ = writeln!(
            text,
            "create a parameter with the key of the run, and files in {}",
            infrastructure.bucket
        );
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
