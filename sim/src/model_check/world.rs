//! The machines of the model, joined: what they ask for is done, and what was seen is held against the rules.

use super::host::{Host, Life, Program};
use super::mutation::Mutation;
use super::rules::{Breach, Rule};
use super::setup::{KEY, LIMITS, SESSION, START, Setup, worker_config};
use super::wire::{Wire, decoded};
use russula_proto::wire::CoordinatorMessage;
use russula_proto::{
    ConnectionId, Coordinator, CoordinatorConfig, Exit, Group, Milestone, Repetition, Target, Timestamp,
    coordinator, worker,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The repetition of every run.
pub(super) const REPETITION: u32 = 1;

pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) mutation: Mutation,
    pub(super) now: Timestamp,
    pub(super) sides: Vec<Side>,
    /// Of a run with both groups.
    pub(super) repetition: Option<Repetition>,
    /// How far a group without the other one was told to go.
    pub(super) asked: Milestone,
    /// Whether the repetition has failed or was given up, also under an earlier process.
    pub(super) has_failed: bool,
    /// Faults that may still happen.
    pub(super) faults_left: u8,
    /// Whether something has happened that may fail a repetition.
    pub(super) is_harmed: bool,
    pub(super) is_finishing: bool,
    /// The first rule that was broken.
    pub(super) breach: Option<Breach>,
    /// What was seen, if somebody wants to read it.
    pub(super) log: Option<Vec<String>>,
}

pub(super) struct Side {
    pub(super) coordinator: Coordinator,
    config: CoordinatorConfig,
    /// Until when the coordinator waits, once it is at rest.
    pub(super) wait: Option<Timestamp>,
    pub(super) hosts: Vec<Host>,
    /// Whether this process has said that the group is done.
    pub(super) is_done: bool,
}

impl World {
    pub(super) fn new(setup: Setup, faults: u8, mutation: Mutation) -> Self {
        let sides: Vec<Side> = setup.groups().iter().map(|&(group, hosts)| Side::new(group, hosts)).collect();
        let mut world = Self {
            setup,
            mutation,
            now: START,
            asked: setup.first_milestone(),
            has_failed: false,
            sides,
            repetition: None,
            faults_left: faults,
            is_harmed: false,
            is_finishing: false,
            breach: None,
            log: None,
        };
        match &mut world.sides[..] {
            [servers, clients] => {
                let (servers, clients) = (&mut servers.coordinator, &mut clients.coordinator);
                world.repetition = Some(Repetition::begin(REPETITION, 0, servers, clients, START));
            }
            sides => sides.iter_mut().for_each(|side| {
                side.coordinator.begin(REPETITION, 0, START);
                side.coordinator.run_till(setup.first_milestone(), START);
            }),
        }
        world.settle();
        world
    }

    /// Does what the machines ask for, until nothing is left to be done.
    pub(super) fn settle(&mut self) {
        loop {
            let mut any = false;
            for side in 0..self.sides.len() {
                any |= self.drain_coordinator(side);
                for host in 0..self.sides[side].hosts.len() {
                    any |= self.drain_worker(side, host);
                }
            }
            if !any && !self.orchestrate() {
                break;
            }
        }
        self.check_state();
    }

    // --- what the machines ask for ---

    fn drain_coordinator(&mut self, side: usize) -> bool {
        let mut any = false;
        loop {
            let Side { coordinator, hosts, .. } = &mut self.sides[side];
            match coordinator.poll_output() {
                coordinator::Output::Wait(at) => {
                    self.sides[side].wait = at;
                    return any;
                }
                coordinator::Output::Dial(index) => hosts[index].is_dialed = true,
                coordinator::Output::Transmit(index) => {
                    let bytes = coordinator.outgoing(index).to_vec();
                    coordinator.handle_sent(index, bytes.len(), self.now);
                    if let Some(wire) = hosts[index].wires.iter_mut().find(|wire| wire.is_dialer_open)
                        && wire.is_worker_open
                    {
                        wire.to_worker.push(&bytes);
                    }
                }
                coordinator::Output::Close(index) => {
                    let host = &mut hosts[index];
                    host.is_dialed = false;
                    host.wires.iter_mut().filter(|wire| wire.is_dialer_open).for_each(Wire::close_dialer);
                    host.wires.retain(Wire::is_open);
                }
                coordinator::Output::CheckKernel(_) => {}
                coordinator::Output::Event(event) => self.note_coordinator(side, &event),
            }
            any = true;
        }
    }

