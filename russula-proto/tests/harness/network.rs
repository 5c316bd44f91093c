//! The network between the machines: latency, splits, cuts, refused dials, connections that stand still.

use super::{Fact, HostId, Kind, World};
use russula_proto::wire::{CoordinatorMessage, PREAMBLE_LEN, WorkerMessage};
use russula_proto::{ConnectionId, Exit, Link, Timestamp};
use std::time::Duration;

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkOptions {
    /// One way.
    pub(crate) latency: Duration,
    /// Up to so much more, drawn for each piece; the order of a stream stays.
    pub(crate) jitter: Duration,
    pub(crate) split: Split,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { latency: Duration::from_millis(1), jitter: Duration::ZERO, split: Split::Whole }
    }
}

/// How many bytes a socket takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Whole,
    Bytes,
    /// Drawn by lot for each piece.
    Random,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The side that dialed: the coordinator, or a stranger.
    Dialer,
    Worker,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Worker,
            Self::Worker => Self::Dialer,
        }
    }
}

/// A connection by its place in the list of all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireId(pub(crate) usize);

/// One connection, or the attempt to make one.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) host: HostId,
    /// The bytes of a stranger, if one dialed.
    stranger: Option<Vec<u8>>,
    socket: Option<ConnectionId>,
    streams: [Stream; 2],
}

/// One end of a connection, and what it sends.
#[derive(Debug)]
struct Stream {
    is_open: bool,
    /// A `Transmit` was said for bytes that the socket has not taken yet.
    is_announced: bool,
    /// Decodes what this end sends, for the log.
    sniffer: Link,
    sent: usize,
    last_arrival: Timestamp,
}

impl Stream {
    fn new() -> Self {
        let sniffer = Link::accepted();
        Self { is_open: false, is_announced: false, sniffer, sent: 0, last_arrival: Timestamp::ZERO }
    }
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A dial reaches the host.
    Dials(WireId),
    /// The answer to a dial reaches who dialed.
    Answers(WireId, Result<(), &'static str>),
    /// Bytes reach this end.
    Arrives(WireId, End, Vec<u8>),
    /// The end of the stream reaches this end.
    Closes(WireId, End),
    /// This end learns that the connection is no more.
    Resets(WireId, End),
    /// The program of this generation runs.
    Runs(HostId, u64),
    /// The start of the program of this generation fails.
    StartFails(HostId, u64),
    /// The program of this generation ends.
    Exits(HostId, u64, Exit),
}

impl World {
    // --- what a test does to the network ---

    /// A stranger connects to `host` and sends `bytes`; it never closes.
    pub(crate) fn stranger(&mut self, host: HostId, bytes: &[u8]) {
        self.dial(host, Some(bytes.to_vec()));
    }

    /// Every connection of `host` to its coordinator breaks, and both ends notice.
    pub(crate) fn cut(&mut self, host: HostId) {
        let wire = self.side(host.group).dials[host.index];
        if let Some(wire) = wire {
            self.break_at(wire, End::Worker);
            self.break_at(wire, End::Dialer);
        }
        self.settle();
    }

    /// The connection of `host` breaks, and only the coordinator notices.
    pub(crate) fn cut_unnoticed_by_worker(&mut self, host: HostId) {
        if let Some(wire) = self.side(host.group).dials[host.index] {
            self.break_at(wire, End::Dialer);
        }
        self.settle();
    }

    /// Every worker learns of the connections that its coordinator has given up; sockets do that by probes.
    pub(crate) fn probe_connections(&mut self) {
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wires[wire.0].stranger.is_none() && !self.end_is_open(wire, End::Dialer) {
                self.break_at(wire, End::Worker);
            }
        }
        self.settle();
    }

    /// From now on nothing moves between `host` and the others, until it is released.
    pub(crate) fn hold(&mut self, host: HostId) {
        self.host(host).is_held = true;
    }

    pub(crate) fn release(&mut self, host: HostId) {
        self.host(host).is_held = false;
        for happening in std::mem::take(&mut self.held) {
            self.schedule(self.now, happening);
        }
        self.settle();
    }

