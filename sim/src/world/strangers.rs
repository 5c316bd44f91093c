//! Whoever connects to a worker and is not its coordinator.

use super::queue::Happening;
use super::{HostId, World};
use crate::model::End;
use crate::world::network::{Speech, WireId};
use russula_proto::noise::REQUEST_LEN;
use russula_proto::{Entropy, Identity, Key, Link};
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
}

impl Stranger {
    /// Every one.
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
    /// What it says to the worker with this key and identity, and how long it takes from one byte to the next; zero:
    /// all at once. `recorded` is what the coordinator said on its newest connection to the worker.
    pub(crate) fn says(
        self,
        key: &Key,
        identity: &Identity,
        recorded: &[u8],
        entropy: Entropy,
    ) -> (Vec<u8>, Duration) {
        let request =
            |key: &Key, identity: &Identity| Link::dialed(key, identity, entropy).outgoing().to_vec();
        let says = match self {
            Self::Silent => vec![],
            Self::Http => b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec(),
            Self::Half => request(key, identity)[..20].to_vec(),
            Self::Slow => entropy.repeat(2),
            Self::Garbage => entropy.repeat(5),
            Self::WrongKey => request(&Key::from_bytes(entropy), identity),
            Self::WrongWorker => request(key, &Identity { index: identity.index + 1, ..identity.clone() }),
            Self::Replay => recorded.to_vec(),
            Self::GiantLength => {
                let handshake = &recorded[..recorded.len().min(REQUEST_LEN)];
                [handshake, &[0xff; 2]].concat()
            }
        };
        let pace = if self == Self::Slow { Duration::from_secs(1) } else { Duration::ZERO };
        (says, pace)
    }
}

impl World {
    /// A stranger connects to `host`.
    pub fn stranger(&mut self, host: HostId, stranger: Stranger) {
        let entropy = self.random.bytes();
        let of_host = self.host_mut(host);
        let (identity, recorded) = (of_host.config.identity.clone(), of_host.recorded.clone());
        let (says, pace) = stranger.says(&self.key, &identity, &recorded, entropy);
        self.dial(host, Some(Speech { says, pace }));
    }

    /// Somebody connects to `host` and sends `bytes`.
    pub fn intruder(&mut self, host: HostId, bytes: &[u8]) {
        self.dial(host, Some(Speech { says: bytes.to_vec(), pace: Duration::ZERO }));
    }

    /// A stranger's connection stands: it says everything that it has to say.
    pub(super) fn speak(&mut self, wire: WireId, speech: &Speech) {
        let Speech { says, pace } = speech;
        Self::take(&mut self.wires, wire, End::Dialer, says);
        let piece = if pace.is_zero() { says.len().max(1) } else { 1 };
        let mut at = self.now + self.network.latency;
        for bytes in says.chunks(piece) {
            self.schedule(at, Happening::Arrives(wire, End::Worker, bytes.len()));
            at = at + *pace;
        }
    }
}
