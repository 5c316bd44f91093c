//! Connections, and the bytes that are under way on them.

use super::Town;
use russula_proto::ConnectionId;

pub(super) struct Wire {
    pub(super) host: usize,
    /// `None` until the worker has accepted it.
    pub(super) socket: Option<ConnectionId>,
    pub(super) dialer_open: bool,
    pub(super) worker_open: bool,
    pub(super) to_worker: Vec<u8>,
    pub(super) to_dialer: Vec<u8>,
    /// The end of the stream follows the bytes that are under way.
    pub(super) ends_at_worker: bool,
    pub(super) ends_at_dialer: bool,
    /// Somebody has bytes for this connection.
    pub(super) dialer_speaks: bool,
    pub(super) worker_speaks: bool,
    /// Taken by and given by the socket of the dialer, and of the worker.
    pub(super) dialer_bytes: [u64; 2],
    pub(super) worker_bytes: [u64; 2],
}

impl Wire {
    pub(super) fn new(host: usize) -> Self {
        Self {
            host,
            socket: None,
            dialer_open: true,
            worker_open: false,
            to_worker: vec![],
            to_dialer: vec![],
            ends_at_worker: false,
            ends_at_dialer: false,
            dialer_speaks: false,
            worker_speaks: false,
            dialer_bytes: [0; 2],
            worker_bytes: [0; 2],
        }
    }

    pub(super) fn close_dialer(&mut self, is_told: bool) {
        self.dialer_open = false;
        self.dialer_speaks = false;
        self.to_dialer.clear();
        self.ends_at_worker |= is_told;
    }

    pub(super) fn close_worker(&mut self, is_told: bool) {
        self.worker_open = false;
        self.worker_speaks = false;
        self.to_worker.clear();
        self.ends_at_dialer |= is_told;
    }

    /// Nobody will ever hear of it again.
    pub(super) fn is_gone(&self) -> bool {
        !self.dialer_open && !self.worker_open
    }

    fn has_something(&self) -> bool {
        let to_worker =
            !self.to_worker.is_empty() || self.ends_at_worker && self.worker_open || self.dialer_speaks;
        let to_dialer =
            !self.to_dialer.is_empty() || self.ends_at_dialer && self.dialer_open || self.worker_speaks;
        to_worker || to_dialer || self.socket.is_none()
    }
}

impl Town {
    pub(super) fn wires_of(&self, host: usize) -> Vec<usize> {
        (0..self.wires.len()).filter(|wire| self.wires[*wire].host == host).collect()
    }

    /// The connection that the coordinator of `host` has at the moment.
    pub(super) fn dialed(&mut self, host: usize) -> Option<&mut Wire> {
        self.wires.iter_mut().find(|wire| wire.host == host && wire.dialer_open)
    }

    /// The worker accepts the connection, or does not.
    pub(super) fn answer(&mut self, wire: usize, accepts: bool) {
        if self.wires[wire].socket.is_some() || !self.wires[wire].dialer_open {
            return;
        }
        let host = self.wires[wire].host;
        if accepts && self.hosts[host].worker.is_some() {
            let socket = ConnectionId(self.connections);
            self.connections += 1;
            self.wires[wire].socket = Some(socket);
            self.wires[wire].worker_open = true;
            let entropy = self.entropy();
            self.with_coordinator(host, |coordinator, index, now| {
                coordinator.handle_connected(index, entropy, now)
            });
            let entropy = self.entropy();
            self.tell_worker(host, |worker, now| worker.handle_accepted(socket, entropy, now));
        } else {
            self.break_dialer(wire);
            self.settle();
        }
    }

