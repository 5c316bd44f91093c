//! Whoever connects to a worker and is not its coordinator: what it says, and what it says next if it is let in.

use super::queue::Happening;
use super::{HostId, World};
use crate::model::End;
use crate::world::network::{Speech, WireId};
use russula_proto::noise::REQUEST_LEN;
use russula_proto::wire::{CoordinatorMessage, Goal, Hello, Target, WorkerMessage};
use russula_proto::{Entropy, Identity, Key, Link};
use std::ops::Range;
use std::time::Duration;

/// What somebody does who is none of us. Nobody of them closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Says nothing.
    Silent,
    /// Speaks another protocol.
    Http,
    /// Begins a handshake and does not go on.
    Half,
    /// Says what could be a handshake, one byte a second.
    Slow,
    /// Says what could be a handshake, and more.
    Garbage,
    /// Has another key.
    WrongKey,
    /// Has the right key, and means another worker.
    WrongWorker,
    /// Says again what the coordinator said on its newest connection to this worker.
    Replay,
    /// Says again the handshake of the coordinator, and then the beginning of the longest frame there is.
    GiantLength,
    /// Has the right key: another coordinator, which wants to have everything stopped.
    Rival,
}

impl Stranger {
    /// Every one who is not to be let in.
    pub const ALL: [Self; 9] = [
        Self::Silent,
        Self::Http,
        Self::Half,
        Self::Slow,
        Self::Garbage,
        Self::WrongKey,
        Self::WrongWorker,
        Self::Replay,
        Self::GiantLength,
    ];
}

impl Stranger {
    /// What it says to the worker with this identity, whose key is the first of `keys`. `recorded` is what the
    /// coordinator said on its newest connection to the worker.
    pub(crate) fn speech(
        self,
        [key, other_key]: [&Key; 2],
        identity: &Identity,
        recorded: &[u8],
        entropy: Entropy,
    ) -> Speech {
        let dialed = |key: &Key, identity: &Identity| Link::dialed(key, identity, entropy);
        match self {
            Self::Silent => Speech::default(),
            Self::Http => Speech::of(HTTP_REQUEST),
            Self::Half => Speech::of(&dialed(key, identity).outgoing()[..20]),
            Self::Slow => Speech { pace: Duration::from_secs(1), ..Speech::of(&entropy.repeat(2)) },
            Self::Garbage => Speech::of(&entropy.repeat(5)),
            Self::WrongKey => Speech::by(dialed(other_key, identity)),
            Self::WrongWorker => {
                Speech::by(dialed(key, &Identity { index: identity.index + 1, ..identity.clone() }))
            }
            Self::Rival => Speech { is_rival: true, ..Speech::by(dialed(key, identity)) },
            Self::Replay => Speech::of(recorded),
            Self::GiantLength => {
                let request = &recorded[..recorded.len().min(REQUEST_LEN)];
                Speech::of(&[request, &[0xff; 2]].concat())
            }
        }
    }
}

impl World {
    /// A stranger connects to `host`.
    pub fn stranger(&mut self, host: HostId, stranger: Stranger) {
        let entropy = self.random.bytes();
        let identity = self.host_mut(host).config.identity.clone();
        let recorded = self.host_mut(host).recorded.clone();
        let keys = [&self.key(), &self.key_of(entropy)];
        let speech = stranger.speech(keys, &identity, &recorded, entropy);
        self.dial(host, Some(speech));
    }

    /// Whoever is connected to `host` and is not its coordinator goes away.
    pub fn strangers_leave(&mut self, host: HostId) {
        for wire in (0..self.wires.len()).map(WireId) {
            if self.wire(wire).host == host && self.wire(wire).stranger.is_some() {
                self.disturb(host);
                self.close_end(wire, End::Dialer);
            }
        }
        self.settle();
    }

    /// Somebody connects to `host` and sends `bytes`.
    pub fn intruder(&mut self, host: HostId, bytes: &[u8]) {
        self.dial(host, Some(Speech::of(bytes)));
    }

    /// A stranger's connection stands: it says everything that it has to say.
    pub(super) fn speak(&mut self, wire: WireId, speech: &Speech) {
        let Speech { says, pace, .. } = speech;
        Self::take(&mut self.wires, wire, End::Dialer, says);
        let piece = if pace.is_zero() { says.len().max(1) } else { 1 };
        let mut at = self.now + self.network.latency;
        for bytes in says.chunks(piece) {
            self.schedule(at, Happening::Arrives(wire, End::Worker, bytes.len()));
            at = at + *pace;
        }
    }

    /// Bytes have come back to a stranger. Whoever has shown a key that is taken for the right one goes on like a
    /// coordinator that wants to have everything stopped.
    pub(super) fn answer_stranger(&mut self, wire: WireId, range: Range<usize>) {
        let bytes = self.wire(wire).end(End::Worker).taken[range].to_vec();
        let Some(speech) = &mut self.wire(wire).stranger else { return };
        let Some(link) = &mut speech.link else { return };
        let was_open = link.is_open();
        if link.receive::<WorkerMessage>(&mut &bytes[..]).is_err() || was_open || !link.is_open() {
            return;
        }
        let ticket = link.ticket();
        link.send(&CoordinatorMessage::Hello(Hello { session: 666, epoch: 1, ticket, work: None }));
        let target = Target::Stop;
        link.send(&CoordinatorMessage::Goal(Goal { repetition: 99, program: 0, target, start_at: None }));
        let says = link.outgoing().to_vec();
        link.handle_sent(says.len());
        self.speak(wire, &Speech::of(&says));
    }
}

impl Speech {
    /// These bytes, all at once.
    fn of(says: &[u8]) -> Self {
        Self { says: says.to_vec(), ..Self::default() }
    }

    /// The beginning of a handshake, which is gone on with if there is an answer.
    fn by(mut link: Link) -> Self {
        let says = link.outgoing().to_vec();
        link.handle_sent(says.len());
        Self { says, link: Some(Box::new(link)), ..Self::default() }
    }
}

const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
