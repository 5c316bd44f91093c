//! Whoever connects to a worker and is not its coordinator.

use super::queue::Happening;
use super::{HostId, World};
use crate::model::End;
use crate::world::network::{Speech, WireId};
use russula_proto::noise::REQUEST_LEN;
use russula_proto::{Identity, Key, Link};
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

impl World {
    /// A stranger connects to `host`.
    pub fn stranger(&mut self, host: HostId, stranger: Stranger) {
        let entropy = self.random.bytes();
        let identity = self.host_mut(host).config.identity.clone();
        let request =
            |key: &Key, identity: &Identity| Link::dialed(key, identity, entropy).outgoing().to_vec();
        let recorded = self.host_mut(host).recorded.clone();
        let (says, pace) = match stranger {
            Stranger::Silent => (vec![], Duration::ZERO),
            Stranger::Http => {
                (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec(), Duration::ZERO)
            }
            Stranger::Half => (request(&self.key, &identity)[..20].to_vec(), Duration::ZERO),
            Stranger::Slow => (entropy.repeat(2), Duration::from_secs(1)),
            Stranger::Garbage => (entropy.repeat(5), Duration::ZERO),
            Stranger::WrongKey => (request(&Key::from_bytes(entropy), &identity), Duration::ZERO),
            Stranger::WrongWorker => {
                let other = Identity { index: identity.index + 1, ..identity };
                (request(&self.key, &other), Duration::ZERO)
            }
            Stranger::Replay => (recorded, Duration::ZERO),
            Stranger::GiantLength => {
                let mut says = recorded;
                says.truncate(REQUEST_LEN);
                says.extend_from_slice(&[0xff; 2]);
                (says, Duration::ZERO)
            }
        };
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
