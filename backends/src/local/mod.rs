//! Hosts on this machine: each is a loopback address of its own with a worker process.
//!
//! Linux answers on all of 127.0.0.0/8, so a program that binds 127.0.1.3 *is* the host 127.0.1.3. The workers
//! live and die with this process: their stdin is a pipe from it, and they end when the pipe does.

mod ports;
mod worker_log;
mod worker_process;

use crate::hosts::{Host, Hosts, LostHost, Results};
use crate::tcp::Coordinators;
use mio::Token;
use mio::unix::SourceFd;
use russula_proto::{Group, Key};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use worker_process::{ListenError, WorkerProcess};

/// Most hosts of a group; 127.0.1.1 to 127.0.100.254 for servers, 127.0.101.1 to 127.0.200.254 for clients.
pub const GROUP_MAX: usize = HOSTS_PER_NET * 100;

const HOSTS_PER_NET: usize = 254;

/// For all workers to say where they listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);

/// For a worker that was told to end, on top of the time that its driver gets.
const END_LIMIT: Duration = Duration::from_secs(3);

/// What is to be launched.
#[derive(Clone, Debug)]
pub struct LocalPlan {
    /// The executable that is a worker when it is started with `worker_args`.
    pub worker: PathBuf,
    /// What makes it one.
    pub worker_args: Vec<OsString>,
    /// Arguments for every worker: scenario, output directory, limits.
    pub common_args: Vec<OsString>,
    /// Arguments for the workers of a group: its drivers.
    pub server_args: Vec<OsString>,
    /// Likewise for the clients.
    pub client_args: Vec<OsString>,
    /// The key of the run, which the workers get through their stdin.
    pub key: Key,
    /// Where the workers' logs go.
    pub out: PathBuf,
    /// How many servers.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
    /// How long a driver may take to end after SIGTERM.
    pub kill_grace: Duration,
}

/// Why there are no hosts.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// More hosts than there are addresses.
    #[error("the scenario has {count} {group} hosts, at most {GROUP_MAX} fit on one machine")]
    TooMany {
        /// The group.
        group: Group,
        /// How many it has.
        count: usize,
    },
    /// Not enough ports for the servers.
    #[error("there are no {0} free ports for the servers between 10000 and 30000")]
    NoPorts(usize),
    /// A worker cannot be started.
    #[error("the worker of {group} {host} cannot be started: {source}")]
    Start {
        /// The group.
        group: Group,
        /// Address of the host.
        host: IpAddr,
        /// The system's word for it.
        source: io::Error,
    },
    /// Whoever wanted the hosts does not want them any more.
    #[error("interrupted while the workers were started")]
    Cancelled,
    /// A worker ended or kept silent instead of listening.
    #[error("the worker of {group} {host} does not listen: {reason}")]
    Listen {
        /// The group.
        group: Group,
        /// Address of the host.
        host: IpAddr,
        /// What it did instead, and where its log is.
        reason: String,
    },
}

/// Hosts on this machine. Dropping them ends their workers, and the workers their drivers.
#[derive(Debug)]
pub struct LocalHosts {
    servers: Vec<Host>,
    clients: Vec<Host>,
    /// Servers first, then clients; in the order of their tokens.
    workers: Vec<WorkerProcess>,
    kill_grace: Duration,
}

impl LocalHosts {
    /// Starts a worker for every host and waits until all of them listen, or `cancel` becomes readable.
    ///
    /// # Errors
    /// The first thing that went wrong; the workers that were started already are ended.
    pub fn launch(plan: &LocalPlan, cancel: BorrowedFd) -> Result<Self, LocalError> {
        for (group, count) in [(Group::Server, plan.servers), (Group::Client, plan.clients)] {
            if count > GROUP_MAX {
                return Err(LocalError::TooMany { group, count });
            }
        }
        let ports = ports::find_free(plan.servers).ok_or(LocalError::NoPorts(plan.servers))?;
        let mut hosts =
            Self { servers: vec![], clients: vec![], workers: vec![], kill_grace: plan.kill_grace };
        let free_by = Instant::now() + END_LIMIT + plan.kill_grace;
        for (index, port) in ports.iter().enumerate() {
            let own_args = ["--port".into(), port.to_string()];
            hosts.start(plan, Group::Server, index, &own_args, (free_by, cancel))?;
        }
        let servers: Vec<String> = ports
            .iter()
            .enumerate()
            .flat_map(|(index, port)| {
                ["--server".into(), SocketAddr::new(address(Group::Server, index), *port).to_string()]
            })
            .collect();
        for index in 0..plan.clients {
            hosts.start(plan, Group::Client, index, &servers, (free_by, cancel))?;
        }
        let deadline = Instant::now() + LISTEN_LIMIT;
        for worker in &mut hosts.workers {
            let control = worker.wait_until_listening(deadline, cancel);
            let control = control.map_err(|error| local_error(error, worker.group, worker.host))?;
            let host = Host { address: worker.host, control };
            match worker.group {
                Group::Server => hosts.servers.push(host),
                Group::Client => hosts.clients.push(host),
                Group::Probe => {}
            }
        }
        Ok(hosts)
    }

