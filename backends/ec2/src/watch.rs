//! Watching the hosts out of band: no byte of it crosses a control connection, and nothing of it runs on a host.

use crate::api::Account;
use crate::hosts::CloudHost;
use crate::inventory;
use aws_sdk_ec2::types::InstanceStateName;
use backends::hosts::LostHost;
use mio::unix::pipe;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Between two looks, in multiples of the account's poll interval: a host that dies takes its connection with it, and
/// this is for the one that takes nothing else.
const LOOKS_APART: u32 = 5;

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
            loop {
                tokio::time::sleep(interval).await;
                for host in lost_of(&account, &run, &hosts).await {
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

/// The hosts that do not run any more. A look that fails tells nothing.
async fn lost_of(account: &Account, run: &str, hosts: &[CloudHost]) -> Vec<LostHost> {
    let Ok(seen) = inventory::instances(account, Some(run)).await else { return vec![] };
    let lost = |host: &CloudHost| {
        let instance = seen.iter().find(|instance| instance.instance_id() == Some(&host.instance));
        let state = instance.and_then(|instance| instance.state()).and_then(|state| state.name());
        if state == Some(&InstanceStateName::Running) {
            return None;
        }
        let state = state.map_or("gone".to_owned(), ToString::to_string);
        let reason = instance.and_then(|instance| instance.state_transition_reason()).unwrap_or_default();
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        Some(LostHost {
            group: host.group,
            index: usize::from(host.index),
            reason: format!("instance {} is {state}{reason}", host.instance),
        })
    };
    hosts.iter().filter_map(lost).collect()
}

