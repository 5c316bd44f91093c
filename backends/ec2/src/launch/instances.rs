//! The hosts: as few launches as there are kinds, and one look at all of them at a time.

use super::{Launch, LaunchError, once_seen, user_data};
use crate::api::{Account, ApiError, Cause, Pace, call};
use crate::hosts::CloudHost;
use crate::inventory;
use crate::journal::ResourceKind;
use crate::plan::Kind;
use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::run_instances::{RunInstancesError, RunInstancesOutput};
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    HttpTokensState, Instance, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataOptionsRequest, InstanceStateName, InstanceType, MarketType, Placement, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions,
};
use russula_proto::Group;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// For all hosts to run, from their launch.
const RUNNING_LIMIT: Duration = Duration::from_secs(600);

/// A host that was launched, with its place in the run.
#[derive(Debug)]
pub(super) struct LaunchedHost {
    instance: String,
    group: Group,
    index: u16,
}

/// The results of all launches; the first error is returned once every launch has had its answer, so that none is
/// left in doubt.
pub(super) async fn all_of(
    launches: Vec<impl Future<Output = Result<Vec<LaunchedHost>, LaunchError>>>,
) -> Result<Vec<LaunchedHost>, LaunchError> {
    let results = futures_util::future::join_all(launches).await;
    let results: Result<Vec<_>, _> = results.into_iter().collect();
    Ok(results?.into_iter().flatten().collect())
}

