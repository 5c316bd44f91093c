//! What the machines ask for, done; and the caller's contract, checked.

use super::network::WireId;
use super::{HostId, Kind, MachineId, Promise, Speaker, World, trace};
use crate::model::{End, Observation};
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::worker::MAX_GREETINGS;
use russula_proto::{ConnectionId, Group, Stage, coordinator, worker};

/// Most connections that a worker may have: the strangers that it bears, and its coordinator.
const WORKER_CONNECTIONS_MAX: usize = MAX_GREETINGS + 1;

/// Most outputs that may follow one input.
const OUTPUTS_MAX: usize = 10_000;

impl World {
    pub(super) fn drain(&mut self, machine: MachineId) {
        match machine.index {
            None => self.drain_coordinator(machine.group),
            Some(index) => self.drain_worker(HostId { group: machine.group, index }),
        }
    }

    /// Takes outputs until there are none; whether it came to that.
    fn is_drained(&mut self, take: impl Fn(&mut Self) -> bool) -> bool {
        for _ in 0..OUTPUTS_MAX {
            if !take(self) {
                return true;
            }
        }
        self.breach(Promise::Rest, || format!("more than {OUTPUTS_MAX} outputs after one input"));
        false
    }

    // --- coordinators ---

    pub(super) fn drain_coordinator(&mut self, group: Group) {
        while !self.journal.is_down {
            if !self.is_drained(|world| world.take_coordinator_output(group)) {
                return;
            }
            let announced = &self.side(group).announced;
            let Some(&wire) = announced.iter().find(|wire| self.can_write(**wire, End::Dialer)) else {
                return;
            };
            let index = self.wire(wire).host.index;
            let waiting = self.side(group).coordinator.outgoing(index).len();
            let len = self.piece_len(waiting);
            let now = self.orchestrator_now();
            let side = self.sides[group as usize].as_mut().expect("the group is there");
            Self::take(&mut self.wires, wire, End::Dialer, &side.coordinator.outgoing(index)[..len]);
            side.coordinator.handle_sent(index, len, now);
            let is_last = side.coordinator.outgoing(index).is_empty();
            if is_last {
                side.announced.retain(|announced| *announced != wire);
            }
            self.carry(wire, End::Dialer, len, is_last);
        }
    }

    fn take_coordinator_output(&mut self, group: Group) -> bool {
        let output = self.side_mut(group).coordinator.poll_output();
        let speaker = Speaker::Coordinator(group);
        match output {
            coordinator::Output::Dial(index) => {
                let host = HostId { group, index };
                self.say(speaker, Kind::Socket, || format!("dials {host}"));
                let wire = self.dial(host, None);
                self.side_mut(group).dials[index] = Some(wire);
            }
            coordinator::Output::Transmit(index) => {
                if let Some(wire) = self.side(group).dials[index] {
                    self.wire(wire).end(End::Dialer).is_announced = true;
                    let Self { sides, wires, .. } = self;
                    let announced = &mut sides[group as usize].as_mut().expect("it speaks").announced;
                    if !announced.contains(&wire) {
                        let place = announced.partition_point(|other| wires[other.0].host.index < index);
                        announced.insert(place, wire);
                    }
                }
            }
            coordinator::Output::Close(index) => {
                self.say(speaker, Kind::Socket, || format!("closes {}", HostId { group, index }));
                match self.side_mut(group).dials[index].take() {
                    Some(wire) => {
                        self.side_mut(group).announced.retain(|announced| *announced != wire);
                        self.close_end(wire, End::Dialer);
                    }
                    None => self.breach(Promise::Contract, || {
                        format!("the {group}s' coordinator closes what it did not dial")
                    }),
                }
            }
            coordinator::Output::CheckKernel(index) => {
                if let Some(wire) = self.side(group).dials[index] {
                    let counters = self.kernel_counters(wire, End::Dialer);
                    self.side_mut(group).coordinator.handle_kernel_counters(index, counters);
                }
            }
            coordinator::Output::Event(event) => {
                self.note_event(group, &event);
                self.say(speaker, Kind::Event, || trace::of_event(&event));
            }
            coordinator::Output::Wait(at) => {
                if self.is_strict {
                    self.check_coordinator(group, &coordinator::Output::Wait(at));
                }
                self.side_mut(group).wait = at.map(|at| self.orchestrator.when(at));
                return false;
            }
        }
        true
    }

