//! Whole runs without a network: coordinators and workers that are joined by function calls.
//!
//! Nothing goes wrong by itself; a test cuts, kills and delays what it wants to see cut, killed and delayed.

use super::host::Host;
use super::{coordinator_config, entropy};
use russula_proto::{
    ConnectionId, Coordinator, CoordinatorConfig, Exit, Group, Repetition, RepetitionPhase, Stage,
    StartFailure, Takeover, Timestamp, Traffic, coordinator, worker,
};
use std::time::Duration;

/// One server group and one client group.
pub(crate) struct Run {
    pub(crate) now: Timestamp,
    pub(crate) servers: Side,
    pub(crate) clients: Side,
    pub(crate) repetition: Option<Repetition>,
    /// The phases that were entered.
    pub(crate) phases: Vec<RepetitionPhase>,
    /// After how many outputs the coordinators' process dies.
    pub(crate) dies_after: Option<usize>,
}

/// A coordinator and its hosts.
pub(crate) struct Side {
    pub(crate) config: CoordinatorConfig,
    pub(crate) coordinator: Coordinator,
    pub(crate) hosts: Vec<Host>,
    pub(crate) events: Vec<coordinator::Event>,
}

impl Run {
    /// Machines that have not met yet.
    pub(crate) fn new(servers: u16, clients: u16) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let side = |group, workers| {
            let mut config = coordinator_config(group, workers);
            config.limits.clock_exchanges = 2;
            Side::new(config, now)
        };
        Self {
            now,
            servers: side(Group::Server, servers),
            clients: side(Group::Client, clients),
            repetition: None,
            phases: vec![],
            dies_after: None,
        }
    }

    /// One server and two clients whose programs run in repetition 1.
    pub(crate) fn running() -> Self {
        let mut run = Self::new(1, 2);
        run.begin(1);
        run.pass_until(|run| run.clients.has_all_at(Stage::Running));
        assert_eq!(run.phase(), RepetitionPhase::RunningClients);
        run
    }

    pub(crate) fn begin(&mut self, number: u32) {
        let (servers, clients) = (&mut self.servers.coordinator, &mut self.clients.coordinator);
        self.repetition = Some(Repetition::begin(number, 0, servers, clients, self.now));
        self.phases = vec![RepetitionPhase::Preparing];
        self.settle();
    }

    pub(crate) fn phase(&self) -> RepetitionPhase {
        self.repetition.as_ref().expect("a repetition was begun").phase()
    }

    pub(crate) fn side(&mut self, group: Group) -> &mut Side {
        match group {
            Group::Server => &mut self.servers,
            Group::Client => &mut self.clients,
            Group::Probe => panic!("a run has no probes"),
        }
    }

    pub(crate) fn host(&mut self, group: Group, index: usize) -> &mut Host {
        &mut self.side(group).hosts[index]
    }

    /// Every host.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.servers.hosts.iter().chain(&self.clients.hosts)
    }

    // --- what happens ---

    /// The program of a host runs.
    pub(crate) fn started(&mut self, group: Group, index: usize) {
        let now = self.now;
        self.host(group, index).started(now);
        self.settle();
    }

    /// The program of a host could not be started.
    pub(crate) fn start_failed(&mut self, group: Group, index: usize) {
        let now = self.now;
        let host = self.host(group, index);
        host.has_program = false;
        host.worker.handle_start_failed(StartFailure::spawn("no such file"), host.clock(now));
        self.settle();
    }

    /// The program of a host has ended.
    pub(crate) fn ended(&mut self, group: Group, index: usize, exit: Exit) {
        let now = self.now;
        self.host(group, index).ended(exit, now);
        self.settle();
    }

    /// The connection to a host breaks.
    pub(crate) fn cut(&mut self, group: Group, index: usize) {
        let now = self.now;
        self.side(group).cut(index, now);
        self.settle();
    }

    /// What a host's worker has said and was held gets through.
    pub(crate) fn release(&mut self, group: Group, index: usize) {
        let now = self.now;
        let side = self.side(group);
        side.hosts[index].lets_through = None;
        let held = std::mem::take(&mut side.hosts[index].held);
        side.coordinator.handle_bytes(index, &held, now);
        self.settle();
    }

    /// The worker of a host dies with its program, and another takes its place.
    pub(crate) fn restart(&mut self, group: Group, index: usize) {
        let now = self.now;
        self.side(group).cut(index, now);
        self.host(group, index).restart();
        self.settle();
    }

    /// What another process needs to know, if this one died now.
    pub(crate) fn record(&self) -> Takeover {
        let repetition = self.repetition.as_ref().expect("a repetition was begun");
        repetition.takeover(&self.servers.coordinator, &self.clients.coordinator)
    }

    /// The coordinators' process dies and another takes repetition 1 over with `record`.
    pub(crate) fn take_over(&mut self, record: &Takeover) {
        self.take_over_for(record, None);
    }

    /// The same, with a process that dies in its turn after `outputs` outputs.
    pub(crate) fn take_over_for(&mut self, record: &Takeover, outputs: Option<usize>) {
        for side in [&mut self.servers, &mut self.clients] {
            side.kill_coordinator(self.now);
        }
        self.settle();
        self.dies_after = outputs;
        for side in [&mut self.servers, &mut self.clients] {
            side.config.incarnation += 1;
            side.coordinator = Coordinator::new(side.config.clone(), self.now);
            side.events.clear();
        }
        let (servers, clients) = (&mut self.servers.coordinator, &mut self.clients.coordinator);
        self.repetition = Some(Repetition::take_over(1, 0, record, servers, clients, self.now));
        self.phases = vec![record.phase];
        self.settle();
    }

    /// Time passes, and whatever is due happens when it is.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.settle();
        let end = self.now + duration;
        while let Some(at) = self.next_timer().filter(|at| *at <= end) {
            assert!(at >= self.now, "a time in the past: {at}");
            self.now = at;
            let is_dead = self.is_dead();
            for side in [&mut self.servers, &mut self.clients] {
                side.time_out(at, is_dead);
            }
            self.settle();
        }
        self.now = end;
    }

    /// Time passes until `is_there`, for a minute at the most.
    pub(crate) fn pass_until(&mut self, is_there: impl Fn(&Self) -> bool) {
        self.settle();
        let end = self.now + Duration::from_secs(60);
        while !is_there(self) {
            assert!(self.now < end, "it does not come in a minute: {:?}", self.phases);
            let next = self.next_timer().unwrap_or(end).min(end);
            self.pass(next.since(self.now));
        }
    }

    fn next_timer(&mut self) -> Option<Timestamp> {
        let is_dead = self.is_dead();
        [&mut self.servers, &mut self.clients].into_iter().filter_map(|side| side.next_timer(is_dead)).min()
    }

    /// Moves all bytes and does what the machines ask for, until nothing is left to be done.
    pub(crate) fn settle(&mut self) {
        loop {
            while self.step() {}
            if self.is_dead() {
                return;
            }
            let Some(repetition) = &mut self.repetition else { return };
            let (servers, clients) = (&mut self.servers.coordinator, &mut self.clients.coordinator);
            self.phases.extend(repetition.advance(servers, clients, self.now));
            if !self.step() {
                return;
            }
        }
    }

    /// Whether the coordinators' process has died.
    pub(crate) fn is_dead(&self) -> bool {
        self.dies_after == Some(0)
    }

    fn step(&mut self) -> bool {
        let servers = self.servers.step(self.now, &mut self.dies_after);
        self.clients.step(self.now, &mut self.dies_after) || servers
    }
}

