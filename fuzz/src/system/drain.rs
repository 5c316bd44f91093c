//! What the machines ask for, done, until none of them wants anything.

use super::Town;
use super::host::Program;
use super::network::Wire;
use super::orchestrator::place;
use russula_proto::coordinator::{self, Output};
use russula_proto::{
    ConnectionId, Coordinator, Group, Stage, Timestamp, Traffic, Worker, WorkerLimits, worker,
};
use sim::model::Observation;

impl Town {
    /// Passes an input to the worker of `host`, if there is one.
    pub(super) fn tell_worker(&mut self, host: usize, act: impl FnOnce(&mut Worker, Timestamp)) {
        let now = self.hosts[host].clock(self.now);
        if let Some(worker) = &mut self.hosts[host].worker {
            act(worker, now);
        }
        self.settle();
    }

    /// Passes an input about `host` to its coordinator, if there is one.
    pub(super) fn with_coordinator(
        &mut self,
        host: usize,
        act: impl FnOnce(&mut Coordinator, usize, Timestamp),
    ) {
        let id = self.hosts[host].id;
        let now = self.now;
        if let Some(coordinator) = self.orchestrator.coordinator(id.group) {
            act(coordinator, id.index, now);
        }
        self.settle();
    }

    /// Drains every machine, and takes the repetition as far as it goes.
    pub(super) fn settle(&mut self) {
        loop {
            for group in [Group::Server, Group::Client] {
                while self.take_coordinator_output(group) {}
            }
            for host in 0..self.hosts.len() {
                while self.take_worker_output(host) {}
            }
            self.see_phases();
            if !self.advance() {
                break;
            }
        }
        self.wires.retain(|wire| !wire.is_gone());
    }

    // --- coordinators ---

    fn take_coordinator_output(&mut self, group: Group) -> bool {
        let Some(coordinator) = self.orchestrator.coordinator(group) else { return false };
        let output = coordinator.poll_output();
        let host =
            |index| self.hosts.iter().position(|host| host.id.group == group && host.id.index == index);
        let host = |index| host(index).expect("the coordinator has so many workers");
        match output {
            Output::Dial(index) => {
                let host = host(index);
                assert!(self.dialed(host).is_none(), "it is connected, or dials already");
                self.wires.push(Wire::new(host));
            }
            Output::Transmit(index) => {
                let host = host(index);
                if let Some(wire) = self.dialed(host) {
                    wire.dialer_speaks = true;
                }
            }
            Output::Close(index) => {
                let host = host(index);
                // A connection that broke is closed on our side already.
                if let Some(wire) = self.dialed(host) {
                    wire.close_dialer(true);
                }
            }
            Output::CheckKernel(index) => {
                let host = host(index);
                let counters = self.dialed(host).map(|wire| traffic(wire.dialer_bytes));
                if let (Some(counters), Some(coordinator)) = (counters, self.orchestrator.coordinator(group))
                {
                    coordinator.handle_kernel_counters(index, counters);
                }
            }
            Output::Event(event) => self.note(group, event),
            Output::Wait(at) => {
                self.orchestrator.waits[place(group)] = at;
                return false;
            }
        }
        true
    }

    fn note(&mut self, group: Group, event: coordinator::Event) {
        match event {
            coordinator::Event::Worker(index, stage) => {
                let host = sim::HostId { group, index };
                self.see(&Observation::Heard(host, stage));
                let Some(coordinator) = self.orchestrator.coordinator(group) else { return };
                let ending = coordinator.peer(index).ending.cloned();
                if let (Stage::Ended | Stage::Released, Some(ending)) = (stage, ending) {
                    self.see(&Observation::Learnt(host, Box::new(ending)));
                }
            }
            coordinator::Event::Reached(milestone) => {
                self.note_dismissals(group);
                self.see(&Observation::Reached(group, milestone));
            }
            coordinator::Event::Failed(failure) => {
                self.orchestrator.note_failure();
                self.see(&Observation::Failed(group, Box::new(failure)));
            }
            coordinator::Event::Connected(_) => self.orchestrator.note_memories(),
            coordinator::Event::Finished => self.see(&Observation::Finished(group)),
            coordinator::Event::State { .. } | coordinator::Event::Disconnected(..) => {}
        }
    }