    fn note_coordinator(&mut self, side: usize, event: &coordinator::Event) {
        let group = self.sides[side].coordinator.group();
        self.note(|| format!("  {group}s' coordinator: {event:?}"));
        self.has_failed |= matches!(event, coordinator::Event::Failed(_));
        if *event == coordinator::Event::Reached(Milestone::Done) {
            self.sides[side].is_done = true;
            self.check_done(side);
        }
    }

    fn drain_worker(&mut self, side: usize, index: usize) -> bool {
        let mut any = false;
        loop {
            let host = &mut self.sides[side].hosts[index];
            let Some(worker) = &mut host.worker else { return any };
            match worker.poll_output() {
                worker::Output::Wait(at) => {
                    host.wait = at;
                    return any;
                }
                worker::Output::Transmit(socket) => {
                    let bytes = worker.outgoing(socket).to_vec();
                    worker.handle_sent(socket, bytes.len(), self.now);
                    if let Some(wire) = host.wires.iter_mut().find(|wire| wire.socket == socket)
                        && wire.is_dialer_open
                    {
                        wire.to_dialer.push(&bytes);
                    }
                }
                worker::Output::Close(socket) => {
                    let closed = host.wires.iter_mut().filter(|wire| wire.socket == socket);
                    closed.for_each(Wire::close_worker);
                    host.wires.retain(Wire::is_open);
                }
                worker::Output::Start { .. } => self.start(side, index),
                worker::Output::Terminate | worker::Output::Kill
                    if self.mutation == Mutation::NeverStopsPrograms => {}
                worker::Output::Terminate => {
                    host.program = Program::Stopping;
                    self.check_stop(side);
                }
                worker::Output::Kill => self.end_program(side, index, Exit::Signal(9)),
                worker::Output::CheckKernel(_) => {}
                worker::Output::Event(event) => self.note_worker(side, index, &event),
                worker::Output::Finished(why) => {
                    self.note(|| format!("  worker {index}: {why}"));
                    let host = &mut self.sides[side].hosts[index];
                    host.life = Life::Ended;
                    host.worker = None;
                    host.wires.iter_mut().for_each(Wire::close_worker);
                    host.wires.retain(Wire::is_open);
                }
            }
            any = true;
        }
    }

    fn note_worker(&mut self, side: usize, index: usize, event: &worker::Event) {
        let group = self.sides[side].coordinator.group();
        self.note(|| format!("  {group} {index}: {event}"));
        if matches!(event, worker::Event::State { to: "Ready", repetition: REPETITION, .. }) {
            self.sides[side].hosts[index].was_ready = true;
            if self.mutation == Mutation::StartsWhenReady {
                self.start(side, index);
            }
        }
    }

    fn start(&mut self, side: usize, index: usize) {
        let host = &mut self.sides[side].hosts[index];
        host.starts += 1;
        host.program = Program::Starting;
        self.check_start(side, index);
    }

    // --- programs ---

    pub(super) fn end_program(&mut self, side: usize, index: usize, exit: Exit) {
        let host = &mut self.sides[side].hosts[index];
        host.program = Program::None;
        let outcome = host.outcome(exit);
        host.produced = Some(outcome.clone());
        let is_lie = self.mutation == Mutation::TellsAnotherOutcome;
        let told = if is_lie { host.outcome(Exit::Code(0)) } else { outcome };
        if let Some(worker) = &mut host.worker {
            worker.handle_program_ended(told, self.now);
        }
    }

    // --- connections ---

    /// Makes the connection that the coordinator waits for, and shakes hands on it.
    pub(super) fn connect(&mut self, side: usize, index: usize) {
        let now = self.now;
        let host = &mut self.sides[side].hosts[index];
        let socket = host.next_socket();
        host.is_dialed = false;
        host.wires.push(Wire::new(socket));
        if let Some(worker) = &mut host.worker {
            worker.handle_accepted(socket, entropy(socket.0, 1), now);
        }
        let coordinator = &mut self.sides[side].coordinator;
        coordinator.handle_connected(index, entropy(socket.0, 2), now);
        self.settle();
        if let Some(wire) = self.position(side, index, socket) {
            self.deliver_to_worker(side, index, wire);
            self.settle();
        }
        if let Some(wire) = self.position(side, index, socket) {
            self.deliver_to_coordinator(side, index, wire);
        }
    }

    fn position(&self, side: usize, index: usize, socket: ConnectionId) -> Option<usize> {
        self.sides[side].hosts[index].wires.iter().position(|wire| wire.socket == socket)
    }

