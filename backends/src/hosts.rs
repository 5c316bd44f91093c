//! Hosts: what a run needs of a backend, wherever its hosts come from.
//!
//! A backend launches hosts (or is given them), has a worker listening on each, and takes them back. The run
//! itself is the same for every backend; see the `runner`.

use crate::tcp::Coordinators;
use mio::Token;
use russula_proto::Group;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A host with a worker on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Address by which people and files know the host.
    pub address: IpAddr,
    /// Where its worker listens for the coordinator.
    pub control: SocketAddr,
}

/// A host that will not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostHost {
    /// Its group.
    pub group: Group,
    /// Its place in the group.
    pub index: usize,
    /// What is known about it.
    pub reason: String,
}

/// What came of bringing the results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// What could not be brought, in words for the user.
    pub problems: Vec<String>,
    /// Whether that was the user's wish.
    pub is_interrupted: bool,
}

/// Where the results of the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// The workers write them into the run directory itself.
    InRunDirectory,
    /// On the hosts, from where [`Hosts::fetch`] brings them after the last repetition.
    Fetched,
    /// On the hosts, where they stay.
    OnHosts,
}

/// The hosts of a run.
pub trait Hosts {
    /// The hosts of a group, by index.
    fn group(&self, group: Group) -> &[Host];

    /// Watches the hosts out of band: whoever waits for `coordinators` wakes up when one is lost. The tokens
    /// used are at least `first` and below [`WAKEUP_TOKENS`](crate::tcp::WAKEUP_TOKENS).
    ///
    /// # Errors
    /// What the system says to it.
    fn watch(&mut self, coordinators: &mut Coordinators, first: Token) -> std::io::Result<()>;

    /// The hosts that were lost since the last call.
    fn lost(&mut self) -> Vec<LostHost>;

    /// Where the results of the workers are.
    fn results(&self) -> Results;

    /// Brings the results of all repetitions into the run directory, if they are [`Results::Fetched`]; called once,
    /// after the last repetition.
    fn fetch(&mut self, run_directory: &Path) -> Fetched {
        let _ = run_directory;
        Fetched::default()
    }

    /// Whether the workers, and what they run, go on without the orchestrator, so that another one can take over.
    fn outlive_the_orchestrator(&self) -> bool;

    /// Takes back everything, politely where the workers were told that the run is over, by force where they
    /// do not end. Returns what could not be taken back, in words for the user.
    fn release(&mut self) -> Vec<String>;

    /// They are somebody else's, or will be: from now on nothing gives them back.
    fn leave(&mut self) {}

    /// As [`Self::release`], without waiting for anybody.
    fn destroy(&mut self) -> Vec<String>;
}

/// Hosts whose workers somebody else started and will end.
#[derive(Clone, Debug)]
pub struct AttachedHosts {
    servers: Vec<Host>,
    clients: Vec<Host>,
}

impl AttachedHosts {
    /// Hosts by the addresses of their workers.
    pub fn new(servers: &[SocketAddr], clients: &[SocketAddr]) -> Self {
        let hosts = |addresses: &[SocketAddr]| {
            addresses.iter().map(|&control| Host { address: control.ip(), control }).collect()
        };
        Self { servers: hosts(servers), clients: hosts(clients) }
    }
}

impl Hosts for AttachedHosts {
    fn group(&self, group: Group) -> &[Host] {
        match group {
            Group::Server => &self.servers,
            Group::Client => &self.clients,
            Group::Probe => &[],
        }
    }

    fn watch(&mut self, _: &mut Coordinators, _: Token) -> std::io::Result<()> {
        Ok(())
    }

    fn lost(&mut self) -> Vec<LostHost> {
        Vec::new()
    }

    fn results(&self) -> Results {
        Results::OnHosts
    }

    fn outlive_the_orchestrator(&self) -> bool {
        true
    }

    fn release(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn destroy(&mut self) -> Vec<String> {
        let workers = self.servers.iter().chain(&self.clients);
        let addresses: Vec<String> = workers.map(|host| host.control.to_string()).collect();
        vec![format!(
            "the workers that somebody else started ({}); each stops its driver and ends when no coordinator comes \
             within its --orphan-timeout",
            addresses.join(", ")
        )]
    }
}
