//! Who may talk to the hosts, and how close they are to each other.

use super::{CONTROL_PORT, Launch, LaunchError, once_seen};
use crate::api::{ApiError, Cause, call};
use crate::journal::ResourceKind;
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
            Err(error) if error.cause == Cause::Exists => self.find_security_group(&name).await?,
            Err(error) => return Err(error.into()),
        };
        let id = id.ok_or_else(|| ApiError::incomplete(operation, &name, "id"))?;
        self.journal.created(ResourceKind::SecurityGroup, &name, std::slice::from_ref(&id))?;
        self.open(&id, &name).await?;
        Ok(id)
    }

    async fn find_security_group(&self, name: &str) -> Result<Option<String>, ApiError> {
        let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
        let request = self.account.ec2.describe_security_groups();
        let request =
            request.filters(filter("group-name", name)).filters(filter("vpc-id", &self.infrastructure.vpc));
        let found = call("DescribeSecurityGroups", name, request.send()).await?;
        Ok(found.security_groups().first().and_then(|group| group.group_id()).map(str::to_owned))
    }

    async fn open(&self, id: &str, name: &str) -> Result<(), ApiError> {
        let among_themselves = IpPermission::builder()
            .ip_protocol("-1")
            .user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build())
            .build();
        let mut permissions = vec![among_themselves];
        let ports = [
            (CONTROL_PORT, &self.settings.control_cidrs, "the orchestrator"),
            (SSH_PORT, &self.settings.ssh_cidrs, "ssh"),
        ];
        for (port, cidrs, description) in ports.into_iter().filter(|(_, cidrs, _)| !cidrs.is_empty()) {
            let range = |cidr: &String| IpRange::builder().cidr_ip(cidr).description(description).build();
            let port = i32::from(port);
            let permission = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
            permissions.push(permission.set_ip_ranges(Some(cidrs.iter().map(range).collect())).build());
        }
        let request = self.account.ec2.authorize_security_group_ingress().group_id(id);
        let request = request.set_ip_permissions(Some(permissions));
        let open = async || call("AuthorizeSecurityGroupIngress", name, request.clone().send()).await;
        match once_seen(self.account, open).await {
            Ok(_) => Ok(()),
            // The answer to an earlier attempt was lost.
            Err(error) if error.cause == Cause::Exists => Ok(()),
            Err(error) => Err(error),
        }
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
