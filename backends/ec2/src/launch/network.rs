//! Who may talk to the hosts, and how close they are to each other.

use super::{CONTROL_PORT, Launch, LaunchError, once_seen};
use crate::api::{Account, ApiError, Cause, call};
use crate::infrastructure::Infrastructure;
use crate::journal::ResourceKind;
use crate::names::RunNames;
use aws_sdk_ec2::types::{Filter, IpPermission, IpRange, PlacementStrategy, ResourceType, UserIdGroupPair};

const SSH_PORT: u16 = 22;

impl Launch<'_> {
    /// Creates the security group: the control port for the caller, everything among the hosts themselves.
    pub(super) async fn create_security_group(&self) -> Result<String, LaunchError> {
        let (operation, name) = ("CreateSecurityGroup", self.names.security_group());
        self.journal.intend(ResourceKind::SecurityGroup, &name)?;
        let request = self.account.ec2.create_security_group();
        let request = request
            .group_name(&name)
            .description("hosts of one netbench run")
            .vpc_id(&self.infrastructure.vpc)
            .tag_specifications(self.tags.of(ResourceType::SecurityGroup, &name));
        let id = match call(operation, &name, request.send()).await {
            Ok(created) => created.group_id().map(str::to_owned),
            // The answer to an earlier attempt was lost.
            Err(error) if error.cause == Cause::Exists => {
                let find = async || find_security_group(self.account, &self.infrastructure.vpc, &name).await;
                Some(once_seen(self.account, find).await?)
            }
            Err(error) => return Err(error.into()),
        };
        let id = id.ok_or_else(|| ApiError::incomplete(operation, &name, "id"))?;
        self.journal.created(ResourceKind::SecurityGroup, &name, std::slice::from_ref(&id))?;
        self.open(&id, &name).await?;
        Ok(id)
    }

    async fn open(&self, id: &str, name: &str) -> Result<(), ApiError> {
        let among_themselves = IpPermission::builder()
            .ip_protocol("-1")
            .user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build())
            .build();
        let mut permissions = vec![among_themselves];
        permissions.extend(from(&self.settings.control_cidrs, CONTROL_PORT, "the orchestrator"));
        permissions.extend(from(&self.settings.ssh_cidrs, SSH_PORT, "ssh"));
        authorize(self.account, (id, name), permissions).await
    }

    /// Creates the placement group of a strategy in a zone, unless it is there; returns its name.
    pub(super) async fn create_placement_group(
        &self,
        strategy: &str,
        zone: &str,
    ) -> Result<String, LaunchError> {
        let name = self.names.placement_group(strategy, zone);
        self.journal.intend(ResourceKind::PlacementGroup, &name)?;
        let request = self.account.ec2.create_placement_group();
        let request = request
            .group_name(&name)
            .strategy(PlacementStrategy::from(strategy))
            .tag_specifications(self.tags.of(ResourceType::PlacementGroup, &name));
        match call("CreatePlacementGroup", &name, request.send()).await {
            Ok(_) => {}
            // Another kind of hosts is in the same zone, or the answer to an earlier attempt was lost.
            Err(error) if error.cause == Cause::Exists => {}
            Err(error) => return Err(error.into()),
        }
        self.journal.created(ResourceKind::PlacementGroup, &name, &[])?;
        Ok(name)
    }
}

/// Opens the control port of a run that is there to more blocks: its orchestrator may have another address by now.
///
/// # Errors
/// If there is no security group of the run, or the service refuses.
pub async fn open_control_port(
    account: &Account,
    infrastructure: &Infrastructure,
    names: &RunNames,
    cidrs: &[String],
) -> Result<(), ApiError> {
    let name = names.security_group();
    let id = find_security_group(account, &infrastructure.vpc, &name).await?;
    // A block that is open already makes the service refuse all of them.
    for cidr in cidrs {
        let permission = from(std::slice::from_ref(cidr), CONTROL_PORT, "the orchestrator, resumed");
        authorize(account, (&id, &name), Vec::from_iter(permission)).await?;
    }
    Ok(())
}

async fn find_security_group(account: &Account, vpc: &str, name: &str) -> Result<String, ApiError> {
    let operation = "DescribeSecurityGroups";
    let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
    let request = account.ec2.describe_security_groups();
    let request = request.filters(filter("group-name", name)).filters(filter("vpc-id", vpc));
    let found = call(operation, name, request.send()).await?;
    let id = found.security_groups().first().and_then(|group| group.group_id()).map(str::to_owned);
    id.ok_or_else(|| ApiError::not_found(operation, name))
}

/// The permission for a port to be reached from blocks; none without any.
fn from(cidrs: &[String], port: u16, description: &str) -> Option<IpPermission> {
    let range = |cidr: &String| IpRange::builder().cidr_ip(cidr).description(description).build();
    let port = i32::from(port);
    let permission = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
    let permission = permission.set_ip_ranges(Some(cidrs.iter().map(range).collect()));
    (!cidrs.is_empty()).then(|| permission.build())
}

async fn authorize(
    account: &Account,
    (id, name): (&str, &str),
    permissions: Vec<IpPermission>,
) -> Result<(), ApiError> {
    let request = account.ec2.authorize_security_group_ingress().group_id(id);
    let request = request.set_ip_permissions(Some(permissions));
    let open = async || call("AuthorizeSecurityGroupIngress", name, request.clone().send()).await;
    match once_seen(account, open).await {
        Ok(_) => Ok(()),
        // It is open, or the answer to an earlier attempt was lost.
        Err(error) if error.cause == Cause::Exists => Ok(()),
        Err(error) => Err(error),
    }
}