    fn note_event(&mut self, group: Group, event: &coordinator::Event) {
        match event {
            coordinator::Event::Worker(index, stage) => {
                let host = HostId { group, index: *index };
                self.note(Observation::Heard(host, *stage));
                let ending = self.coordinator(group).peer(*index).ending.cloned();
                if let (Stage::Ended, Some(ending)) = (stage, ending) {
                    self.note(Observation::Learnt(host, Box::new(ending)));
                }
            }
            coordinator::Event::Reached(milestone) => {
                self.note_dismissals(group);
                self.note(Observation::Reached(group, *milestone));
            }
            coordinator::Event::Failed(failure) => {
                self.write_failure(failure);
                self.note(Observation::Failed(group, Box::new(failure.clone())));
            }
            coordinator::Event::Connected(_) => self.write_memories(group),
            coordinator::Event::Finished => self.note(Observation::Finished(group)),
            coordinator::Event::State { .. } | coordinator::Event::Disconnected(..) => {}
        }
    }

    /// A coordinator that gives a worker up says so only in what it knows of it.
    fn note_dismissals(&mut self, group: Group) {
        for index in 0..self.side(group).hosts.len() {
            let is_given_up = self.coordinator(group).peer(index).is_given_up;
            let host = &mut self.side_mut(group).hosts[index];
            if is_given_up && !std::mem::replace(&mut host.is_dismissed, true) {
                self.note(Observation::Dismissed(HostId { group, index }));
            }
        }
    }

    /// The caller's contract, once a coordinator is at rest.
    fn check_coordinator(&mut self, group: Group, wait: &coordinator::Output) {
        let now = self.orchestrator_now();
        let side = self.side_mut(group);
        let mut is_steady = side.coordinator.poll_output() == *wait;
        if !matches!(wait, coordinator::Output::Wait(Some(at)) if *at <= now) {
            side.coordinator.handle_timeout(now);
            is_steady &= side.coordinator.poll_output() == *wait;
        }
        if !is_steady {
            self.breach(Promise::Contract, || {
                format!("the {group}s' coordinator does not stay at rest: {wait:?}")
            });
        }
        for index in 0..self.side(group).hosts.len() {
            let side = self.side(group);
            let waiting = side.coordinator.outgoing(index).len();
            if waiting == 0 {
                continue;
            }
            let is_announced = side.dials[index].is_some_and(|wire| side.announced.contains(&wire));
            let host = HostId { group, index };
            if waiting > MAX_OUTGOING_LEN {
                self.breach(Promise::Limits, || format!("{waiting} bytes wait for {host}"));
            }
            if !is_announced {
                self.breach(Promise::Contract, || format!("{waiting} bytes wait for {host}, no `Transmit`"));
            }
        }
    }

    // --- workers ---

    pub(super) fn drain_worker(&mut self, id: HostId) {
        loop {
            if !self.is_drained(|world| world.take_worker_output(id)) {
                return;
            }
            let host = &self.side(id.group).hosts[id.index];
            let writable = host.announced.iter().find(|wire| self.can_write(**wire, End::Worker));
            let Some(&wire) = writable else { return };
            let Some(socket) = self.wire(wire).socket else { return };
            let Some(worker) = &self.host_mut(id).worker else { return };
            let waiting = worker.outgoing(socket).len();
            let len = self.piece_len(waiting);
            let now = self.host_now(id);
            let side = self.sides[id.group as usize].as_mut().expect("the group is there");
            let host = &mut side.hosts[id.index];
            let Some(worker) = &mut host.worker else { return };
            Self::take(&mut self.wires, wire, End::Worker, &worker.outgoing(socket)[..len]);
            worker.handle_sent(socket, len, now);
            let is_last = worker.outgoing(socket).is_empty();
            if is_last {
                host.announced.retain(|announced| *announced != wire);
            }
            self.carry(wire, End::Worker, len, is_last);
        }
    }