impl Side {
    fn new(config: CoordinatorConfig, now: Timestamp) -> Self {
        Self {
            coordinator: Coordinator::new(config.clone(), now),
            hosts: (0..config.workers).map(|index| Host::new(config.group, index)).collect(),
            events: vec![],
            config,
        }
    }

    /// Whether every worker is known to be at `stage`.
    pub(crate) fn has_all_at(&self, stage: Stage) -> bool {
        self.coordinator.peers().all(|peer| peer.stage == stage)
    }

    /// Whether `event` has been seen.
    pub(crate) fn has_seen(&self, event: &coordinator::Event) -> bool {
        self.events.contains(event)
    }

    fn cut(&mut self, index: usize, now: Timestamp) {
        self.coordinator.handle_connection_failed(index, "connection reset by peer", now);
        self.hosts[index].hang_up(now);
    }

    fn kill_coordinator(&mut self, now: Timestamp) {
        self.hosts.iter_mut().for_each(|host| host.hang_up(now));
    }

    fn time_out(&mut self, now: Timestamp, is_dead: bool) {
        if !is_dead {
            self.coordinator.handle_timeout(now);
        }
        for host in &mut self.hosts {
            host.worker.handle_timeout(host.clock(now));
        }
    }

    fn next_timer(&mut self, is_dead: bool) -> Option<Timestamp> {
        let own = if is_dead { None } else { self.coordinator_timer() };
        let theirs = self.hosts.iter_mut().filter_map(|host| match host.worker.poll_output() {
            worker::Output::Wait(at) => at.map(|at| at.offset_by(-host.clock_us)),
            worker::Output::Transmit(_)
            | worker::Output::Close(_)
            | worker::Output::Start { .. }
            | worker::Output::CheckKernel(_)
            | worker::Output::Terminate
            | worker::Output::Kill
            | worker::Output::Event(_)
            | worker::Output::Finished(_) => panic!("the worker is at rest"),
        });
        theirs.chain(own).min()
    }

