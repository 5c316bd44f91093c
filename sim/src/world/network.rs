//! The network between the machines: connections, and the bytes that are under way on them.

use super::queue::Happening;
use super::sniffer::Sniffer;
use super::{HostId, Promise, Speaker, World, trace};
use crate::model::{End, Observation};
use russula_proto::wire::{CoordinatorMessage, WorkerMessage};
use russula_proto::{ConnectionId, Link, Timestamp, Traffic};
use std::time::Duration;

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// One way.
    pub latency: Duration,
    /// Up to so much more, drawn for each piece; the order of a stream stays.
    pub jitter: Duration,
    /// How many bytes a socket takes at once.
    pub split: Split,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { latency: Duration::from_millis(1), jitter: Duration::ZERO, split: Split::Whole }
    }
}

/// How many bytes a socket takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// All that there are.
    Whole,
    /// One.
    Bytes,
    /// Drawn for each piece, from 1 to this.
    UpTo(usize),
}

/// What somebody on the way can do to bytes that pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangling {
    /// Changes the last bit.
    Flip,
    /// Changes the first bit, which may belong to a length.
    FlipFirst,
    /// Replaces all of them by zeros.
    Zero,
}

impl Mangling {
    /// Changes the last `len` bytes of `bytes`.
    fn apply(self, bytes: &mut [u8], len: usize) {
        let begin = bytes.len() - len;
        let passing = &mut bytes[begin..];
        match self {
            Self::Flip => passing[len - 1] ^= 1,
            Self::FlipFirst => passing[0] ^= 0x80,
            Self::Zero => passing.fill(0),
        }
    }
}

/// A connection by its place in the list of all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WireId(pub(super) usize);

/// One connection, or the attempt to make one.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) host: HostId,
    /// Somebody else than the coordinator has dialed.
    pub(super) stranger: Option<Speech>,
    pub(super) socket: Option<ConnectionId>,
    streams: [Stream; 2],
}

/// What somebody says who is none of us.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    pub(crate) says: Vec<u8>,
    /// From one byte to the next; zero: all at once.
    pub(crate) pace: Duration,
    /// It has the right key, so it is to be let in.
    pub(crate) is_rival: bool,
    /// Goes on like a coordinator if it is let in.
    pub(crate) link: Option<Box<Link>>,
}

/// One end of a connection, and what it sends.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) is_open: bool,
    /// A `Transmit` was said for bytes that the socket has not taken yet.
    pub(super) is_announced: bool,
    sent_bytes: u64,
    received_bytes: u64,
    last_arrival: Timestamp,
    /// What the socket has taken; the first `arrived` bytes have reached the other end.
    pub(super) taken: Vec<u8>,
    arrived: usize,
    /// What somebody on the way does to the next bytes.
    pub(super) mangling: Option<Mangling>,
    /// Decodes what this end sends, for the trace.
    sniffer: Option<Box<Sniffer>>,
}

impl Stream {
    fn new(end: End, is_traced: bool) -> Self {
        Self {
            is_open: end == End::Dialer,
            is_announced: false,
            sent_bytes: 0,
            received_bytes: 0,
            last_arrival: Timestamp::ZERO,
            taken: vec![],
            arrived: 0,
            mangling: None,
            sniffer: is_traced.then(|| Box::new(Sniffer::of(end))),
        }
    }
}

impl Wire {
    pub(super) fn end(&mut self, end: End) -> &mut Stream {
        &mut self.streams[end as usize]
    }
}

impl World {
    pub(super) fn wire(&mut self, wire: WireId) -> &mut Wire {
        &mut self.wires[wire.0]
    }

    // --- sockets ---

    pub(super) fn dial(&mut self, host: HostId, stranger: Option<Speech>) -> WireId {
        let wire = WireId(self.wires.len());
        let sniffs = self.is_traced && stranger.is_none();
        let streams = [Stream::new(End::Dialer, sniffs), Stream::new(End::Worker, sniffs)];
        self.wires.push(Wire { host, stranger, socket: None, streams });
        self.schedule(self.now + self.network.latency, Happening::Dials(wire));
        wire
    }

    /// One end closes its socket; the other end hears of it after what was sent before.
    pub(super) fn close_end(&mut self, wire: WireId, end: End) {
        let arrival = self.now + self.network.latency;
        let stream = self.wire(wire).end(end);
        if std::mem::replace(&mut stream.is_open, false) {
            stream.last_arrival = stream.last_arrival.max(arrival);
            let at = stream.last_arrival;
            self.schedule(at, Happening::Closes(wire, end.other()));
        }
    }