impl Launch<'_> {
    /// Launches the hosts of one kind in the first zone that has room for all of them.
    pub(super) async fn launch_kind(
        &self,
        nth: usize,
        kind: &Kind,
        security_group: &str,
    ) -> Result<Vec<LaunchedHost>, LaunchError> {
        let markets: &[bool] = if self.plan.spot { &[true, false] } else { &[false] };
        let mut tried = Vec::new();
        for is_spot in markets {
            for zone in &kind.zones {
                let attempt = Attempt { nth, is_spot: *is_spot, subnet: &zone.id, zone: &zone.zone };
                match self.attempt(kind, &attempt, security_group).await {
                    Ok(launched) => return Ok(launched),
                    Err(LaunchError::Api(error)) if is_moving_on(&error, *is_spot) => {
                        tried.push(error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(LaunchError::NoCapacity { what: kind.describe(), tried })
    }

    async fn attempt(
        &self,
        kind: &Kind,
        attempt: &Attempt<'_>,
        security_group: &str,
    ) -> Result<Vec<LaunchedHost>, LaunchError> {
        let mut placement = Placement::builder().availability_zone(attempt.zone);
        if let Some(strategy) = kind.placement.strategy() {
            placement = placement.group_name(self.create_placement_group(strategy, attempt.zone).await?);
        }
        let token = self.token(attempt);
        self.journal.intend(ResourceKind::Instances, &token)?;
        let what = self.describe(kind, attempt.zone);
        let placement = placement.build();
        let launch = async || {
            let request = self.request(kind, attempt, security_group, placement.clone(), &token);
            call("RunInstances", &what, request).await
        };
        let launched = once_seen(self.account, launch).await?;
        let mut instances: Vec<&Instance> = launched.instances().iter().collect();
        instances.sort_by_key(|instance| instance.ami_launch_index());
        let ids: Vec<String> =
            instances.iter().filter_map(|instance| instance.instance_id()).map(str::to_owned).collect();
        self.journal.created(ResourceKind::Instances, &token, &ids)?;
        if ids.len() != kind.indices.len() {
            return Err(ApiError::incomplete("RunInstances", &what, "full list of instances").into());
        }
        let host =
            |(instance, index): (String, &u16)| LaunchedHost { instance, group: kind.role(), index: *index };
        Ok(ids.into_iter().zip(&kind.indices).map(host).collect())
    }

    /// An answer that is lost does not launch twice: the same token means the same hosts
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
    fn token(&self, attempt: &Attempt<'_>) -> String {
        let market = if attempt.is_spot { "spot" } else { "plain" };
        format!("{}-{}-{market}-{}", self.names.run(), attempt.nth, attempt.zone)
    }

    fn request(
        &self,
        kind: &Kind,
        attempt: &Attempt<'_>,
        security_group: &str,
        placement: Placement,
        token: &str,
    ) -> impl Future<Output = Result<RunInstancesOutput, SdkError<RunInstancesError>>> + use<> {
        let count = i32::try_from(kind.indices.len()).unwrap_or(i32::MAX);
        let name = self.names.instance(&kind.group);
        let script = user_data::script(Duration::from_secs(self.plan.ttl_s));
        let architecture = self.plan.architectures.get(&kind.instance_type);
        let metadata =
            InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
        let profile = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder();
        let spot = SpotMarketOptions::builder()
            .spot_instance_type(SpotInstanceType::OneTime)
            .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
        let market = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot);
        let market = attempt.is_spot.then(|| market.spot_options(spot.build()).build());
        let tags = |resource| self.tags.of_host(resource, &name, kind.role());
        let request = self.account.ec2.run_instances().client_token(token).min_count(count).max_count(count);
        let request = request
            .set_image_id(
                architecture.and_then(|architecture| self.settings.images.get(architecture).cloned()),
            )
            .instance_type(InstanceType::from(kind.instance_type.as_str()))
            .subnet_id(attempt.subnet)
            .security_group_ids(security_group)
            .placement(placement)
            .iam_instance_profile(profile.name(&self.infrastructure.instance_profile).build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .metadata_options(metadata)
            .user_data(encode(Blob::new(script)))
            .set_key_name(self.settings.key_pair.clone())
            .set_instance_market_options(market)
            .tag_specifications(tags(ResourceType::Instance))
            .tag_specifications(tags(ResourceType::Volume));
        request.send()
    }

    /// Waits until all hosts run; one look is one call for each thousand of them.
    pub(super) async fn wait_until_running(
        &self,
        launched: Vec<LaunchedHost>,
    ) -> Result<Vec<CloudHost>, LaunchError> {
        let mut pace = Pace::new("hosts running", RUNNING_LIMIT, self.account.poll_interval);
        loop {
            let seen = look(self.account, self.names.run().as_str()).await?;
            let hosts: Result<Vec<_>, _> = launched.iter().map(|host| host.as_it_is(&seen)).collect();
            let hosts = hosts?;
            let running = hosts.iter().flatten().count();
            if running == launched.len() {
                return Ok(hosts.into_iter().flatten().collect());
            }
            if let Err(source) = pace.wait().await {
                let waits = |(host, found): (&LaunchedHost, &Option<CloudHost>)| match found {
                    Some(_) => None,
                    None => Some(format!("{} {} does not", host.group, host.instance)),
                };
                let waiting = launched.iter().zip(&hosts).filter_map(waits).take(8).collect();
                return Err(LaunchError::Deadline { source, running, expected: launched.len(), waiting });
            }
        }
    }
}

/// One try to launch a kind.
struct Attempt<'a> {
    nth: usize,
    is_spot: bool,
    subnet: &'a str,
    zone: &'a str,
}

/// Whether another zone, or hosts that are no spare capacity, may help.
fn is_moving_on(error: &ApiError, is_spot: bool) -> bool {
    error.cause == Cause::Capacity || is_spot && error.cause == Cause::Quota
}

async fn look(account: &Account, run: &str) -> Result<BTreeMap<String, Instance>, ApiError> {
    let instances = inventory::instances(account, Some(run)).await?;
    let by_id = |instance: Instance| Some((instance.instance_id()?.to_owned(), instance));
    Ok(instances.into_iter().filter_map(by_id).collect())
}

impl LaunchedHost {
    /// The host if it runs, nothing if it does not yet.
    fn as_it_is(&self, seen: &BTreeMap<String, Instance>) -> Result<Option<CloudHost>, LaunchError> {
        // It is not there *yet*: what was launched takes a moment to be seen everywhere.
        let Some(instance) = seen.get(&self.instance) else { return Ok(None) };
        let state = instance.state().and_then(|state| state.name());
        match state {
            Some(InstanceStateName::Running) => {}
            Some(InstanceStateName::Pending) | None => return Ok(None),
            Some(other) => {
                let reason = instance.state_reason().and_then(|reason| reason.message());
                let reason = reason.or(instance.state_transition_reason()).unwrap_or("no reason is given");
                return Err(LaunchError::Died {
                    group: self.group.to_string(),
                    instance: self.instance.clone(),
                    state: other.to_string(),
                    reason: reason.to_owned(),
                });
            }
        }
        let address = |text: Option<&str>| text.and_then(|text| text.parse::<Ipv4Addr>().ok());
        let private = address(instance.private_ip_address());
        // Running comes before the address sometimes.
        let Some((private_ip, public_ip)) = private.zip(address(instance.public_ip_address())) else {
            return Ok(None);
        };
        Ok(Some(CloudHost {
            instance: self.instance.clone(),
            group: self.group,
            index: self.index,
            private_ip,
            public_ip,
            zone: instance.placement().and_then(|at| at.availability_zone()).unwrap_or_default().to_owned(),
            instance_type: instance.instance_type().map(|it| it.as_str()).unwrap_or_default().to_owned(),
        }))
    }
}

/// The form in which the API takes user data.
fn encode(script: Blob) -> String {
    aws_smithy_types::base64::encode(script)
}