    fn coordinator_timer(&mut self) -> Option<Timestamp> {
        let coordinator::Output::Wait(at) = self.coordinator.poll_output() else { panic!("it is at rest") };
        at
    }

    /// Does what the coordinator and the workers ask for; whether they asked for anything.
    fn step(&mut self, now: Timestamp, dies_after: &mut Option<usize>) -> bool {
        let mut any = false;
        while *dies_after != Some(0) {
            match self.coordinator.poll_output() {
                coordinator::Output::Wait(_) => break,
                coordinator::Output::Dial(index) => self.dial(index, now),
                coordinator::Output::Transmit(index) => {
                    let bytes = self.coordinator.outgoing(index).to_vec();
                    self.coordinator.handle_sent(index, bytes.len(), now);
                    self.hosts[index].hear(&bytes, now);
                }
                coordinator::Output::Close(index) => self.hosts[index].hang_up(now),
                coordinator::Output::CheckKernel(index) if !self.hosts[index].has_kernel => {}
                coordinator::Output::CheckKernel(index) => {
                    let of_worker = self.hosts[index].carried;
                    let counted = Traffic {
                        sent_bytes: of_worker.received_bytes,
                        received_bytes: of_worker.sent_bytes,
                    };
                    self.coordinator.handle_kernel_counters(index, counted);
                }
                coordinator::Output::Event(event) => self.events.push(event),
            }
            any = true;
            *dies_after = dies_after.map(|left| left - 1);
        }
        let is_dead = *dies_after == Some(0);
        for index in 0..self.hosts.len() {
            let coordinator = (!is_dead).then_some(&mut self.coordinator);
            any |= self.hosts[index].step(index, coordinator, now);
        }
        any
    }

    fn dial(&mut self, index: usize, now: Timestamp) {
        let host = &mut self.hosts[index];
        if !host.is_reachable || host.finished.is_some() {
            return self.coordinator.handle_connection_failed(index, "connection refused", now);
        }
        let socket = ConnectionId(host.socket_count());
        host.socket = Some(socket);
        host.carried = Traffic::default();
        host.worker.handle_accepted(socket, entropy(), host.clock(now));
        self.coordinator.handle_connected(index, entropy(), now);
    }
}
