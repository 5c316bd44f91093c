//! What the machines ask for, done; and the caller's contract, checked.

use super::host::Program;
use super::network::{End, Happening, WireId};
use super::{Fact, HostId, Kind, Script, Starts, World, log};
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::wire::PREAMBLE_LEN;
use russula_proto::{ConnectionId, Exit, Group, StartFailure, coordinator, worker};
use std::time::Duration;

/// From a signal to the end of a program.
const DYING: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn drain_group(&mut self, group: Group) {
        if self.side(group).is_touched {
            self.drain_coordinator(group);
            self.side_mut(group).is_touched = false;
        }
        for index in 0..self.side(group).hosts.len() {
            let id = HostId { group, index };
            if self.side(group).hosts[index].is_touched {
                self.drain_worker(id);
                self.host(id).is_touched = false;
            }
        }
    }

    // --- coordinators ---

    pub(super) fn drain_coordinator(&mut self, group: Group) {
        loop {
            while self.take_coordinator_output(group) {}
            let dials = self.side(group).dials.clone();
            let mut writable = dials.into_iter().flatten().filter(|wire| self.can_write(*wire, End::Dialer));
            let Some(wire) = writable.next() else { break };
            drop(writable);
            let index = self.wires[wire.0].host.index;
            let waiting = self.side(group).coordinator.outgoing(index).len();
            let len = self.piece_len(waiting);
            let now = self.now;
            let coordinator = &mut self.side_mut(group).coordinator;
            let bytes = coordinator.outgoing(index)[..len].to_vec();
            coordinator.handle_sent(index, len, now);
            let is_last = coordinator.outgoing(index).is_empty();
            self.carry(wire, End::Dialer, bytes, is_last);
        }
    }

    fn take_coordinator_output(&mut self, group: Group) -> bool {
        let output = self.side_mut(group).coordinator.poll_output();
        let host = |index| HostId { group, index };
        match output {
            coordinator::Output::Dial(index) => {
                self.say(format!("{group}s"), Kind::Socket, format!("dials {}", host(index)));
                let wire = self.dial(host(index), None);
                self.side_mut(group).dials[index] = Some(wire);
            }
            coordinator::Output::Transmit(index) => {
                if let Some(wire) = self.side(group).dials[index] {
                    self.announce(wire, End::Dialer);
                }
            }
            coordinator::Output::Close(index) => {
                self.say(format!("{group}s"), Kind::Socket, format!("closes {}", host(index)));
                let wire = self.side_mut(group).dials[index].take();
                let wire = wire.expect("a coordinator closes only what it dialed, and once");
                self.close_end(wire, End::Dialer);
            }
            coordinator::Output::Event(event) => {
                self.note_event(group, &event);
                self.say(format!("{group}s"), Kind::Event, log::of_event(&event));
            }
            coordinator::Output::Wait(at) => {
                self.check_coordinator(group, &coordinator::Output::Wait(at));
                self.side_mut(group).wait = at;
                return false;
            }
        }
        true
    }

    /// The caller's contract, once a coordinator is at rest.
    fn check_coordinator(&mut self, group: Group, wait: &coordinator::Output) {
        let now = self.now;
        let side = self.side_mut(group);
        assert_eq!(side.coordinator.poll_output(), *wait, "`Wait` is repeated");
        if !matches!(wait, coordinator::Output::Wait(Some(at)) if *at <= now) {
            side.coordinator.handle_timeout(now);
            assert_eq!(side.coordinator.poll_output(), *wait, "an early timeout does nothing");
        }
        for index in 0..side.hosts.len() {
            let waiting = self.side(group).coordinator.outgoing(index).len();
            assert!(waiting <= MAX_OUTGOING_LEN, "{waiting} bytes wait for {group} {index}");
            let wire = self.side(group).dials[index];
            let announced = wire.is_some_and(|wire| self.is_announced(wire, End::Dialer));
            assert!(waiting == 0 || announced, "{waiting} bytes wait for {group} {index}, no `Transmit`");
        }
    }

    // --- workers ---

    pub(super) fn drain_worker(&mut self, id: HostId) {
        loop {
            while self.take_worker_output(id) {}
            let sockets: Vec<(ConnectionId, WireId)> =
                self.host(id).sockets.iter().map(|(socket, wire)| (*socket, *wire)).collect();
            let writable = sockets.into_iter().find(|(_, wire)| self.can_write(*wire, End::Worker));
            let Some((socket, wire)) = writable else { break };
            let Some(waiting) = self.host(id).worker.as_ref().map(|w| w.outgoing(socket).len()) else {
                break;
            };
            let len = self.piece_len(waiting);
            let now = self.now;
            let Some(worker) = &mut self.host(id).worker else { break };
            let bytes = worker.outgoing(socket)[..len].to_vec();
            worker.handle_sent(socket, len, now);
            let is_last = worker.outgoing(socket).is_empty();
            self.carry(wire, End::Worker, bytes, is_last);
        }
    }

    fn take_worker_output(&mut self, id: HostId) -> bool {
        let Some(worker) = &mut self.host(id).worker else { return false };
        match worker.poll_output() {
            worker::Output::Transmit(socket) => {
                if let Some(wire) = self.host(id).sockets.get(&socket).copied() {
                    self.announce(wire, End::Worker);
                }
            }
            worker::Output::Close(socket) => {
                self.say(id, Kind::Socket, format!("closes connection {}", socket.0));
                let wire = self.host(id).sockets.remove(&socket);
                let wire = wire.expect("a worker closes only what was accepted, and once");
                self.close_end(wire, End::Worker);
            }
            worker::Output::Start { program, repetition } => self.start_program(id, program, repetition),
            worker::Output::Terminate => self.terminate_program(id),
            worker::Output::Kill => self.signal_program(id, 9),
            worker::Output::Event(event) => self.say(id, Kind::Event, event.to_string()),
            worker::Output::Finished(reason) => {
                self.say(id, Kind::Event, format!("ends: {reason}"));
                self.end_worker(id);
            }
            worker::Output::Wait(at) => {
                self.check_worker(id, &worker::Output::Wait(at));
                self.host(id).wait = at;
                return false;
            }
        }
        true
    }

    /// The worker process ends in an orderly way: what was sent arrives, and then the end of the stream.
    fn end_worker(&mut self, id: HostId) {
        let sockets = std::mem::take(&mut self.host(id).sockets);
        for wire in sockets.into_values() {
            self.close_end(wire, End::Worker);
        }
        self.host(id).lose_worker();
    }

    /// The caller's contract, once a worker is at rest.
    fn check_worker(&mut self, id: HostId, wait: &worker::Output) {
        let now = self.now;
        let host = self.host(id);
        let sockets: Vec<(ConnectionId, WireId)> =
            host.sockets.iter().map(|(socket, wire)| (*socket, *wire)).collect();
        let Some(worker) = &mut host.worker else { return };
        assert_eq!(worker.poll_output(), *wait, "`Wait` is repeated");
        if !matches!(wait, worker::Output::Wait(Some(at)) if *at <= now) {
            worker.handle_timeout(now);
            assert_eq!(worker.poll_output(), *wait, "an early timeout does nothing");
        }
        let waiting: Vec<usize> = sockets.iter().map(|(socket, _)| worker.outgoing(*socket).len()).collect();
        for (waiting, (socket, wire)) in waiting.into_iter().zip(sockets) {
            assert!(waiting <= MAX_OUTGOING_LEN, "{waiting} bytes wait on {socket:?} of {id}");
            // A worker's preamble waits for its first message.
            let announced = waiting <= PREAMBLE_LEN || self.is_announced(wire, End::Worker);
            assert!(announced, "{waiting} bytes wait on {socket:?} of {id}, no `Transmit`");
        }
    }

    // --- programs ---

    fn start_program(&mut self, id: HostId, program: u16, repetition: u32) {
        self.note(Fact::Started(id, repetition));
        self.say(id, Kind::Program, format!("starts program {program}"));
        let now = self.now;
        let host = self.host(id);
        assert!(host.program.is_none(), "{id} starts a program while another one runs");
        let script: Script = host.scripts[usize::from(program)].clone();
        host.generation += 1;
        let generation = host.generation;
        host.program = Some(Program { script: script.clone(), started_at: now, runs: false });
        match script.starts {
            Starts::Listens => self.schedule(now + script.start, Happening::Runs(id, generation)),
            Starts::NeverListens => {}
            Starts::Fails(_) => self.schedule(now + script.start, Happening::StartFails(id, generation)),
        }
        if let Some(run) = script.run {
            self.schedule(now + script.start + run, Happening::Exits(id, generation, script.exit));
        }
    }

    fn terminate_program(&mut self, id: HostId) {
        self.note(Fact::Terminated(id));
        let ignores = self.host(id).program.as_ref().is_some_and(|p| p.script.ignores_term);
        if ignores {
            self.say(id, Kind::Program, "TERM, which the program ignores".into());
        } else {
            self.signal_program(id, 15);
        }
    }

    fn signal_program(&mut self, id: HostId, signal: i32) {
        let name = if signal == 9 { "KILL" } else { "TERM" };
        self.say(id, Kind::Program, name.into());
        let generation = self.host(id).generation;
        self.schedule(self.now + DYING, Happening::Exits(id, generation, Exit::Signal(signal)));
    }

    pub(super) fn program_runs(&mut self, id: HostId, generation: u64) {
        let host = self.host(id);
        if host.generation == generation
            && let Some(program) = &mut host.program
        {
            program.runs = true;
            self.note(Fact::Running(id));
            self.say(id, Kind::Program, "the program runs".into());
            self.tell_worker(id, |worker, now| worker.handle_started(now));
        }
    }

    pub(super) fn program_start_fails(&mut self, id: HostId, generation: u64) {
        let host = self.host(id);
        if host.generation == generation
            && let Some(program) = host.program.take()
            && let Starts::Fails(failure) = program.script.starts
        {
            self.note(Fact::StartFailed(id));
            self.say(id, Kind::Program, failure.to_string());
            self.tell_worker(id, |worker, now| worker.handle_start_failed(failure.clone(), now));
        }
    }

    pub(super) fn program_exits(&mut self, id: HostId, generation: u64, exit: Exit) {
        let now = self.now;
        let host = self.host(id);
        if host.generation == generation
            && let Some(program) = host.program.take()
        {
            let outcome = program.outcome(exit, now);
            self.note(Fact::Ended(id, outcome.clone()));
            self.say(id, Kind::Program, format!("the program ends, {exit}"));
            // A server that ends before it listens is told apart by whoever watches its port.
            let listens = matches!(program.script.starts, Starts::Listens);
            if id.group == Group::Server && !program.runs && listens && matches!(exit, Exit::Code(_)) {
                let failure = StartFailure::EndedBeforeListening { port: 4433, outcome };
                self.tell_worker(id, |worker, now| worker.handle_start_failed(failure.clone(), now));
            } else {
                self.tell_worker(id, |worker, now| worker.handle_program_ended(outcome.clone(), now));
            }
        }
    }
}
