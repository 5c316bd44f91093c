//! What is asked for to have hosts; a dry run asks for the same as the launch.

use super::{RootDevice, Settings, user_data};
use crate::api::{Account, ApiError, Cause};
use crate::infrastructure::{Infrastructure, Subnet};
use crate::names::RunNames;
use crate::plan::{Kind, LaunchPlan};
use crate::tags::Tags;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceAutoRecoveryState, InstanceInterruptionBehavior, InstanceMaintenanceOptionsRequest,
    InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification,
    InstanceType, MarketType, Placement, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions,
    VolumeType,
};

/// Least space on the root volume of a host, in GiB: the 8 of Amazon Linux do not hold the toolchain, the sources and the
/// build of a driver beside what drivers record.
pub const ROOT_GIB: i32 = 50;

/// What all requests of a run are made from.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) account: &'a Account,
    pub(super) infrastructure: &'a Infrastructure,
    pub(super) names: &'a RunNames,
    pub(super) tags: &'a Tags,
    pub(super) plan: &'a LaunchPlan,
    pub(super) settings: &'a Settings,
}

/// One try to launch a kind of hosts.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) is_spot: bool,
    pub(super) subnet: &'a Subnet,
}

/// What a launch names and a dry run cannot, since it does not exist before the launch.
pub(super) struct Created {
    pub(super) token: String,
    pub(super) security_group: String,
    pub(super) placement_group: Option<String>,
}

/// The tries to launch a kind, in order: spare capacity first, if it may be used.
pub(super) fn attempts<'a>(plan: &LaunchPlan, kind: &'a Kind) -> impl Iterator<Item = Attempt<'a>> + use<'a> {
    let markets: &[bool] = if plan.spot { &[true, false] } else { &[false] };
    markets.iter().flat_map(move |&is_spot| kind.zones.iter().map(move |subnet| Attempt { is_spot, subnet }))
}

impl Attempt<'_> {
    /// Whether another zone, or hosts that are no spare capacity, may help where this one is refused.
    pub(super) fn is_worth_another(&self, error: &ApiError) -> bool {
        // The role without which an account cannot have spare capacity is made at the first use, by whoever may.
        let has_no_role = error.code.as_deref() == Some("AuthFailure.ServiceLinkedRoleCreationNotPermitted");
        error.cause == Cause::Capacity || self.is_spot && (error.cause == Cause::Quota || has_no_role)
    }
}

impl Order<'_> {
    /// The request for the hosts of a kind; a dry run if nothing is `created` for them.
    pub(super) fn request(
        &self,
        kind: &Kind,
        attempt: &Attempt<'_>,
        created: Option<&Created>,
    ) -> RunInstancesFluentBuilder {
        let count = i32::try_from(kind.indices.len()).unwrap_or(i32::MAX);
        let root = self.settings.roots.get(&kind.architecture).map(root_volume);
        let name = self.names.instance(kind.group.name());
        let tags = |resource| self.tags.of_host(resource, &name, kind.group);
        let script = user_data::script(self.plan.ttl, &self.tags.expires);
        let profile =
            IamInstanceProfileSpecification::builder().name(&self.infrastructure.instance_profile).build();
        let placement = Placement::builder()
            .availability_zone(&attempt.subnet.zone)
            .set_group_name(created.and_then(|created| created.placement_group.clone()));
        let metadata =
            InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
        // A host that comes up again on other hardware has lost what was measured; its loss is to be seen.
        let maintenance = InstanceMaintenanceOptionsRequest::builder()
            .auto_recovery(InstanceAutoRecoveryState::Disabled)
            .build();
        // Everything that comes into being with a host.
        let mut kinds = vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        kinds.extend(attempt.is_spot.then_some(ResourceType::SpotInstancesRequest));
        let request = self.account.ec2.run_instances().min_count(count).max_count(count);
        request
            .set_dry_run(created.is_none().then_some(true))
            .set_client_token(created.map(|created| created.token.clone()))
            .set_image_id(self.settings.images.get(&kind.architecture).cloned())
            .set_block_device_mappings(root.map(|root| vec![root]))
            .instance_type(InstanceType::from(kind.instance_type.as_str()))
            .network_interfaces(interface(attempt.subnet, created))
            .placement(placement.build())
            .iam_instance_profile(profile)
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .maintenance_options(maintenance)
            .metadata_options(metadata)
            .user_data(encode(script))
            .set_key_name(self.settings.key_pair.clone())
            .set_instance_market_options(attempt.is_spot.then(spare_capacity))
            .set_tag_specifications(Some(kinds.into_iter().map(tags).collect()))
    }
}

/// The one interface of a host. It has a public address whatever the subnet's own setting is.
fn interface(subnet: &Subnet, created: Option<&Created>) -> InstanceNetworkInterfaceSpecification {
    InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&subnet.id)
        .set_groups(created.map(|created| vec![created.security_group.clone()]))
        .associate_public_ip_address(true)
        .delete_on_termination(true)
        .build()
}

/// The root volume in the place of the image's own, which is never made smaller: EC2 refuses that. Whether it is
/// encrypted is the account's default.
fn root_volume(root: &RootDevice) -> BlockDeviceMapping {
    let volume = EbsBlockDevice::builder()
        .volume_type(VolumeType::Gp3)
        .volume_size(root.size_gib.max(ROOT_GIB))
        .delete_on_termination(true)
        .build();
    BlockDeviceMapping::builder().device_name(&root.name).ebs(volume).build()
}

fn spare_capacity() -> InstanceMarketOptionsRequest {
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
    InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build()
}

/// The form in which the API takes user data.
fn encode(script: String) -> String {
    aws_smithy_types::base64::encode(Blob::new(script))
}
