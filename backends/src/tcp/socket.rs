//! A non-blocking TCP stream: every call moves as many bytes as the kernel takes.

use crate::sock_diag::KernelSockets;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use russula_proto::Traffic;
use rustix::net::sockopt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    is_connected: bool,
}

/// What an event tells about reading from its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// There is nothing to read.
    Nothing,
    /// There are bytes. A read that does not fill its buffer has taken all of them, and whatever arrives
    /// later is an event of its own (epoll(7), "Questions and answers", Q9; kqueue behaves alike).
    Bytes,
    /// The stream has ended or is broken. There is no other event for that, so it is read to its end.
    ToEnd,
}

impl Readable {
    pub(super) fn of(event: &Event) -> Self {
        if event.is_read_closed() || event.is_error() {
            Self::ToEnd
        } else if event.is_readable() {
            Self::Bytes
        } else {
            Self::Nothing
        }
    }

    /// Whether nothing is left after a read of `len` bytes into a buffer of `buffer_len`.
    pub(super) fn is_drained_by(self, len: usize, buffer_len: usize) -> bool {
        match self {
            Self::Nothing => true,
            Self::Bytes => len < buffer_len,
            Self::ToEnd => false,
        }
    }
}

/// What a read came to.
#[derive(Debug)]
pub(super) enum Received {
    /// This many bytes at the front of the buffer.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer has closed its side.
    End,
}

impl Socket {
    pub(super) fn accepted(stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::new(stream, true, registry, token)
    }

    /// Begins to connect; [`Self::finish_connecting`] tells when it is done.
    pub(super) fn dial(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::new(TcpStream::connect(address)?, false, registry, token)
    }

    fn new(mut stream: TcpStream, is_connected: bool, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // A goal is one small segment that somebody waits for. Where the option fails, it only comes later.
        let _ = stream.set_nodelay(true);
        // Likewise for an option that only makes a peer that vanished known earlier.
        let _ = keep_alive(&stream);
        Ok(Self { stream, is_connected })
    }

    /// Whether the socket became connected by this call.
    pub(super) fn finish_connecting(&mut self) -> io::Result<bool> {
        if self.is_connected {
            return Ok(false);
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.is_connected = true;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes bytes until the kernel takes no more; returns how many it took.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while self.is_connected && sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Reads once.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if !self.is_connected {
            return Ok(Received::Nothing);
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Received::End),
                Ok(len) => return Ok(Received::Bytes(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the kernel has counted of the bytes that this socket has taken and given. `None` if it cannot say.
    pub(super) fn kernel_traffic(&self, kernel: &mut KernelSockets) -> Option<Traffic> {
        /// Between the two questions something may arrive; then both are asked again.
        const ATTEMPTS: usize = 3;

        let (local, peer) = (self.stream.local_addr().ok()?, self.stream.peer_addr().ok()?);
        for _ in 0..ATTEMPTS {
            let unread = rustix::io::ioctl_fionread(&self.stream).ok()?;
            let counters = kernel.counters(local, peer).ok()?;
            if rustix::io::ioctl_fionread(&self.stream).ok()? == unread {
                let received_bytes = counters.received_bytes.checked_sub(unread)?;
                return Some(Traffic { sent_bytes: counters.sent_bytes, received_bytes });
            }
        }
        None
    }

    /// Takes the socket out of the poll; dropping it closes it.
    pub(super) fn close(mut self, registry: &Registry) {
        // It fails only for a socket that is not registered, and then there is nothing to undo.
        let _ = registry.deregister(&mut self.stream);
    }
}

/// Has the kernel ask an idle peer whether it is still there, by segments without a byte of payload: a host that lost
/// its power, or a path that forgot the connection, shows after about two minutes.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;
    use std::time::Duration;

    /// Far more than the buffers of a loopback connection hold.
    const MANY_BYTES_LEN: usize = 64 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_send_takes_what_the_kernel_takes_and_goes_on_at_the_next_event() {
        let (mut poll, mut socket, peer) = connected();
        let bytes: Vec<u8> = (0..MANY_BYTES_LEN).map(|at| at.to_le_bytes()[at % 3]).collect();
        let mut sent = socket.send(&bytes).unwrap();
        assert!((1..bytes.len()).contains(&sent), "{sent} bytes sent to a peer that does not read");
        let reader = thread::spawn(move || read_to_end(peer));
        let mut events = Events::with_capacity(4);
        while sent < bytes.len() {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "'the socket takes more' took longer than {PATIENCE:?}");
            sent += socket.send(&bytes[sent..]).unwrap();
        }
        socket.close(poll.registry());
        assert!(reader.join().unwrap() == bytes, "the bytes arrive in order");
    }

    #[test]
    fn a_read_takes_no_more_than_its_buffer_and_then_says_that_there_is_nothing() {
        let (mut poll, mut socket, mut peer) = connected();
        peer.write_all(b"abc").unwrap();
        let mut events = Events::with_capacity(4);
        while !events.iter().any(|event| Readable::of(event) == Readable::Bytes) {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "'there are bytes' took longer than {PATIENCE:?}");
        }
        let mut buffer = [0; 2];
        for expected in [&b"ab"[..], b"c"] {
            let Received::Bytes(len) = socket.receive(&mut buffer).unwrap() else { panic!("{expected:?}") };
            assert_eq!(&buffer[..len], expected);
            assert_eq!(Readable::Bytes.is_drained_by(len, buffer.len()), expected == b"c");
        }
        assert!(matches!(socket.receive(&mut buffer), Ok(Received::Nothing)));
        drop(peer);
        while !events.iter().any(|event| Readable::of(event) == Readable::ToEnd) {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "'the stream has ended' took longer than {PATIENCE:?}");
        }
        assert!(matches!(socket.receive(&mut buffer), Ok(Received::End)));
    }

    fn connected() -> (Poll, Socket, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let poll = Poll::new().unwrap();
        let socket = Socket::accepted(TcpStream::from_std(stream), poll.registry(), Token(0)).unwrap();
        (poll, socket, peer)
    }

    fn read_to_end(mut peer: std::net::TcpStream) -> Vec<u8> {
        let mut bytes = vec![];
        peer.read_to_end(&mut bytes).unwrap();
        bytes
    }
}
