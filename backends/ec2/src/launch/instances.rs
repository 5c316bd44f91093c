//! The hosts: as few launches as there are kinds, and one look at all of them at a time.

use super::request::{Attempt, Created, Order, attempts};
use super::{Launch, LaunchError, once_seen};
use crate::api::{Account, ApiError, Pace, call};
use crate::hosts::CloudHost;
use crate::inventory;
use crate::journal::ResourceKind;
use crate::plan::{Kind, Placement};
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use russula_proto::Group;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// For all hosts to run, from their launch.
const RUNNING_LIMIT: Duration = Duration::from_secs(600);

/// Hosts that an error names; the others are counted.
const NAMED_MAX: usize = 8;

/// A host that was launched, with its place in the run.
#[derive(Debug)]
pub(super) struct LaunchedHost {
    instance: String,
    group: Group,
    index: u16,
    zone: String,
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
        is_given_up: &Cell<bool>,
    ) -> Result<Vec<LaunchedHost>, LaunchError> {
        let mut tried = Vec::new();
        for attempt in attempts(self.plan, kind) {
            if is_given_up.get() {
                return Err(LaunchError::GivenUp { what: kind.describe() });
            }
            match self.attempt(nth, kind, &attempt, security_group).await {
                Ok(launched) => return Ok(launched),
                Err(LaunchError::Api(error)) if attempt.is_worth_another(&error) => {
                    tried.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Err(LaunchError::NoCapacity { what: kind.describe(), tried })
    }

    async fn attempt(
        &self,
        nth: usize,
        kind: &Kind,
        attempt: &Attempt<'_>,
        security_group: &str,
    ) -> Result<Vec<LaunchedHost>, LaunchError> {
        let zone = &attempt.subnet.zone;
        let placement_group = match kind.placement.strategy() {
            Some(strategy) => Some(self.create_placement_group(strategy, zone).await?),
            None => None,
        };
        let token = self.token(nth, attempt);
        self.journal.intend(ResourceKind::Instances, &token)?;
        let what = self.describe(kind, zone);
        let created =
            Created { token: token.clone(), security_group: security_group.to_owned(), placement_group };
        let launch = async || {
            let request = self.order().request(kind, attempt, Some(&created));
            call("RunInstances", &what, request.send()).await
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
        let host = |(instance, index): (String, &u16)| LaunchedHost {
            instance,
            group: kind.group,
            index: *index,
            zone: zone.clone(),
        };
        Ok(ids.into_iter().zip(&kind.indices).map(host).collect())
    }

    /// An answer that is lost does not launch twice: the same token means the same hosts
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
    fn token(&self, nth: usize, attempt: &Attempt<'_>) -> String {
        let market = if attempt.is_spot { "spot" } else { "plain" };
        format!("{}-{nth}-{market}-{}", self.names.run(), attempt.subnet.zone)
    }

    fn order(&self) -> Order<'_> {
        let Self { account, infrastructure, names, tags, plan, settings, journal: _ } = *self;
        Order { account, infrastructure, names, tags, plan, settings }
    }

    /// Waits until all hosts run; one look is one call for each thousand of them.
    pub(super) async fn wait_until_running(
        &self,
        launched: Vec<LaunchedHost>,
    ) -> Result<Vec<CloudHost>, LaunchError> {
        let mut pace = Pace::new("hosts running", RUNNING_LIMIT, self.account.poll_interval);
        loop {
            let seen = look(self.account, self.names.run().as_str()).await?;
            let seen: Result<Vec<_>, _> = launched.iter().map(|host| host.as_it_is(&seen)).collect();
            let (mut ready, mut lacking) = (Vec::new(), Vec::new());
            for (host, seen) in launched.iter().zip(seen?) {
                match seen {
                    Seen::Ready(seen) => ready.push(seen),
                    Seen::Lacking(lack) => lacking.push((host, lack)),
                }
            }
            if lacking.is_empty() {
                return Ok(ready);
            }
            if let Err(source) = pace.wait().await {
                return Err(LaunchError::Deadline {
                    source,
                    running: ready.len(),
                    expected: launched.len(),
                    waiting: in_words(&lacking),
                });
            }
        }
    }
}

/// What is to be said of hosts that are not as close as was asked: a cluster does not cross zones, and the groups look
/// for room independently of each other.
pub(super) fn apart(kinds: &[Kind], launched: &[LaunchedHost]) -> Option<String> {
    if !kinds.iter().all(|kind| kind.placement == Placement::Cluster) {
        return None;
    }
    // Zones that were named are as they were asked for.
    if kinds.iter().all(|kind| kind.zones.len() == 1) {
        return None;
    }
    let zones = |group| {
        let hosts = launched.iter().filter(|host| host.group == group);
        hosts.map(|host| host.zone.as_str()).collect::<BTreeSet<_>>()
    };
    let (servers, clients) = (zones(Group::Server), zones(Group::Client));
    if servers.is_empty() || clients.is_empty() || servers == clients {
        return None;
    }
    let named = |zones: BTreeSet<&str>| zones.into_iter().collect::<Vec<_>>().join(", ");
    Some(format!(
        "warning: servers are in {}, clients in {}: cluster placement holds only within a group; name one zone for both \
         to have them close to each other",
        named(servers),
        named(clients)
    ))
}

/// What a look at a launched host shows.
enum Seen {
    Ready(CloudHost),
    Lacking(Lack),
}

/// What a host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// The list of instances does not have it yet.
    Mention,
    /// It is pending.
    Start,
    /// It runs without an address in its network.
    PrivateAddress,
    /// It runs and cannot be reached.
    PublicAddress,
}

impl Lack {
    fn describe(self) -> &'static str {
        match self {
            Self::Mention => "is not known to the service yet",
            Self::Start => "is pending",
            Self::PrivateAddress => "runs, but has no private address",
            Self::PublicAddress => "runs, but has no public address",
        }
    }

    /// What the user can do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Mention | Self::Start => "try another zone or instance type",
            Self::PrivateAddress | Self::PublicAddress => {
                "try another zone, and see whether its subnet may give public IPv4 addresses"
            }
        }
    }
}