    fn take_worker_output(&mut self, id: HostId) -> bool {
        let host = self.host_mut(id);
        let Some(worker) = &mut host.worker else { return false };
        match worker.poll_output() {
            worker::Output::Transmit(socket) => {
                if let Some(&wire) = host.sockets.get(&socket) {
                    if !host.announced.contains(&wire) {
                        host.announced.push(wire);
                    }
                    self.wire(wire).end(End::Worker).is_announced = true;
                }
            }
            worker::Output::Close(socket) => {
                host.announced.retain(|wire| host.sockets.get(&socket) != Some(wire));
                let wire = host.sockets.remove(&socket);
                self.say(id, Kind::Socket, || format!("closes connection {}", socket.0));
                match wire {
                    Some(wire) => self.close_end(wire, End::Worker),
                    None => self.breach(Promise::Contract, || format!("{id} closes what it did not accept")),
                }
            }
            worker::Output::Start { program, repetition } => self.start_program(id, program, repetition),
            worker::Output::CheckKernel(socket) => {
                if let Some(&wire) = host.sockets.get(&socket) {
                    let counters = self.kernel_counters(wire, End::Worker);
                    if let Some(worker) = &mut self.host_mut(id).worker {
                        worker.handle_kernel_counters(socket, counters);
                    }
                }
            }
            worker::Output::Terminate => self.terminate_program(id),
            worker::Output::Kill => self.signal_program(id, 9),
            worker::Output::Event(event) => {
                self.say(id, Kind::Event, || event.to_string());
                if let worker::Event::Attached(socket) = event {
                    self.note_attached(id, socket);
                }
            }
            worker::Output::Finished(reason) => {
                self.say(id, Kind::Event, || format!("ends: {reason}"));
                self.end_worker(id);
            }
            worker::Output::Wait(at) => {
                if self.is_strict {
                    self.check_worker(id, &worker::Output::Wait(at));
                }
                let host = self.host_mut(id);
                host.wait = at.map(|at| host.clock.when(at));
                return false;
            }
        }
        true
    }

    /// Somebody who has the key is the worker's coordinator now: ours, or a rival.
    fn note_attached(&mut self, id: HostId, socket: ConnectionId) {
        let Some(&wire) = self.host_mut(id).sockets.get(&socket) else { return };
        self.host_mut(id).has_met_coordinator = true;
        if self.wire(wire).stranger.is_some() {
            self.note(Observation::Disturbed(id));
            self.note(Observation::TakenOver(id));
        }
    }

    /// The worker process ends in an orderly way: what was sent arrives, and then the end of the stream.
    fn end_worker(&mut self, id: HostId) {
        self.note(Observation::WorkerEnded(id));
        let sockets = std::mem::take(&mut self.host_mut(id).sockets);
        for wire in sockets.into_values() {
            self.close_end(wire, End::Worker);
        }
        self.host_mut(id).lose_worker();
    }

    /// The caller's contract, once a worker is at rest.
    fn check_worker(&mut self, id: HostId, wait: &worker::Output) {
        let now = self.host_now(id);
        let Some(worker) = &mut self.host_mut(id).worker else { return };
        let mut is_steady = worker.poll_output() == *wait;
        if !matches!(wait, worker::Output::Wait(Some(at)) if *at <= now) {
            worker.handle_timeout(now);
            is_steady &= worker.poll_output() == *wait;
        }
        if !is_steady {
            self.breach(Promise::Contract, || format!("{id} does not stay at rest: {wait:?}"));
        }
        let host = &self.side(id.group).hosts[id.index];
        let Some(worker) = &host.worker else { return };
        let waits = |socket: &ConnectionId| worker.outgoing(*socket).len();
        let connections = host.sockets.len();
        let longest = host.sockets.keys().map(waits).max().unwrap_or(0);
        let is_forgotten =
            |(socket, wire): (&ConnectionId, &WireId)| waits(socket) > 0 && !host.announced.contains(wire);
        let any_forgotten = host.sockets.iter().any(is_forgotten);
        if connections > WORKER_CONNECTIONS_MAX {
            self.breach(Promise::Limits, || format!("{id} has {connections} connections"));
        }
        if longest > MAX_OUTGOING_LEN {
            self.breach(Promise::Limits, || format!("{longest} bytes wait at {id}"));
        }
        if any_forgotten {
            self.breach(Promise::Contract, || format!("bytes wait at {id}, no `Transmit`"));
        }
    }
}