    fn entropy(&mut self) -> [u8; 32] {
        self.connections += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.connections.to_le_bytes());
        entropy
    }

    /// A socket takes bytes.
    pub(super) fn carry(&mut self, wire: usize, to_worker: bool, len: usize) {
        let Self { wires, hosts, orchestrator, now, .. } = self;
        let (place, wire) = (wire, &mut wires[wire]);
        let Some(socket) = wire.socket else { return };
        let host = &mut hosts[wire.host];
        if to_worker && wire.dialer_speaks {
            let Some(coordinator) = orchestrator.coordinator(host.id.group) else { return };
            let waiting = coordinator.outgoing(host.id.index);
            let len = len.min(waiting.len());
            wire.to_worker.extend_from_slice(&waiting[..len]);
            wire.dialer_speaks = len < waiting.len();
            wire.dialer_bytes[0] += len as u64;
            coordinator.handle_sent(host.id.index, len, *now);
        } else if !to_worker && wire.worker_speaks {
            let now = host.clock(*now);
            let Some(worker) = &mut host.worker else { return };
            let waiting = worker.outgoing(socket);
            let len = len.min(waiting.len());
            wire.to_dialer.extend_from_slice(&waiting[..len]);
            wire.worker_speaks = len < waiting.len();
            wire.worker_bytes[0] += len as u64;
            worker.handle_sent(socket, len, now);
        }
        debug_assert!(place < self.wires.len());
        self.settle();
    }

    /// Bytes arrive, and after them the end of the stream.
    pub(super) fn deliver(&mut self, wire: usize, to_worker: bool, len: usize) {
        let Some(socket) = self.wires[wire].socket else { return };
        let host = self.wires[wire].host;
        let connection = &mut self.wires[wire];
        if to_worker {
            let bytes: Vec<u8> = connection.to_worker.drain(..len.min(connection.to_worker.len())).collect();
            let ends = connection.to_worker.is_empty() && std::mem::take(&mut connection.ends_at_worker);
            if connection.worker_open {
                connection.worker_bytes[1] += bytes.len() as u64;
                self.tell_worker(host, |worker, now| {
                    worker.handle_bytes(socket, &bytes, now);
                    if ends {
                        worker.handle_end(socket, now);
                    }
                });
            } else if !bytes.is_empty() && !connection.ends_at_dialer {
                // The answer to bytes that nobody waits for is a reset.
                self.break_dialer(wire);
                self.settle();
            }
        } else {
            let bytes: Vec<u8> = connection.to_dialer.drain(..len.min(connection.to_dialer.len())).collect();
            let ends = connection.to_dialer.is_empty() && std::mem::take(&mut connection.ends_at_dialer);
            if connection.dialer_open {
                connection.dialer_bytes[1] += bytes.len() as u64;
                self.with_coordinator(host, |coordinator, index, now| {
                    coordinator.handle_bytes(index, &bytes, now);
                });
                let is_open =
                    self.wires.get(wire).is_some_and(|wire| wire.socket == Some(socket) && wire.dialer_open);
                if ends && is_open {
                    self.with_coordinator(host, |coordinator, index, now| coordinator.handle_end(index, now));
                }
            } else if !bytes.is_empty() && connection.worker_open {
                self.break_worker(wire);
            }
        }
    }

    /// The connection breaks, and these ends notice.
    pub(super) fn cut(&mut self, wire: usize, dialer: bool, worker: bool) {
        self.is_calm = false;
        let socket = self.wires[wire].socket;
        if worker && self.wires[wire].worker_open {
            self.break_worker(wire);
        }
        if dialer
            && let Some(wire) = self.wires.iter().position(|wire| wire.socket == socket && socket.is_some())
        {
            self.break_dialer(wire);
        }
        self.settle();
    }

    /// Whoever has a half of a connection learns of it.
    pub(super) fn probe(&mut self) {
        let is_half = |wire: &Wire| wire.socket.is_some() && wire.dialer_open != wire.worker_open;
        let halves: Vec<ConnectionId> =
            self.wires.iter().filter(|wire| is_half(wire)).filter_map(|wire| wire.socket).collect();
        for socket in halves {
            let wire = self.wires.iter().position(|wire| wire.socket == Some(socket));
            let Some(wire) = wire.filter(|wire| is_half(&self.wires[*wire])) else { continue };
            let connection = &self.wires[wire];
            // What is under way arrives before.
            if connection.ends_at_dialer || connection.ends_at_worker {
                continue;
            }
            self.is_calm = false;
            if connection.dialer_open {
                self.break_dialer(wire);
                self.settle();
            } else {
                self.break_worker(wire);
            }
        }
    }

    /// Everything that is under way arrives, and what follows from it, until nothing moves any more.
    pub(super) fn flow(&mut self) {
        for _ in 0..FLOW_STEPS_MAX {
            if !self.wires.iter().any(Wire::has_something) {
                return;
            }
            let mut wire = self.wires.len();
            while wire > 0 {
                wire = (wire - 1).min(self.wires.len().saturating_sub(1));
                for act in [0, 1, 2, 3, 4] {
                    if wire < self.wires.len() {
                        match act {
                            0 => self.answer(wire, true),
                            1 => self.carry(wire, true, usize::MAX),
                            2 => self.deliver(wire, true, usize::MAX),
                            3 => self.carry(wire, false, usize::MAX),
                            _ => self.deliver(wire, false, usize::MAX),
                        }
                    }
                }
            }
        }
        panic!("they never stop talking");
    }

    /// The dialer's end breaks.
    pub(super) fn break_dialer(&mut self, wire: usize) {
        if self.wires[wire].dialer_open {
            let host = self.wires[wire].host;
            self.wires[wire].close_dialer(false);
            let id = self.hosts[host].id;
            let now = self.now;
            if let Some(coordinator) = self.orchestrator.coordinator(id.group) {
                coordinator.handle_connection_failed(id.index, "broken", now);
            }
        }
    }

    fn break_worker(&mut self, wire: usize) {
        let (host, socket) = (self.wires[wire].host, self.wires[wire].socket);
        self.wires[wire].close_worker(false);
        if let Some(socket) = socket {
            self.tell_worker(host, |worker, now| worker.handle_end(socket, now));
        }
    }
}

/// More rounds than a repetition has messages.
const FLOW_STEPS_MAX: usize = 200;
