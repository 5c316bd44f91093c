//! The other side of a machine's connection.

use super::{KEY, hello, identity};
use russula_proto::wire::{CoordinatorMessage, Hello, WorkerMessage};
use russula_proto::{ConnectionId, Coordinator, Entropy, Group, Identity, Key, Link, Timestamp, Worker};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Other bytes each time.
pub(crate) fn entropy() -> Entropy {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut entropy = [0; 32];
    // Not in the first bytes: X25519 takes the lowest three bits of the first one for nothing.
    entropy[8..16].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    entropy
}

/// A machine, as far as its connections are concerned.
pub(crate) trait Machine {
    /// By which it knows a connection.
    type Place: Copy + Debug;
    type Hears: Serialize + Debug;
    type Says: DeserializeOwned + Debug;

    fn waiting(&self, place: Self::Place) -> &[u8];
    fn sent(&mut self, place: Self::Place, len: usize, now: Timestamp);
    fn feed(&mut self, place: Self::Place, bytes: &[u8], now: Timestamp);
}

impl Machine for Worker {
    type Place = ConnectionId;
    type Hears = CoordinatorMessage;
    type Says = WorkerMessage;

    fn waiting(&self, place: ConnectionId) -> &[u8] {
        self.outgoing(place)
    }

    fn sent(&mut self, place: ConnectionId, len: usize, now: Timestamp) {
        self.handle_sent(place, len, now);
    }

    fn feed(&mut self, place: ConnectionId, bytes: &[u8], now: Timestamp) {
        self.handle_bytes(place, bytes, now);
    }
}

impl Machine for Coordinator {
    type Place = usize;
    type Hears = WorkerMessage;
    type Says = CoordinatorMessage;

    fn waiting(&self, place: usize) -> &[u8] {
        self.outgoing(place)
    }

    fn sent(&mut self, place: usize, len: usize, now: Timestamp) {
        self.handle_sent(place, len, now);
    }

    fn feed(&mut self, place: usize, bytes: &[u8], now: Timestamp) {
        self.handle_bytes(place, bytes, now);
    }
}

/// The other side of one connection of an `M`.
#[derive(Debug)]
pub(crate) struct Peer<M: Machine> {
    pub(crate) place: M::Place,
    pub(crate) link: Link,
    machine: PhantomData<M>,
}

impl<M: Machine> Peer<M> {
    fn new(place: M::Place, link: Link) -> Self {
        Self { place, link, machine: PhantomData }
    }

    /// `message` as it crosses the wire. Whatever was sealed has to arrive before the next.
    pub(crate) fn seal(&mut self, message: &M::Hears) -> Vec<u8> {
        self.link.send(message);
        let bytes = self.link.outgoing().to_vec();
        self.link.handle_sent(bytes.len());
        bytes
    }

    pub(crate) fn say(&mut self, machine: &mut M, message: &M::Hears, now: Timestamp) {
        let bytes = self.seal(message);
        machine.feed(self.place, &bytes, now);
    }

    /// The messages in `bytes`, which the machine has sent.
    pub(crate) fn open(&mut self, mut bytes: &[u8]) -> Vec<M::Says> {
        let mut messages = vec![];
        while !bytes.is_empty() {
            messages.extend(self.link.receive(&mut bytes).expect("a machine sends what verifies"));
        }
        messages
    }

    /// What waits to be sent, without the socket taking it.
    pub(crate) fn waiting(&self, machine: &M) -> Vec<u8> {
        machine.waiting(self.place).to_vec()
    }

    /// The socket takes whatever waits until nothing does; the messages in it.
    pub(crate) fn hear(&mut self, machine: &mut M, now: Timestamp) -> Vec<M::Says> {
        let mut messages = vec![];
        loop {
            let bytes = self.waiting(machine);
            if bytes.is_empty() {
                return messages;
            }
            machine.sent(self.place, bytes.len(), now);
            messages.extend(self.open(&bytes));
        }
    }

    /// Moves the bytes of this side's handshake, as far as there are any.
    fn carry(&mut self, machine: &mut M, now: Timestamp) {
        let bytes = self.link.outgoing().to_vec();
        self.link.handle_sent(bytes.len());
        machine.feed(self.place, &bytes, now);
    }
}

impl Peer<Worker> {
    /// Dials the worker as `identity`, and shakes hands with it.
    pub(crate) fn dial_as(
        worker: &mut Worker,
        place: ConnectionId,
        key: &Key,
        identity: &Identity,
        now: Timestamp,
    ) -> Self {
        let mut peer = Self::new(place, Link::dialed(key, identity, entropy()));
        worker.handle_accepted(place, entropy(), now);
        peer.carry(worker, now);
        peer.hear(worker, now);
        peer
    }

    /// Dials the only worker of `group`, which has shown its key after that, and waits for a `Hello`.
    pub(crate) fn dial(worker: &mut Worker, place: ConnectionId, group: Group, now: Timestamp) -> Self {
        let peer = Self::dial_as(worker, place, &KEY, &identity(group, 0), now);
        assert!(peer.link.is_open(), "the same key, run, group and index");
        peer
    }

    /// Says hello with the ticket of the handshake; what the worker answers is not heard yet.
    pub(crate) fn greet(&mut self, worker: &mut Worker, session: u64, epoch: u64, now: Timestamp) {
        let ticket = self.link.ticket();
        self.say(worker, &hello(session, epoch, ticket), now);
    }

    /// Becomes the worker's coordinator; its answers are taken.
    pub(crate) fn attach(
        worker: &mut Worker,
        group: Group,
        place: ConnectionId,
        (session, epoch): (u64, u64),
        now: Timestamp,
    ) -> Self {
        let mut peer = Self::dial(worker, place, group, now);
        peer.greet(worker, session, epoch, now);
        let answers = peer.hear(worker, now);
        assert!(matches!(answers.first(), Some(WorkerMessage::Welcome(_))), "{answers:?}");
        peer
    }
}

impl Peer<Coordinator> {
    /// Accepts the connection that the coordinator has dialed, shakes hands, and takes the `Hello`.
    pub(crate) fn accept(coordinator: &mut Coordinator, index: usize, now: Timestamp) -> Self {
        Self::accept_with_hello(coordinator, index, now).0
    }

    pub(crate) fn accept_with_hello(
        coordinator: &mut Coordinator,
        index: usize,
        now: Timestamp,
    ) -> (Self, Hello) {
        let worker = identity(coordinator.group(), u16::try_from(index).expect("a small group"));
        let mut peer = Self::new(index, Link::accepted(&KEY, &worker, entropy(), 0));
        coordinator.handle_connected(index, entropy(), now);
        let none = peer.hear(coordinator, now);
        assert!(none.is_empty() && peer.link.is_open(), "the coordinator shakes hands first");
        peer.carry(coordinator, now);
        match &peer.hear(coordinator, now)[..] {
            [CoordinatorMessage::Hello(hello)] => (peer, hello.clone()),
            other => panic!("the coordinator opens with a hello: {other:?}"),
        }
    }
}
