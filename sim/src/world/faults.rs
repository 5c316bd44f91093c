//! What goes wrong from outside: connections, hosts, strangers. All of it can be done by hand.

use super::host::Hold;
use super::network::{Mangling, WireId};
use super::queue::Happening;
use super::{HostId, Kind, Speaker, World};
use crate::model::{End, Observation};
use russula_proto::Exit;

impl World {
    /// The connection of `host` to its coordinator breaks, and both ends notice.
    pub fn cut(&mut self, host: HostId) {
        self.disturb(host);
        if let Some(wire) = self.side(host.group).dials[host.index] {
            self.break_at(wire, End::Worker);
            self.break_at(wire, End::Dialer);
        }
        self.settle();
    }

    /// The connection of `host` breaks, and only this end of it notices; the other one has a half-open connection.
    pub fn cut_noticed_by(&mut self, host: HostId, end: End) {
        self.disturb(host);
        if let Some(wire) = self.side(host.group).dials[host.index] {
            self.break_at(wire, end);
        }
        self.settle();
    }

    /// Somebody on the way changes the next bytes that this end of the connection of `host` sends.
    pub fn mangle(&mut self, host: HostId, end: End, mangling: Mangling) {
        self.disturb(host);
        if let Some(wire) = self.side(host.group).dials[host.index] {
            self.wire(wire).end(end).mangling = Some(mangling);
        }
    }

    /// Whoever has a half-open connection learns of it; sockets do that by probes.
    pub fn probe_connections(&mut self) {
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wire(wire).stranger.is_some() || self.wire(wire).socket.is_none() {
                continue;
            }
            for end in [End::Worker, End::Dialer] {
                if !self.wire(wire).end(end.other()).is_open && self.wire(wire).end(end).is_open {
                    self.disturb(self.wires[wire.0].host);
                    self.break_at(wire, end);
                }
            }
        }
        self.settle();
    }

    /// From now on this does not get through between `host` and its coordinator, until it is released.
    pub fn hold(&mut self, host: HostId, hold: Hold) {
        self.disturb(host);
        self.host_mut(host).hold = hold;
    }

    /// Everything gets through to and from `host` again, beginning with what was held back.
    pub fn release(&mut self, host: HostId) {
        self.disturb(host);
        self.host_mut(host).hold = Hold::default();
        for happening in std::mem::take(&mut self.held) {
            self.queue.push(self.now, happening);
        }
        self.touch_worker(host);
        self.touch_coordinator(host.group);
        self.settle();
    }

    /// The worker process of `host` is killed, and its program with it; dials are refused from now on.
    pub fn crash(&mut self, host: HostId) {
        self.disturb(host);
        self.lose_worker(host);
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wire(wire).host == host {
                self.break_at(wire, End::Dialer);
            }
        }
        self.settle();
    }

    /// The host of a worker loses its power: nothing of it answers, and nobody is told.
    pub fn vanish(&mut self, host: HostId) {
        self.disturb(host);
        self.lose_worker(host);
        self.host_mut(host).hold = Hold { sockets_take: true, ..Hold::ALL };
    }

    /// A new worker process begins on `host`.
    pub fn restart(&mut self, host: HostId) {
        self.disturb(host);
        if self.host_mut(host).worker.is_some() {
            self.crash(host);
        }
        self.host_mut(host).restart_worker();
        self.note(Observation::WorkerUp(host));
        self.touch_worker(host);
        self.settle();
    }

    /// Somebody kills the program of `host`.
    pub fn kill_program(&mut self, host: HostId) {
        self.disturb(host);
        let generation = self.host_mut(host).generation;
        self.schedule(self.now, Happening::Exits(host, generation, Exit::Signal(9).into()));
    }

    /// Dials to `host` are refused from now on, or accepted again.
    pub fn refuse(&mut self, host: HostId, refuses: bool) {
        self.disturb(host);
        self.host_mut(host).refuses = refuses;
    }

    /// The worker process is gone without a word; its sockets are closed.
    pub(super) fn lose_worker(&mut self, host: HostId) {
        if self.host_mut(host).worker.is_some() {
            self.note(Observation::WorkerKilled(host));
        }
        self.host_mut(host).lose_worker();
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wire(wire).host == host {
                self.wire(wire).end(End::Worker).is_open = false;
            }
        }
    }

    pub(super) fn disturb(&mut self, host: HostId) {
        self.note(Observation::Disturbed(host));
    }

    /// A line of the trace about what goes wrong.
    pub fn say_fault(&mut self, text: impl FnOnce() -> String) {
        self.say(Speaker::Outside, Kind::Fault, text);
    }
}