    fn start(
        &mut self,
        plan: &LocalPlan,
        group: Group,
        index: usize,
        own_args: &[String],
        (free_by, cancel): (Instant, BorrowedFd),
    ) -> Result<(), LocalError> {
        let host = address(group, index);
        let group_args = match group {
            Group::Server => plan.server_args.as_slice(),
            Group::Client => plan.client_args.as_slice(),
            Group::Probe => &[],
        };
        let listen = SocketAddr::new(host, 0).to_string();
        let index_text = index.to_string();
        let place = [
            group.name(),
            "--exit-with-stdin",
            "--key-file",
            "-",
            "--listen",
            &listen,
            "--index",
            &index_text,
        ]
        .map(OsString::from);
        let args = plan.worker_args.iter().chain(&place).chain(&plan.common_args).chain(group_args).cloned();
        let args: Vec<OsString> = args.chain(own_args.iter().map(OsString::from)).collect();
        let log = plan.out.join(crate::layout::worker_log(group, &host.to_string()));
        let log_file = worker_log::open(&log, free_by, cancel);
        let log_file = log_file.map_err(|error| local_error(error, group, host))?;
        let worker =
            WorkerProcess::start(&plan.worker, &args, &plan.key, group, index, host, (&log, log_file))
                .map_err(|source| LocalError::Start { group, host, source })?;
        self.workers.push(worker);
        Ok(())
    }

    fn end(&mut self, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        for worker in &mut self.workers {
            worker.let_go();
        }
        self.workers.iter_mut().filter_map(|worker| worker.end(deadline)).collect()
    }
}

impl Hosts for LocalHosts {
    fn group(&self, group: Group) -> &[Host] {
        match group {
            Group::Server => &self.servers,
            Group::Client => &self.clients,
            Group::Probe => &[],
        }
    }

    fn watch(&mut self, coordinators: &mut Coordinators, first: Token) -> io::Result<()> {
        for (nth, worker) in self.workers.iter().enumerate() {
            let pidfd = worker.exit_fd().as_raw_fd();
            coordinators.register(&mut SourceFd(&pidfd), Token(first.0 + nth))?;
        }
        Ok(())
    }

    fn lost(&mut self) -> Vec<LostHost> {
        self.workers.iter_mut().filter_map(WorkerProcess::take_loss).collect()
    }

    fn results(&self) -> Results {
        Results::InRunDirectory
    }

    fn outlive_the_orchestrator(&self) -> bool {
        false
    }

    fn release(&mut self) -> Vec<String> {
        self.end(END_LIMIT + self.kill_grace)
    }

    fn destroy(&mut self) -> Vec<String> {
        self.end(Duration::ZERO)
    }
}

impl Drop for LocalHosts {
    fn drop(&mut self) {
        for left in self.release() {
            tracing::error!("{left}");
        }
    }
}

fn local_error(error: ListenError, group: Group, host: IpAddr) -> LocalError {
    match error {
        ListenError::Cancelled => LocalError::Cancelled,
        ListenError::Worker(reason) => LocalError::Listen { group, host, reason },
    }
}

/// The address of a host; `index` is below [`GROUP_MAX`].
fn address(group: Group, index: usize) -> IpAddr {
    let first_net = match group {
        Group::Server | Group::Probe => 1,
        Group::Client => 101,
    };
    let octet = |value: usize| u8::try_from(value).expect("the group's size is limited");
    IpAddr::V4(Ipv4Addr::new(
        127,
        0,
        octet(first_net + index / HOSTS_PER_NET),
        octet(1 + index % HOSTS_PER_NET),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_an_address_of_its_own() {
        assert_eq!(address(Group::Server, 0).to_string(), "127.0.1.1");
        assert_eq!(address(Group::Server, 254).to_string(), "127.0.2.1");
        assert_eq!(address(Group::Server, GROUP_MAX - 1).to_string(), "127.0.100.254");
        assert_eq!(address(Group::Client, 0).to_string(), "127.0.101.1");
        assert_eq!(address(Group::Client, GROUP_MAX - 1).to_string(), "127.0.200.254");
    }
}