    /// The worker process of `host` is killed, and its program with it; dials are refused from now on.
    pub(crate) fn crash(&mut self, host: HostId) {
        self.host(host).lose_worker();
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wires[wire.0].host == host {
                self.end_of(wire, End::Worker).is_open = false;
                self.break_at(wire, End::Dialer);
            }
        }
        self.settle();
    }

    // --- sockets ---

    pub(super) fn dial(&mut self, host: HostId, stranger: Option<Vec<u8>>) -> WireId {
        let wire = WireId(self.wires.len());
        let streams = [Stream::new(), Stream::new()];
        self.wires.push(Wire { host, stranger, socket: None, streams });
        self.end_of(wire, End::Dialer).is_open = true;
        self.schedule(self.now + self.network.latency, Happening::Dials(wire));
        wire
    }

    /// One end closes its socket; the other end hears of it after what was sent before.
    pub(super) fn close_end(&mut self, wire: WireId, end: End) {
        let latency = self.network.latency;
        let now = self.now;
        let stream = self.end_of(wire, end);
        if std::mem::replace(&mut stream.is_open, false) {
            stream.last_arrival = stream.last_arrival.max(now + latency);
            let at = stream.last_arrival;
            self.schedule(at, Happening::Closes(wire, end.other()));
        }
    }

    fn break_at(&mut self, wire: WireId, end: End) {
        if !std::mem::replace(&mut self.end_of(wire, end).is_open, false) {
            return;
        }
        let (host, socket) = (self.wires[wire.0].host, self.wires[wire.0].socket);
        let is_current = self.side(host.group).dials[host.index] == Some(wire);
        match (end, socket) {
            (End::Dialer, _) if is_current => {
                let error = "connection reset by peer";
                self.tell_coordinator(host.group, |c, now| {
                    c.handle_connection_failed(host.index, error, now)
                });
            }
            (End::Worker, Some(socket)) => {
                self.tell_worker(host, |worker, now| worker.handle_end(socket, now))
            }
            (End::Dialer, _) | (End::Worker, None) => {}
        }
    }

    pub(super) fn announce(&mut self, wire: WireId, end: End) {
        self.end_of(wire, end).is_announced = true;
    }

    /// Whether the socket at this end takes bytes that the machine has announced.
    pub(super) fn can_write(&mut self, wire: WireId, end: End) -> bool {
        let host = self.wires[wire.0].host;
        let is_connected = self.wires[wire.0].socket.is_some();
        let is_held = self.host(host).is_held;
        let stream = self.end_of(wire, end);
        stream.is_announced && stream.is_open && is_connected && !is_held
    }

    /// How many of `waiting` bytes the socket takes.
    pub(super) fn piece_len(&mut self, waiting: usize) -> usize {
        match self.network.split {
            Split::Whole => waiting,
            Split::Bytes => 1,
            Split::Random => usize::try_from(self.random.between(1, 40)).map_or(1, |len| len.min(waiting)),
        }
    }

    /// The socket at this end has taken `bytes`; `is_last` says that nothing more waits.
    pub(super) fn carry(&mut self, wire: WireId, from: End, mut bytes: Vec<u8>, is_last: bool) {
        let delay = self.network.latency + self.random.up_to(self.network.jitter);
        let (now, host) = (self.now, self.wires[wire.0].host);
        self.note(Fact::Sent(host, bytes.len()));
        self.sniff(wire, from, &bytes);
        let other_version = self.host(host).other_version;
        let stream = self.end_of(wire, from);
        if let Some(version_at) = (PREAMBLE_LEN - 1).checked_sub(stream.sent)
            && other_version
            && let Some(byte) = bytes.get_mut(version_at)
        {
            *byte += 1;
        }
        stream.sent += bytes.len();
        stream.is_announced = !is_last;
        stream.last_arrival = stream.last_arrival.max(now + delay);
        let at = stream.last_arrival;
        self.schedule(at, Happening::Arrives(wire, from.other(), bytes));
    }

    pub(super) fn is_announced(&mut self, wire: WireId, end: End) -> bool {
        self.end_of(wire, end).is_announced
    }

    fn end_is_open(&mut self, wire: WireId, end: End) -> bool {
        self.end_of(wire, end).is_open
    }

    fn end_of(&mut self, wire: WireId, end: End) -> &mut Stream {
        &mut self.wires[wire.0].streams[end as usize]
    }

    fn sniff(&mut self, wire: WireId, from: End, mut bytes: &[u8]) {
        let host = self.wires[wire.0].host;
        while !bytes.is_empty() {
            let link = &mut self.end_of(wire, from).sniffer;
            let (who, text) = match from {
                End::Dialer => {
                    let message = link.receive::<CoordinatorMessage>(&mut bytes);
                    let message = message.expect("a coordinator sends what can be decoded");
                    (format!("{}s", host.group), message.map(|m| super::log::of_coordinator_message(&m)))
                }
                End::Worker => {
                    let message = link.receive::<WorkerMessage>(&mut bytes);
                    let message = message.expect("a worker sends what can be decoded");
                    (host.to_string(), message.map(|m| super::log::of_worker_message(&m)))
                }
            };
            if let Some(text) = text {
                let to = if from == End::Dialer { format!("to {host}: ") } else { "says: ".into() };
                self.say(who, Kind::Message, format!("{to}{text}"));
            }
        }
    }

    // --- what happens ---

    pub(super) fn happen(&mut self, happening: Happening) {
        let wire = match &happening {
            Happening::Dials(wire)
            | Happening::Answers(wire, _)
            | Happening::Arrives(wire, ..)
            | Happening::Closes(wire, _)
            | Happening::Resets(wire, _) => Some(*wire),
            Happening::Runs(..) | Happening::StartFails(..) | Happening::Exits(..) => None,
        };
        if wire.is_some_and(|wire| self.host(self.wires[wire.0].host).is_held) {
            self.held.push(happening);
            return;
        }
        match happening {
            Happening::Dials(wire) => self.accept(wire),
            Happening::Answers(wire, answer) => self.answer(wire, answer),
            Happening::Arrives(wire, end, bytes) => self.arrive(wire, end, &bytes),
            Happening::Closes(wire, end) => self.end_arrives(wire, end),
            Happening::Resets(wire, end) => self.break_at(wire, end),
            Happening::Runs(host, generation) => self.program_runs(host, generation),
            Happening::StartFails(host, generation) => self.program_start_fails(host, generation),
            Happening::Exits(host, generation, exit) => self.program_exits(host, generation, exit),
        }
    }

    fn accept(&mut self, wire: WireId) {
        let (now, latency) = (self.now, self.network.latency);
        let host = self.host(self.wires[wire.0].host);
        let answer = match &mut host.worker {
            Some(worker) if !host.refuses => {
                let socket = ConnectionId(host.next_socket);
                host.next_socket += 1;
                host.sockets.insert(socket, wire);
                worker.handle_accepted(socket, now);
                self.wires[wire.0].socket = Some(socket);
                self.end_of(wire, End::Worker).is_open = true;
                Ok(())
            }
            Some(_) | None => Err("connection refused"),
        };
        self.schedule(now + latency, Happening::Answers(wire, answer));
    }

    fn answer(&mut self, wire: WireId, answer: Result<(), &'static str>) {
        let (now, host) = (self.now, self.wires[wire.0].host);
        if let Some(bytes) = self.wires[wire.0].stranger.clone() {
            self.schedule(now + self.network.latency, Happening::Arrives(wire, End::Worker, bytes));
            return;
        }
        if self.side(host.group).dials[host.index] != Some(wire) || !self.end_is_open(wire, End::Dialer) {
            return;
        }
        self.tell_coordinator(host.group, |coordinator, now| match answer {
            Ok(()) => coordinator.handle_connected(host.index, now),
            Err(error) => coordinator.handle_connection_failed(host.index, error, now),
        });
    }

    fn arrive(&mut self, wire: WireId, end: End, bytes: &[u8]) {
        let (now, host, socket) = (self.now, self.wires[wire.0].host, self.wires[wire.0].socket);
        let is_stranger = self.wires[wire.0].stranger.is_some();
        if is_stranger && end == End::Dialer {
            return;
        }
        if !self.end_is_open(wire, end) {
            // The answer to bytes that nobody waits for is a reset.
            let latency = self.network.latency;
            self.schedule(now + latency, Happening::Resets(wire, end.other()));
            return;
        }
        if !is_stranger {
            self.note(Fact::Arrived(host, bytes.len()));
        }
        match end {
            End::Dialer => self.side_mut(host.group).coordinator.handle_bytes(host.index, bytes, now),
            End::Worker => {
                if let (Some(worker), Some(socket)) = (&mut self.host(host).worker, socket) {
                    worker.handle_bytes(socket, bytes, now);
                }
            }
        }
    }

    fn end_arrives(&mut self, wire: WireId, end: End) {
        let (host, socket) = (self.wires[wire.0].host, self.wires[wire.0].socket);
        let is_stranger = self.wires[wire.0].stranger.is_some();
        if !self.end_is_open(wire, end) || is_stranger {
            return;
        }
        match (end, socket) {
            (End::Dialer, _) => self.tell_coordinator(host.group, |c, now| c.handle_end(host.index, now)),
            (End::Worker, Some(socket)) => {
                self.tell_worker(host, |worker, now| worker.handle_end(socket, now))
            }
            (End::Worker, None) => {}
        }
    }
}
