//! A whole run: servers, clients, their coordinators, and a network whose every byte moves when the input says so.
//!
//! What can be seen is shown to the reference model of `sim`. At the end everything heals, and the run has to come to
//! its end.

mod drain;
mod end;
mod host;
mod network;
mod orchestrator;

use crate::input::Input;
use host::Host;
use network::Wire;
use orchestrator::Orchestrator;
use russula_proto::{Exit, Group, StartFailure, Timestamp};
use sim::HostId;
use sim::model::{Model, Observation};

/// Lets happen what `data` describes.
pub fn system(data: &[u8]) {
    let mut input = Input::new(data);
    let mut town = Town::new(&mut input);
    while !input.is_empty() {
        town.step(&mut input);
    }
    town.end();
}

struct Town {
    now: Timestamp,
    orchestrator: Orchestrator,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    connections: u64,
    model: Model,
    /// Nothing has disturbed the repetition from outside.
    is_calm: bool,
}

impl Town {
    fn new(input: &mut Input) -> Self {
        let (servers, clients) = input.one_of(&[(1, 1), (1, 2), (2, 1)]);
        let host = |group, index| Host::new(HostId { group, index });
        let servers_hosts = (0..servers).map(|index| host(Group::Server, index));
        let hosts: Vec<Host> =
            servers_hosts.chain((0..clients).map(|index| host(Group::Client, index))).collect();
        let now = Timestamp::from_micros(1 << 40);
        let mut town = Self {
            now,
            orchestrator: Orchestrator::new([servers, clients], now),
            model: Model::new(hosts.iter().map(|host| host.id)),
            hosts,
            wires: vec![],
            connections: 0,
            is_calm: true,
        };
        town.settle();
        town
    }

    fn step(&mut self, input: &mut Input) {
        match input.below(24) {
            0 => self.begin(),
            1 | 2 => self.flow(),
            3 | 4 => self.with_wire(input, |town, wire, input| {
                let (to_worker, len) = (input.flag(), input.len());
                town.carry(wire, to_worker, len);
            }),
            5 | 6 => self.with_wire(input, |town, wire, input| {
                let (to_worker, len) = (input.flag(), input.len());
                town.deliver(wire, to_worker, len);
            }),
            7 => self.with_wire(input, |town, wire, input| town.answer(wire, !input.flag())),
            8 => self.with_wire(input, |town, wire, input| {
                let ends = input.below(3);
                town.cut(wire, ends != 1, ends != 2);
            }),
            9 => self.probe(),
            10 | 11 => self.with_host(input, |town, host, _| town.program_runs(host)),
            12 => self.with_host(input, |town, host, _| town.program_fails(host)),
            13 | 14 => self.with_host(input, |town, host, input| {
                let exit = input.one_of(&[Exit::Code(0), Exit::Code(0), Exit::Code(1), Exit::Signal(9)]);
                town.program_ends(host, exit);
            }),
            15 => self.with_host(input, |town, host, input| town.kill_worker(host, input.flag())),
            16 => self.with_host(input, |town, host, _| town.start_worker(host)),
            17 => self.with_host(input, |town, host, _| town.shut_down_worker(host)),
            18 => self.user(input),
            19 => self.crash(input.flag()),
            20 => self.resume(),
            21 => {
                self.now = self.now + input.duration();
                self.time_passes();
            }
            22 => self.now = self.now + input.duration(),
            _ => self.wait(),
        }
    }

    fn user(&mut self, input: &mut Input) {
        match input.below(4) {
            0 => self.give_up(),
            1 => self.hold_servers(true),
            2 => self.hold_servers(false),
            _ => self.finish(),
        }
    }

    fn with_wire(&mut self, input: &mut Input, act: impl FnOnce(&mut Self, usize, &mut Input)) {
        if !self.wires.is_empty() {
            // The newest first: it is the one in use.
            let wire = self.wires.len() - 1 - input.below(self.wires.len());
            act(self, wire, input);
        }
    }

    fn with_host(&mut self, input: &mut Input, act: impl FnOnce(&mut Self, usize, &mut Input)) {
        let host = input.below(self.hosts.len());
        act(self, host, input);
    }

    /// Something was seen.
    fn see(&mut self, seen: &Observation) {
        if let Err(forbidden) = self.model.observe(seen) {
            panic!("{forbidden}");
        }
    }

    // --- programs ---

    fn program_runs(&mut self, host: usize) {
        if let Some(program) = self.hosts[host].program.as_mut().filter(|program| !program.runs) {
            program.runs = true;
            self.see(&Observation::Running(self.hosts[host].id));
            self.tell_worker(host, |worker, now| worker.handle_started(now));
        }
    }

    fn program_fails(&mut self, host: usize) {
        if self.hosts[host].program.take_if(|program| !program.runs).is_some() {
            self.see(&Observation::StartFailed(self.hosts[host].id));
            let failure = StartFailure::spawn("no such file");
            self.tell_worker(host, |worker, now| worker.handle_start_failed(failure, now));
        }
    }

    fn program_ends(&mut self, host: usize, exit: Exit) {
        if self.hosts[host].program.take().is_some() {
            let outcome = self.hosts[host].next_outcome(exit);
            self.see(&Observation::Ended(self.hosts[host].id, Box::new(outcome.clone())));
            self.tell_worker(host, |worker, now| worker.handle_program_ended(outcome, now));
        }
    }

    // --- workers ---

    /// A worker process is killed, and its program with it. Its coordinator is told at once, or finds out.
    fn kill_worker(&mut self, host: usize, is_told: bool) {
        if self.hosts[host].worker.take().is_none() {
            return;
        }
        self.is_calm = false;
        self.hosts[host].program = None;
        self.see(&Observation::WorkerKilled(self.hosts[host].id));
        for wire in self.wires_of(host) {
            self.wires[wire].close_worker(false);
        }
        for wire in self.wires_of(host).into_iter().filter(|_| is_told) {
            self.break_dialer(wire);
        }
        self.settle();
    }

    fn start_worker(&mut self, host: usize) {
        if self.hosts[host].worker.is_none() {
            self.is_calm = false;
            self.hosts[host].start();
            self.see(&Observation::WorkerUp(self.hosts[host].id));
            self.settle();
        }
    }

    fn shut_down_worker(&mut self, host: usize) {
        if self.hosts[host].worker.is_some() {
            self.is_calm = false;
            self.see(&Observation::ShutDown(self.hosts[host].id));
            self.tell_worker(host, |worker, now| worker.handle_shutdown(now));
        }
    }

    // --- time ---

    fn time_passes(&mut self) {
        if let Some(coordinators) = &mut self.orchestrator.coordinators {
            coordinators.iter_mut().for_each(|coordinator| coordinator.handle_timeout(self.now));
        }
        for host in 0..self.hosts.len() {
            // A worker that is left alone for long ends by itself.
            if self.hosts[host].orphaned_at.take_if(|at| *at <= self.now).is_some() {
                self.is_calm = false;
                self.see(&Observation::ShutDown(self.hosts[host].id));
            }
            let now = self.hosts[host].clock(self.now);
            if let Some(worker) = &mut self.hosts[host].worker {
                worker.handle_timeout(now);
            }
        }
        self.settle();
    }

    /// Jumps to the next moment at which some machine wants to be called.
    fn wait(&mut self) {
        let hosts = self.hosts.iter().filter_map(Host::due);
        let next = hosts.chain(self.orchestrator.waits.into_iter().flatten()).min();
        self.now = next.unwrap_or(self.now).max(self.now);
        self.time_passes();
    }
}
