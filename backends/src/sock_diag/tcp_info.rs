//! The kernel's counters of one TCP connection (`struct tcp_info` in `linux/tcp.h`).

use super::netlink::{End, Netlink, Question};
use super::socket::{Family, Transport};
use super::{CountersError, KernelCounters};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// `TCP_ESTABLISHED` (`include/net/tcp_states.h`).
const ESTABLISHED: u8 = 1;

/// `INET_DIAG_INFO`, an extension of the answer: the `struct tcp_info`.
const INFO: u16 = 2;

/// Length of `struct inet_diag_msg`, and where it has the state.
const ANSWER_LEN: usize = 72;
const STATE_AT: usize = 1;

/// Where `struct tcp_info` has its fields. The kernel only ever adds some at its end, and never moves one.
const BYTES_RECEIVED_AT: usize = 128;
const BYTES_SENT_AT: usize = 200;
const BYTES_RETRANS_AT: usize = 208;

/// The counters of the TCP connections of this host.
#[derive(Debug)]
pub struct KernelSockets {
    netlink: Netlink,
}

impl KernelSockets {
    /// One socket to the kernel, for any number of questions.
    ///
    /// # Errors
    /// [`CountersError::NotAvailable`] where the kernel was built without them (`CONFIG_INET_TCP_DIAG`), or a sandbox
    /// does not let this process ask.
    pub fn open() -> Result<Self, CountersError> {
        let mut netlink = Netlink::open().map_err(CountersError::NotAvailable)?;
        // Without the module, and without a connection, the kernel gives the same error. A question that nothing can
        // match tells the two apart.
        let nothing = question(Family::V4, End::default(), End::default(), 0);
        netlink.ask_all(&nothing, |_| {}).map_err(CountersError::NotAvailable)?;
        Ok(Self { netlink })
    }