/// Each host with what it lacks, then what can be done about it.
fn in_words(lacking: &[(&LaunchedHost, Lack)]) -> Vec<String> {
    let each = |(host, lack): &(&LaunchedHost, Lack)| {
        format!("{} {} {}", host.group, host.instance, lack.describe())
    };
    let mut words: Vec<String> = lacking.iter().take(NAMED_MAX).map(each).collect();
    if lacking.len() > NAMED_MAX {
        words.push(format!("{} more are not ready", lacking.len() - NAMED_MAX));
    }
    let remedies: BTreeSet<&str> = lacking.iter().map(|(_, lack)| lack.remedy()).collect();
    words.extend(remedies.into_iter().map(str::to_owned));
    words
}

async fn look(account: &Account, run: &str) -> Result<BTreeMap<String, Instance>, ApiError> {
    let instances = inventory::instances(account, Some(run)).await?;
    let by_id = |instance: Instance| Some((instance.instance_id()?.to_owned(), instance));
    Ok(instances.into_iter().filter_map(by_id).collect())
}

impl LaunchedHost {
    fn as_it_is(&self, seen: &BTreeMap<String, Instance>) -> Result<Seen, LaunchError> {
        // It is not there *yet*: what was launched takes a moment to be seen everywhere.
        let Some(instance) = seen.get(&self.instance) else { return Ok(Seen::Lacking(Lack::Mention)) };
        let state = instance.state().and_then(|state| state.name());
        match state {
            Some(InstanceStateName::Running) => {}
            Some(InstanceStateName::Pending) | None => return Ok(Seen::Lacking(Lack::Start)),
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
        // Running comes before the addresses sometimes.
        let Some(private_ip) = address(instance.private_ip_address()) else {
            return Ok(Seen::Lacking(Lack::PrivateAddress));
        };
        let Some(public_ip) = address(instance.public_ip_address()) else {
            return Ok(Seen::Lacking(Lack::PublicAddress));
        };
        Ok(Seen::Ready(CloudHost {
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

#[cfg(test)]
mod tests;
