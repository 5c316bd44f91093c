//! One side of a control connection, played by hand: the real link over a blocking socket.

use crate::common::{KEY, PATIENCE};
use russula_proto::wire::{CoordinatorMessage, Hello, Welcome, WorkerMessage};
use russula_proto::{Identity, Key, Link, Memory, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A coordinator or a worker without a mind of its own.
pub(crate) struct ByHand {
    pub(crate) stream: TcpStream,
    link: Link,
}

impl ByHand {
    /// Dials the worker `peer`, and returns when both sides have shown that they have the key.
    pub(crate) fn dial(address: SocketAddr, peer: &Identity) -> Self {
        let mut dialed = Self::begin(address, peer);
        dialed.shake_hands();
        dialed
    }

    /// Dials the worker `peer` and sends the request.
    pub(crate) fn begin(address: SocketAddr, peer: &Identity) -> Self {
        let mut dialed = Self::new(TcpStream::connect(address).unwrap(), Link::dialed(&KEY, peer, entropy()));
        dialed.flush();
        dialed
    }

    /// Answers a coordinator as the worker `own`, whose ticket is 0.
    pub(crate) fn answer(stream: TcpStream, own: &Identity) -> Self {
        let mut answering = Self::new(stream, Link::accepted(&KEY, own, entropy(), 0));
        answering.shake_hands();
        answering
    }

    fn new(stream: TcpStream, link: Link) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, link }
    }

    /// Waits until the other side has shown that it has the key.
    pub(crate) fn shake_hands(&mut self) {
        while !self.link.is_open() {
            let early = self.receive::<CoordinatorMessage>();
            assert!(early.is_none(), "{early:?} before the handshake");
        }
        self.flush();
    }

    /// Sends a message.
    pub(crate) fn say<M: Serialize>(&mut self, message: &M) {
        let bytes = self.seal(message);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The bytes of a message as they have to go out next.
    pub(crate) fn seal<M: Serialize>(&mut self, message: &M) -> Vec<u8> {
        self.link.send(message);
        let bytes = self.link.outgoing().to_vec();
        self.link.handle_sent(bytes.len());
        bytes
    }

    /// Opens the exchange as the coordinator of `session`.
    pub(crate) fn say_hello(&mut self, session: u64, epoch: u64) {
        let ticket = self.link.ticket();
        self.say(&CoordinatorMessage::Hello(Hello { session, epoch, ticket, work: None }));
    }

    /// Answers a hello as a worker that has one program.
    pub(crate) fn seal_welcome(&mut self) -> Vec<u8> {
        let memory = Memory { session: 1, takeovers: 0 };
        let program_version = Text::default();
        self.seal(&WorkerMessage::Welcome(Welcome { memory, programs: 1, program_version, kill_grace_ms: 0 }))
    }

    /// The next message.
    pub(crate) fn hear<M: DeserializeOwned>(&mut self) -> M {
        loop {
            if let Some(message) = self.receive() {
                return message;
            }
        }
    }

    /// Takes one byte, so that nothing of the next message is taken with this one.
    fn receive<M: DeserializeOwned>(&mut self) -> Option<M> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("'the other side says something'");
        self.link.receive(&mut &byte[..]).expect("the other side has the key")
    }

    fn flush(&mut self) {
        let bytes = self.link.outgoing().to_vec();
        self.link.handle_sent(bytes.len());
        self.stream.write_all(&bytes).unwrap();
    }
}

/// The first bytes of a coordinator with `key`.
pub(crate) fn request(key: &Key, peer: &Identity) -> Vec<u8> {
    Link::dialed(key, peer, entropy()).outgoing().to_vec()
}

/// Fresh randomness for a connection.
pub(crate) fn entropy() -> [u8; 32] {
    backends::entropy::bytes().unwrap()
}