    /// This end learns that the connection is no more.
    pub(super) fn break_at(&mut self, wire: WireId, end: End) {
        if !std::mem::replace(&mut self.wire(wire).end(end).is_open, false) {
            return;
        }
        let (host, socket) = (self.wire(wire).host, self.wire(wire).socket);
        match (end, socket) {
            (End::Dialer, _) if self.is_current(wire) => {
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

    /// Whether the coordinator regards this connection as its way to the host.
    fn is_current(&self, wire: WireId) -> bool {
        let host = self.wires[wire.0].host;
        self.side(host.group).dials[host.index] == Some(wire)
    }

    /// Whether the socket at this end takes bytes that the machine has announced.
    pub(super) fn can_write(&self, wire: WireId, end: End) -> bool {
        let wire = &self.wires[wire.0];
        let hold = &self.side(wire.host.group).hosts[wire.host.index].hold;
        let is_held = match end {
            End::Dialer => hold.to_worker,
            End::Worker => hold.to_coordinator,
        };
        let stream = &wire.streams[end as usize];
        let takes = !is_held || hold.sockets_take;
        stream.is_announced && stream.is_open && wire.socket.is_some() && takes
    }

    /// How many of `waiting` bytes the socket takes.
    pub(super) fn piece_len(&mut self, waiting: usize) -> usize {
        match self.network.split {
            Split::Whole => waiting,
            Split::Bytes => waiting.min(1),
            Split::UpTo(most) => waiting.min(1 + self.random.index(most)),
        }
    }

    /// The socket at this end has taken `bytes`.
    pub(super) fn take(wires: &mut [Wire], wire: WireId, from: End, bytes: &[u8]) {
        wires[wire.0].end(from).taken.extend_from_slice(bytes);
    }

    /// The last `len` bytes that the socket at this end has taken are under way; `is_last` says that nothing
    /// more waits.
    pub(super) fn carry(&mut self, wire: WireId, from: End, len: usize, is_last: bool) {
        let delay = self.network.latency + self.random.up_to(self.network.jitter);
        let (arrival, host) = (self.now + delay, self.wire(wire).host);
        if self.wire(wire).stranger.is_none() {
            self.note(Observation::Sent(host, from, len));
        }
        if self.is_traced {
            self.sniff(wire, from, len);
        }
        if self.records && from == End::Dialer {
            self.record(wire, len);
        }
        let stream = self.wire(wire).end(from);
        stream.sent_bytes += len as u64;
        if len > 0
            && let Some(mangling) = stream.mangling.take()
        {
            mangling.apply(&mut stream.taken, len);
        }
        stream.is_announced = !is_last;
        stream.last_arrival = stream.last_arrival.max(arrival);
        let at = stream.last_arrival;
        self.schedule(at, Happening::Arrives(wire, from.other(), len));
    }

    /// Writes the messages that end in the last `len` bytes into the trace.
    fn sniff(&mut self, wire: WireId, from: End, len: usize) {
        let host = self.wire(wire).host;
        let stream = self.wire(wire).end(from);
        let Some(mut sniffer) = stream.sniffer.take() else { return };
        let bytes = stream.taken[stream.taken.len() - len..].to_vec();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match from {
                End::Dialer => {
                    if let Some(message) = sniffer.next::<CoordinatorMessage>(&mut rest) {
                        let kind = trace::kind_of_coordinator_message(&message);
                        let text = trace::of_coordinator_message(&message);
                        self.say(Speaker::Coordinator(host.group), kind, || format!("to {host}: {text}"));
                    }
                }
                End::Worker => {
                    if let Some(message) = sniffer.next::<WorkerMessage>(&mut rest) {
                        let kind = trace::kind_of_worker_message(&message);
                        self.say(host, kind, || format!("says: {}", trace::of_worker_message(&message)));
                    }
                }
            }
        }
        self.wire(wire).end(from).sniffer = Some(sniffer);
    }

    /// Keeps the last `len` bytes that the coordinator said on this connection.
    fn record(&mut self, wire: WireId, len: usize) {
        let host = self.wire(wire).host;
        let stream = self.wires[wire.0].end(End::Dialer);
        let is_first = stream.sent_bytes == 0;
        let taken = &stream.taken[stream.taken.len() - len..];
        let side = self.sides[host.group as usize].as_mut().expect("the group is there");
        let recorded = &mut side.hosts[host.index].recorded;
        if is_first {
            recorded.clear();
        }
        if recorded.len() < RECORDED_MAX_LEN {
            recorded.extend_from_slice(taken);
        }
    }

    /// What the system of this end has counted.
    pub(super) fn kernel_counters(&mut self, wire: WireId, end: End) -> Traffic {
        let stream = self.wire(wire).end(end);
        Traffic { sent_bytes: stream.sent_bytes, received_bytes: stream.received_bytes }
    }

    // --- what happens ---

    pub(super) fn accept(&mut self, wire: WireId) {
        let id = self.wire(wire).host;
        self.touch_worker(id);
        let now = self.host_now(id);
        let entropy = self.random.bytes();
        let host = self.host_mut(id);
        let is_accepted = match &mut host.worker {
            Some(worker) if !host.refuses => {
                let socket = ConnectionId(host.next_socket);
                host.next_socket += 1;
                host.sockets.insert(socket, wire);
                worker.handle_accepted(socket, entropy, now);
                self.wire(wire).socket = Some(socket);
                self.wire(wire).end(End::Worker).is_open = true;
                true
            }
            Some(_) | None => false,
        };
        self.schedule(self.now + self.network.latency, Happening::Answers(wire, is_accepted));
    }

    pub(super) fn answer(&mut self, wire: WireId, is_accepted: bool) {
        let host = self.wire(wire).host;
        if !self.wire(wire).end(End::Dialer).is_open {
            return;
        }
        if let Some(speech) = self.wire(wire).stranger.take() {
            self.speak(wire, &speech);
            self.wire(wire).stranger = Some(speech);
            return;
        }
        if !self.is_current(wire) {
            return;
        }
        let entropy = self.random.bytes();
        self.tell_coordinator(host.group, |coordinator, now| match is_accepted {
            true => coordinator.handle_connected(host.index, entropy, now),
            false => coordinator.handle_connection_failed(host.index, "connection refused", now),
        });
    }

    pub(super) fn arrive(&mut self, wire: WireId, end: End, len: usize) {
        let host = self.wire(wire).host;
        let is_open = self.wire(wire).end(end).is_open;
        let is_stranger = self.wire(wire).stranger.is_some();
        let is_rival = self.wire(wire).stranger.as_ref().is_some_and(|speech| speech.is_rival);
        let stream = self.wire(wire).end(end.other());
        let from = stream.arrived;
        stream.arrived += len;
        if !is_open {
            // The answer to bytes that nobody waits for is a reset.
            self.schedule(self.now + self.network.latency, Happening::Resets(wire, end.other()));
            return;
        }
        if is_stranger && end == End::Dialer {
            return self.answer_stranger(wire, from..from + len);
        }
        self.wire(wire).end(end).received_bytes += len as u64;
        if !is_stranger {
            self.note(Observation::Arrived(host, end, len));
        }
        // Taken out for the moment, so that the machine can be told.
        let mut bytes = std::mem::take(&mut self.wire(wire).end(end.other()).taken);
        match (end, self.wire(wire).socket) {
            (End::Dialer, _) => {
                self.touch_coordinator(host.group);
                let now = self.orchestrator_now();
                let coordinator = &mut self.side_mut(host.group).coordinator;
                coordinator.handle_bytes(host.index, &bytes[from..from + len], now);
            }
            (End::Worker, Some(socket)) => {
                self.touch_worker(host);
                let now = self.host_now(host);
                if let Some(worker) = &mut self.host_mut(host).worker {
                    if is_stranger {
                        // What is due by now is not the stranger's doing.
                        worker.handle_timeout(now);
                    }
                    let before = (worker.state(), worker.repetition(), worker.is_attached());
                    worker.handle_bytes(socket, &bytes[from..from + len], now);
                    let after = (worker.state(), worker.repetition(), worker.is_attached());
                    if is_stranger && !is_rival && before != after {
                        let text = || format!("a stranger takes {host} from {before:?} to {after:?}");
                        self.breach(Promise::Intruders, text);
                    }
                }
            }
            (End::Worker, None) => {}
        }
        let stream = self.wire(wire).end(end.other());
        if stream.arrived == bytes.len() {
            bytes.clear();
            stream.arrived = 0;
        }
        stream.taken = bytes;
    }

    pub(super) fn end_arrives(&mut self, wire: WireId, end: End) {
        let (host, socket) = (self.wire(wire).host, self.wire(wire).socket);
        if !self.wire(wire).end(end).is_open {
            return;
        }
        let is_stranger = self.wire(wire).stranger.is_some();
        match (end, socket) {
            (End::Dialer, _) if is_stranger => {}
            (End::Dialer, _) => self.tell_coordinator(host.group, |c, now| c.handle_end(host.index, now)),
            (End::Worker, Some(socket)) => {
                self.tell_worker(host, |worker, now| worker.handle_end(socket, now))
            }
            (End::Worker, None) => {}
        }
    }
}

/// About how many bytes of a connection are kept.
const RECORDED_MAX_LEN: usize = 2000;