    /// The oldest message on a connection arrives at the worker, or the end of it.
    pub(super) fn deliver_to_worker(&mut self, side: usize, index: usize, wire: usize) {
        let host = &mut self.sides[side].hosts[index];
        let (socket, message) = (host.wires[wire].socket, host.wires[wire].to_worker.messages.pop_front());
        let Some(worker) = &mut host.worker else { return };
        let Some(message) = message else { return worker.handle_end(socket, self.now) };
        match decoded(&message) {
            Some(CoordinatorMessage::Goal(goal)) => host.is_to_run = goal.target == Target::Run,
            Some(CoordinatorMessage::Hello(hello)) => {
                host.newest_epoch = host.newest_epoch.max(hello.epoch);
            }
            Some(CoordinatorMessage::ReadClock(_) | CoordinatorMessage::Finish) | None => {}
        }
        worker.handle_bytes(socket, &message, self.now);
    }

    /// The oldest message on a connection arrives at the coordinator, or the end of it.
    pub(super) fn deliver_to_coordinator(&mut self, side: usize, index: usize, wire: usize) {
        let Side { coordinator, hosts, .. } = &mut self.sides[side];
        match hosts[index].wires[wire].to_dialer.messages.pop_front() {
            Some(message) => coordinator.handle_bytes(index, &message, self.now),
            None => coordinator.handle_end(index, self.now),
        }
    }

    // --- looking at it ---

    /// Whether nothing more is to come.
    pub(super) fn is_at_end(&self) -> bool {
        let is_over = |host: &Host| match (&host.life, &host.worker) {
            // Nobody has ever told it anything.
            (Life::Up, Some(worker)) => host.newest_epoch == 0 && !worker.is_attached(),
            (Life::Up | Life::Down | Life::Ended | Life::Lost, _) => true,
        };
        self.sides.iter().all(|side| side.coordinator.is_finished() && side.hosts.iter().all(is_over))
    }

    /// What tells this state from others, as far as it decides about the future. Hosts of a group are alike.
    pub(super) fn fingerprint(&self) -> u64 {
        match &self.sides[..] {
            [side] if side.hosts.len() == 2 => self.fingerprint_of(&[0, 1]).min(self.fingerprint_of(&[1, 0])),
            _ => self.fingerprint_of(&[0]),
        }
    }

    /// With the hosts of each group in this order.
    fn fingerprint_of(&self, hosts: &[usize]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for side in &self.sides {
            side.coordinator.hash_state(hosts, &mut hasher);
            side.is_done.hash(&mut hasher);
            hosts.iter().for_each(|host| side.hosts[*host].hash_state(&mut hasher));
        }
        if let Some(repetition) = &self.repetition {
            repetition.hash_state(&mut hasher);
        }
        (self.asked, self.faults_left, self.is_harmed, self.has_failed).hash(&mut hasher);
        (self.is_finishing, self.breach.is_some()).hash(&mut hasher);
        self.hash_timers(hosts, &mut hasher);
        hasher.finish()
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(what());
        }
    }

    pub(super) fn break_rule(&mut self, rule: Rule, why: impl FnOnce() -> String) {
        if self.breach.is_none() {
            let breach = Breach { rule, why: why() };
            self.note(|| format!("  {breach}"));
            self.breach = Some(breach);
        }
    }
}

impl Side {
    fn new(group: Group, hosts: u16) -> Self {
        let config = CoordinatorConfig {
            run: worker_config(group, 0).identity.run,
            group,
            workers: hosts,
            limits: LIMITS,
            key: KEY,
            session: SESSION,
            incarnation: 0,
            work: None,
        };
        Self {
            coordinator: Coordinator::new(config.clone(), START),
            config,
            wait: None,
            hosts: (0..hosts).map(|index| Host::new(worker_config(group, index))).collect(),
            is_done: false,
        }
    }

    pub(super) fn replace_coordinator(&mut self, now: Timestamp) {
        self.config.incarnation += 1;
        self.coordinator = Coordinator::new(self.config.clone(), now);
        for host in &mut self.hosts {
            host.is_dialed = false;
            host.wires.iter_mut().for_each(Wire::close_dialer);
            host.wires.retain(Wire::is_open);
        }
    }
}

/// Other bytes for each connection and side.
fn entropy(socket: u64, side: u8) -> [u8; 32] {
    let mut entropy = [side; 32];
    entropy[..8].copy_from_slice(&socket.to_le_bytes());
    entropy
}