    /// A coordinator that gives a worker up says so only in what it knows of it.
    fn note_dismissals(&mut self, group: Group) {
        for host in 0..self.hosts.len() {
            let id = self.hosts[host].id;
            let Some(coordinator) = self.orchestrator.coordinator(group) else { return };
            let is_given_up = id.group == group && coordinator.peer(id.index).is_given_up;
            if is_given_up && !std::mem::replace(&mut self.hosts[host].is_dismissed, true) {
                self.see(&Observation::Dismissed(id));
            }
        }
    }

    // --- workers ---

    fn take_worker_output(&mut self, host: usize) -> bool {
        let id = self.hosts[host].id;
        let Some(worker) = &mut self.hosts[host].worker else { return false };
        match worker.poll_output() {
            worker::Output::Transmit(socket) => {
                if let Some(wire) = self.accepted(socket) {
                    wire.worker_speaks = true;
                }
            }
            worker::Output::Close(socket) => {
                if let Some(wire) = self.accepted(socket) {
                    wire.close_worker(true);
                }
            }
            worker::Output::Start { repetition, .. } => {
                self.see(&Observation::Started(id, repetition));
                self.hosts[host].program = Some(Program::default());
            }
            worker::Output::CheckKernel(socket) => {
                let counters = self.accepted(socket).map(|wire| traffic(wire.worker_bytes));
                if let (Some(counters), Some(worker)) = (counters, &mut self.hosts[host].worker) {
                    worker.handle_kernel_counters(socket, counters);
                }
            }
            worker::Output::Terminate => {
                self.see(&Observation::Terminated(id));
                let program = self.hosts[host].program.as_mut().expect("the model has seen it start");
                program.is_terminated = true;
            }
            worker::Output::Kill => {
                let program = self.hosts[host].program.as_mut().expect("only what runs is killed");
                assert!(program.is_terminated, "a program is asked to end first");
                program.is_killed = true;
            }
            worker::Output::Event(event) => self.note_attachment(host, &event),
            worker::Output::Finished(_) => {
                self.end_worker(host);
                return false;
            }
            worker::Output::Wait(at) => {
                self.hosts[host].wait = at;
                return false;
            }
        }
        true
    }

    fn note_attachment(&mut self, host: usize, event: &worker::Event) {
        let now = self.now;
        let host = &mut self.hosts[host];
        match event {
            worker::Event::Attached(_) => {
                host.has_met = true;
                host.orphaned_at = None;
            }
            worker::Event::Detached(_) => host.orphaned_at = Some(now + WorkerLimits::default().orphan),
            worker::Event::State { .. } | worker::Event::Rejected(..) => {}
        }
    }

    /// The worker process ends in an orderly way: what was sent arrives, and then the end of the stream.
    fn end_worker(&mut self, host: usize) {
        // What could not be stopped ends with its worker.
        if self.hosts[host].program.take_if(|program| program.is_killed).is_some() {
            let outcome = self.hosts[host].next_outcome(russula_proto::Exit::Signal(9));
            self.see(&Observation::Ended(self.hosts[host].id, Box::new(outcome)));
        }
        self.see(&Observation::WorkerEnded(self.hosts[host].id));
        self.hosts[host].worker = None;
        for wire in self.wires_of(host) {
            let is_accepted = self.wires[wire].worker_open;
            self.wires[wire].close_worker(is_accepted);
        }
    }

    fn accepted(&mut self, socket: ConnectionId) -> Option<&mut Wire> {
        self.wires.iter_mut().find(|wire| wire.socket == Some(socket) && wire.worker_open)
    }
}

fn traffic([sent_bytes, received_bytes]: [u64; 2]) -> Traffic {
    Traffic { sent_bytes, received_bytes }
}
