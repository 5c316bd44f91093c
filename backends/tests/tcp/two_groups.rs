//! A repetition of a group of servers and a group of clients, brought on step by step by its test.

use crate::common::no_op::Gate;
use crate::common::{Life, PATIENCE, WorkerPlan, Workers, coordinator_config};
use backends::sock_diag::KernelSockets;
use backends::tcp::{Coordinators, GroupId};
use russula_proto::worker::Finish;
use russula_proto::{
    Coordinator, CoordinatorConfig, Group, KernelCheck, Milestone, QuietWindow, Repetition, RepetitionPhase,
    Takeover, Timestamp,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Servers, and clients whose programs run until a gate is open.
pub(crate) struct Hosts {
    pub(crate) servers: Workers,
    pub(crate) clients: Workers,
    pub(crate) gate: Gate,
}

impl Hosts {
    /// Starts `servers` and `clients`, with what `change` makes of the plan of each group.
    pub(crate) fn start(servers: u16, clients: u16, change: impl Fn(WorkerPlan) -> WorkerPlan) -> Self {
        let gate = Gate::new();
        let clients = WorkerPlan {
            life: Life::UntilOpen(gate.clone()),
            ..change(WorkerPlan::new(Group::Client, clients))
        };
        let servers = change(WorkerPlan::new(Group::Server, servers));
        Self { servers: servers.start(), clients: clients.start(), gate }
    }

    /// Every worker's program was started `starts` times.
    pub(crate) fn assert_starts(&self, starts: u32) {
        for workers in [&self.servers, &self.clients] {
            assert!(workers.starts().into_iter().all(|count| count == starts), "{:?}", workers.starts());
        }
    }
}

/// Two coordinators, and the repetition that they are in.
pub(crate) struct TwoGroups {
    pub(crate) coordinators: Coordinators,
    pub(crate) servers: GroupId,
    pub(crate) clients: GroupId,
    repetition: Repetition,
    configs: (CoordinatorConfig, CoordinatorConfig),
    addresses: (Vec<SocketAddr>, Vec<SocketAddr>),
}

/// What a process has to know to take over from one that died.
pub(crate) struct Successor {
    takeover: Takeover,
    configs: (CoordinatorConfig, CoordinatorConfig),
    addresses: (Vec<SocketAddr>, Vec<SocketAddr>),
}

impl Successor {
    /// Takes over.
    pub(crate) fn begin(self) -> TwoGroups {
        let Self { takeover, configs, addresses } = self;
        TwoGroups::with(configs, addresses, |servers, clients, now| {
            Repetition::take_over(1, 0, &takeover, servers, clients, now)
        })
    }
}

impl TwoGroups {
    /// Begins repetition 1 over workers at these addresses.
    pub(crate) fn begin(servers: Vec<SocketAddr>, clients: Vec<SocketAddr>) -> Self {
        let config = |group, addresses: &[SocketAddr]| {
            coordinator_config(group, u16::try_from(addresses.len()).unwrap())
        };
        let configs = (config(Group::Server, &servers), config(Group::Client, &clients));
        Self::with(configs, (servers, clients), |servers, clients, now| {
            Repetition::begin(1, 0, servers, clients, now)
        })
    }

    /// A repetition that `begin` begins, or takes over.
    fn with(
        configs: (CoordinatorConfig, CoordinatorConfig),
        addresses: (Vec<SocketAddr>, Vec<SocketAddr>),
        begin: impl FnOnce(&mut Coordinator, &mut Coordinator, Timestamp) -> Repetition,
    ) -> Self {
        let mut coordinators = Coordinators::new().unwrap();
        let servers = coordinators.add(configs.0.clone(), addresses.0.clone());
        let clients = coordinators.add(configs.1.clone(), addresses.1.clone());
        let repetition = coordinators.with_both((servers, clients), begin);
        Self { coordinators, servers, clients, repetition, configs, addresses }
    }

    /// What the next process has to know.
    pub(crate) fn successor(&self) -> Successor {
        let (servers, clients) = (self.coordinators.get(self.servers), self.coordinators.get(self.clients));
        let takeover = Takeover {
            phase: self.phase(),
            has_failed: servers.failure().is_some() || clients.failure().is_some(),
            servers: servers.memories().collect(),
            clients: clients.memories().collect(),
        };
        let mut configs = self.configs.clone();
        configs.0.incarnation += 1;
        configs.1.incarnation += 1;
        Successor { takeover, configs, addresses: self.addresses.clone() }
    }

    /// Another process takes over, while this one is still there.
    pub(crate) fn be_replaced(&self) -> Self {
        self.successor().begin()
    }

    /// The process is killed: its sockets are closed, and nothing else happens. Another one takes over.
    pub(crate) fn die_and_be_replaced(self) -> Self {
        let successor = self.successor();
        drop(self);
        successor.begin()
    }

    pub(crate) fn phase(&self) -> RepetitionPhase {
        self.repetition.phase()
    }

    /// Serves the connections, without a step in the repetition, until `condition` holds.
    pub(crate) fn serve_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "'{what}' took longer than {PATIENCE:?}");
            self.coordinators.wait(Some(Duration::from_millis(10))).unwrap();
        }
    }

    /// Both groups have reached it.
    pub(crate) fn have_reached(&self, milestone: Milestone) -> bool {
        [self.servers, self.clients].iter().all(|id| self.coordinators.get(*id).reached() >= Some(milestone))
    }

    /// Goes on as far as the groups have come.
    pub(crate) fn advance(&mut self) {
        let repetition = &mut self.repetition;
        self.coordinators.with_both((self.servers, self.clients), |servers, clients, now| {
            let _ = repetition.advance(servers, clients, now).count();
        });
    }

    /// Serves and goes on until the repetition is in `phase`.
    pub(crate) fn advance_to(&mut self, phase: RepetitionPhase) {
        let start = Instant::now();
        loop {
            self.advance();
            if self.phase() >= phase {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "'{phase:?}' took longer than {PATIENCE:?}");
            self.coordinators.wait(Some(Duration::from_millis(10))).unwrap();
        }
    }

    /// Serves and goes on until every client has confirmed that it runs.
    pub(crate) fn advance_to_window(&mut self) {
        self.advance_to(RepetitionPhase::RunningClients);
        self.serve_until("every client runs", |groups| {
            groups.coordinators.get(groups.clients).reached() >= Some(Milestone::WorkersRunning)
        });
        self.advance();
    }

    /// Takes over a repetition whose clients run, until every worker has been heard: a client may be before a server.
    pub(crate) fn catch_up_in_window(&mut self) {
        self.advance_to_window();
        self.serve_until("every worker is connected", |groups| {
            let peers = [groups.servers, groups.clients].map(|id| groups.coordinators.get(id).peers());
            peers.into_iter().flatten().all(|peer| peer.is_connected)
        });
    }

    /// Nothing has failed so far.
    pub(crate) fn assert_well(&self) {
        for id in [self.servers, self.clients] {
            assert_eq!(self.coordinators.get(id).failure(), None);
        }
    }

    pub(crate) fn quiet(&self) -> Option<QuietWindow> {
        Repetition::quiet(self.coordinators.get(self.servers), self.coordinators.get(self.clients))
    }

    /// Ends the run; every worker hears it.
    pub(crate) fn finish(mut self, hosts: &Hosts) {
        self.coordinators.finish().unwrap();
        for workers in [&hosts.servers, &hosts.clients] {
            assert!(workers.join().into_iter().all(|why| why == Finish::RunOver));
        }
    }
}

/// What the kernel says where everything agrees: nothing where it does not tell its counters.
pub(crate) fn agreement() -> KernelCheck {
    if KernelSockets::open().is_ok() { KernelCheck::Agrees } else { KernelCheck::NotChecked }
}