    /// The counters at the end `local` of the connection to `peer`. IPv4 addresses inside IPv6 are fine.
    ///
    /// Only an established connection is counted: to the kernel the end of a stream, once it has arrived, is one more
    /// byte received.
    ///
    /// # Errors
    /// [`CountersError::NotEstablished`] and [`CountersError::NoAnswer`]; [`CountersError::NotAvailable`] before
    /// Linux 4.19, the first that counts the bytes sent.
    pub fn counters(&mut self, local: SocketAddr, peer: SocketAddr) -> Result<KernelCounters, CountersError> {
        let not_established = CountersError::NotEstablished { local, peer };
        let (family, interface) = match (local.ip().to_canonical(), peer.ip().to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => (Family::V4, 0),
            (IpAddr::V6(_), IpAddr::V6(_)) => (Family::V6, scope_of(local).max(scope_of(peer))),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(not_established),
        };
        let question = question(family, end(local), end(peer), interface);
        match self.netlink.ask_one(&question, parse) {
            Ok(Answer::Counters(counters)) => Ok(counters),
            Ok(Answer::NotEstablished) => Err(not_established),
            Ok(Answer::TooShort) => Err(CountersError::NotAvailable(io::Error::new(
                io::ErrorKind::Unsupported,
                "it is older than Linux 4.19",
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_established),
            Err(source) => Err(CountersError::NoAnswer { local, peer, source }),
        }
    }
}

/// A question about the TCP socket between two ends; asked about all of them it matches none, as in no state.
fn question(family: Family, local: End, peer: End, interface: u32) -> Question {
    Question {
        transport: Transport::Tcp,
        family,
        extensions: 1 << (INFO - 1),
        states: 0,
        local,
        peer,
        interface,
    }
}

fn end(address: SocketAddr) -> End {
    let mut bytes = [0; 16];
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes = ip.octets(),
    }
    End { address: bytes, port: address.port() }
}

/// The interface that a link-local address belongs to, which its socket is bound to; else 0.
fn scope_of(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Counters(KernelCounters),
    /// The listener at the local address, which the kernel names where there is no connection, or a connection that
    /// comes up or ends.
    NotEstablished,
    /// The structure has no room for a counter.
    TooShort,
}

fn parse(answer: &[u8]) -> Answer {
    let Some((socket, attributes)) = answer.split_first_chunk::<ANSWER_LEN>() else {
        return Answer::TooShort;
    };
    if socket[STATE_AT] != ESTABLISHED {
        return Answer::NotEstablished;
    }
    let info = attribute(attributes, INFO).unwrap_or_default();
    let number = |at: usize| info.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let (Some(received_bytes), Some(sent), Some(again)) =
        (number(BYTES_RECEIVED_AT), number(BYTES_SENT_AT), number(BYTES_RETRANS_AT))
    else {
        return Answer::TooShort;
    };
    Answer::Counters(KernelCounters { sent_bytes: sent.saturating_sub(again), received_bytes })
}

/// The content of the first attribute of `kind`: each has its length and kind before it (`struct rtattr`), and begins
/// at a multiple of four.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    const HEADER_LEN: usize = 4;
    loop {
        let [l0, l1, k0, k1] = *attributes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let content = attributes.get(HEADER_LEN..len)?;
        if u16::from_ne_bytes([k0, k1]) == kind {
            return Some(content);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn kernel() -> KernelSockets {
        KernelSockets::open().expect("the kernel tells")
    }

    /// Both ends of a new connection to `address`, the one that dialed first.
    fn connect(listener: &TcpListener, address: SocketAddr) -> (TcpStream, TcpStream) {
        let address = SocketAddr::new(address.ip(), listener.local_addr().expect("bound").port());
        let dialed = TcpStream::connect(address).expect("connected");
        let (accepted, _) = listener.accept().expect("accepted");
        for stream in [&dialed, &accepted] {
            stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        }
        (dialed, accepted)
    }

    fn counters(kernel: &mut KernelSockets, stream: &TcpStream) -> Result<KernelCounters, CountersError> {
        let (local, peer) = (stream.local_addr().expect("bound"), stream.peer_addr().expect("connected"));
        kernel.counters(local, peer)
    }

    fn carry(from: &mut TcpStream, to: &mut TcpStream, len: usize) {
        let bytes = vec![0x5A; len];
        std::thread::scope(|scope| {
            scope.spawn(|| from.write_all(&bytes).expect("room"));
            to.read_exact(&mut vec![0; len]).expect("the bytes arrive");
        });
    }

    /// Whether `stream` has counted that much in the end; over loopback a byte that was read has been counted.
    fn assert_counted(kernel: &mut KernelSockets, stream: &TcpStream, sent_bytes: u64, received_bytes: u64) {
        let counted = counters(kernel, stream).expect("an established connection");
        assert_eq!(counted, KernelCounters { sent_bytes, received_bytes });
    }

    #[test]
    fn each_end_counts_exactly_what_it_sent_and_received() {
        let mut kernel = kernel();
        // Bound to, and dialed at: the last one is a connection of two IPv6 sockets over IPv4.
        let pairs = [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0"), ("[::]:0", "127.0.0.1:0")];
        for (bound, dialed) in pairs {
            // A machine without IPv6 has nothing to connect.
            let Ok(listener) = TcpListener::bind(bound) else { continue };
            let (mut dialed, mut accepted) = connect(&listener, dialed.parse().expect("an address"));
            assert_counted(&mut kernel, &dialed, 0, 0);
            assert_counted(&mut kernel, &accepted, 0, 0);
            carry(&mut dialed, &mut accepted, 1);
            carry(&mut accepted, &mut dialed, 1000);
            assert_counted(&mut kernel, &dialed, 1, 1000);
            assert_counted(&mut kernel, &accepted, 1000, 1);
            // More than one segment, and more than the buffers hold.
            carry(&mut dialed, &mut accepted, 20_000_000);
            assert_counted(&mut kernel, &dialed, 20_000_001, 1000);
            assert_counted(&mut kernel, &accepted, 1000, 20_000_001);
        }
    }

    #[test]
    fn bytes_that_nobody_has_read_are_received() {
        let mut kernel = kernel();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (mut dialed, accepted) = connect(&listener, "127.0.0.1:0".parse().expect("an address"));
        dialed.write_all(b"five!").expect("room");
        let deadline = Instant::now() + PATIENCE;
        while counters(&mut kernel, &accepted).expect("established").received_bytes < 5 {
            assert!(Instant::now() < deadline, "'the bytes arrive' took longer than {PATIENCE:?}");
        }
        assert_counted(&mut kernel, &accepted, 0, 5);
    }

    #[test]
    fn a_connection_that_is_not_there_is_named() {
        let mut kernel = kernel();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let local = listener.local_addr().expect("bound");
        // The first has a listener at its address; the second has nothing; the third cannot be.
        let nobody = "127.0.0.1:1".parse().expect("an address");
        for (local, peer) in
            [(local, nobody), (nobody, local), (local, "[::1]:1".parse().expect("an address"))]
        {
            let error = kernel.counters(local, peer).expect_err("no connection");
            assert!(matches!(error, CountersError::NotEstablished { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(&local.to_string()) && text.contains(&peer.to_string()), "{text}");
        }
    }

    #[test]
    fn a_connection_that_ends_is_not_counted() {
        let mut kernel = kernel();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (dialed, mut accepted) = connect(&listener, "127.0.0.1:0".parse().expect("an address"));
        dialed.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(accepted.read(&mut [0]).expect("the end"), 0);
        for stream in [&dialed, &accepted] {
            let error = counters(&mut kernel, stream).expect_err("it ends");
            assert!(matches!(error, CountersError::NotEstablished { .. }), "{error}");
        }
    }

    #[test]
    fn bytes_sent_again_count_once() {
        let mut answer = vec![0; ANSWER_LEN];
        answer[STATE_AT] = ESTABLISHED;
        let mut info = vec![0; BYTES_RETRANS_AT + 8];
        for (at, number) in [(BYTES_RECEIVED_AT, 3_u64), (BYTES_SENT_AT, 1500), (BYTES_RETRANS_AT, 500)] {
            info[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        }
        // Another attribute stands before it, of a length that is no multiple of four.
        for (kind, content) in [(8, &b"x"[..]), (INFO, &info)] {
            let len = u16::try_from(4 + content.len()).expect("short");
            answer.extend(len.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()));
            answer.extend(content);
            answer.resize(answer.len().next_multiple_of(4), 0);
        }
        let counters = KernelCounters { sent_bytes: 1000, received_bytes: 3 };
        assert_eq!(parse(&answer), Answer::Counters(counters));
        assert_eq!(parse(&answer[..answer.len() - 1]), Answer::TooShort);
        for len in 0..answer.len() {
            assert_eq!(parse(&answer[..len]), Answer::TooShort, "of {len} bytes");
        }
    }
}
