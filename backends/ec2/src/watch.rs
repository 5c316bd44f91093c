//! Watching the hosts out of band: no byte of it crosses a control connection, and nothing of it runs on a host.

use crate::api::Account;
use crate::hosts::CloudHost;
use crate::inventory;
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use backends::hosts::LostHost;
use mio::unix::pipe;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Between two looks, in multiples of the account's poll interval: a host that dies takes its connection with it, and
/// this is for the one that takes nothing else.
const LOOKS_APART: u32 = 5;

/// So many looks in a row must not find a host until it is lost: one answer of the service may leave out what runs.
const LOOKS_WITHOUT_MAX: u32 = 3;

/// A look at all hosts every now and then.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Becomes readable when a host is lost.
    pub(crate) source: pipe::Receiver,
    lost: mpsc::Receiver<LostHost>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Watches `hosts` of `run`.
    ///
    /// # Errors
    /// If the system has no pipe to give.
    pub(crate) fn start(
        runtime: &Handle,
        account: Account,
        run: String,
        hosts: Vec<CloudHost>,
    ) -> io::Result<Self> {
        let (mut bell, source) = pipe::new()?;
        let (sender, lost) = mpsc::channel();
        let interval = account.poll_interval * LOOKS_APART;
        let task = runtime.spawn(async move {
            let mut known = BTreeSet::new();
            let mut looks = Looks::default();
            loop {
                tokio::time::sleep(interval).await;
                for host in looks.lost_of(&account, &run, &hosts).await {
                    if known.insert((host.group, host.index)) && sender.send(host).is_ok() {
                        // A full pipe is readable as well.
                        let _ = bell.write(&[0]);
                    }
                }
            }
        });
        Ok(Self { source, lost, task })
    }

    /// The hosts that were lost since the last call.
    pub(crate) fn take(&mut self) -> Vec<LostHost> {
        let mut bytes = [0; 64];
        while self.source.read(&mut bytes).is_ok_and(|len| len > 0) {}
        self.lost.try_iter().collect()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until one of `hosts` does not run any more; returns all that are found then.
pub(crate) async fn first_losses(account: &Account, run: &str, hosts: &[CloudHost]) -> Vec<LostHost> {
    let mut looks = Looks::default();
    loop {
        tokio::time::sleep(account.poll_interval * LOOKS_APART).await;
        let lost = looks.lost_of(account, run, hosts).await;
        if !lost.is_empty() {
            return lost;
        }
    }
}

/// What earlier looks have told.
#[derive(Debug, Default)]
struct Looks {
    /// How many looks in a row, up to the last, have not found an instance, by its id.
    without: BTreeMap<String, u32>,
}

impl Looks {
    /// The hosts that do not run any more. A look that fails tells nothing.
    async fn lost_of(&mut self, account: &Account, run: &str, hosts: &[CloudHost]) -> Vec<LostHost> {
        match inventory::instances(account, Some(run)).await {
            Ok(seen) => hosts.iter().filter_map(|host| self.lost(host, &seen)).collect(),
            Err(_) => vec![],
        }
    }

    fn lost(&mut self, host: &CloudHost, seen: &[Instance]) -> Option<LostHost> {
        let instance = seen.iter().find(|instance| instance.instance_id() == Some(&host.instance));
        let how = match instance {
            Some(instance) => {
                self.without.remove(&host.instance);
                lost_state(instance)?
            }
            None => {
                let looks = self.without.entry(host.instance.clone()).or_default();
                *looks = looks.saturating_add(1);
                (*looks >= LOOKS_WITHOUT_MAX).then(|| "gone".to_owned())?
            }
        };
        Some(LostHost {
            group: host.group,
            index: usize::from(host.index),
            reason: format!("instance {} is {how}", host.instance),
        })
    }
}

/// The state of an instance that does not run any more, and why. Without a state nothing is told.
fn lost_state(instance: &Instance) -> Option<String> {
    let state = instance.state()?.name()?;
    if matches!(state, InstanceStateName::Running | InstanceStateName::Pending) {
        return None;
    }
    let reason = instance.state_transition_reason().filter(|reason| !reason.is_empty());
    Some(reason.map_or_else(|| state.to_string(), |reason| format!("{state}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::fake_service::{FakeService, Reply};
    use russula_proto::Group;
    use std::net::Ipv4Addr;

    const RUN: &str = "20261123-041500-1a2b";

    /// A service whose answers to DescribeInstances tell of one instance, in turn in these states; it is absent in
    /// those without one.
    fn service(states: &'static [Option<&'static str>]) -> FakeService {
        let mut states = states.iter();
        FakeService::start(move |_| {
            let Some(state) = states.next() else { return Reply::xml(400, "<Response/>") };
            let item = state.map(|state| {
                format!(
                    "<item><instancesSet><item><instanceId>i-1</instanceId><instanceState><name>{state}</name>\
                     </instanceState></item></instancesSet></item>"
                )
            });
            let set = format!("<reservationSet>{}</reservationSet>", item.unwrap_or_default());
            Reply::xml(200, &format!("<DescribeInstancesResponse>{set}</DescribeInstancesResponse>"))
        })
    }

    /// After which look the host is lost, and how.
    async fn lost_after(states: &'static [Option<&'static str>]) -> Option<(usize, String)> {
        let address = Ipv4Addr::LOCALHOST;
        let host = CloudHost {
            instance: "i-1".into(),
            group: Group::Client,
            index: 2,
            private_ip: address,
            public_ip: address,
            zone: String::new(),
            instance_type: String::new(),
        };
        let service = service(states);
        let (account, mut looks) = (service.account(), Looks::default());
        for look in 1..=states.len() {
            if let [lost] = &looks.lost_of(&account, RUN, std::slice::from_ref(&host)).await[..] {
                assert_eq!((lost.group, lost.index), (Group::Client, 2));
                return Some((look, lost.reason.clone()));
            }
        }
        None
    }

    #[tokio::test]
    async fn a_host_is_lost_when_its_state_says_so_or_when_it_stays_away() {
        let lost = |look, how: &str| Some((look, format!("instance i-1 is {how}")));
        assert_eq!(lost_after(&[Some("running"), Some("shutting-down")]).await, lost(2, "shutting-down"));
        assert_eq!(lost_after(&[None, None, Some("running"), None, None, Some("pending")]).await, None);
        assert_eq!(lost_after(&[Some("running"), None, None, None]).await, lost(4, "gone"));
    }
}
