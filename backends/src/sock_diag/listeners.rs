//! The sockets on a port that take what comes from anyone.
//!
//! The tables in `/proc/net` make the kernel walk through every connection there could be, which takes it
//! milliseconds even when there is none. Asked this way it looks at listeners only.

use super::netlink::{End, Netlink, Question};
use super::socket::{Family, Socket, Transport};
use rustix::net::AddressFamily;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `TCP_LISTEN` and, for an unconnected UDP socket, `TCP_CLOSE` (`include/net/tcp_states.h`), as sets.
const LISTEN: u32 = 1 << 10;
const UNCONNECTED: u32 = 1 << 7;

/// Length of `struct inet_diag_msg` (`linux/inet_diag.h`).
const ANSWER_LEN: usize = 72;

/// The TCP listeners, or unconnected UDP sockets, on `port`.
///
/// # Errors
/// Also where the kernel cannot answer, because it was built without this or does not let this process ask.
pub(crate) fn open_to_all(transport: Transport, family: Family, port: u16) -> io::Result<Vec<Socket>> {
    let question = Question {
        transport,
        family,
        extensions: 0,
        states: match transport {
            Transport::Tcp => LISTEN,
            Transport::Udp => UNCONNECTED,
        },
        local: End { port, ..End::default() },
        peer: End::default(),
        interface: 0,
    };
    let mut found = Vec::new();
    Netlink::open()?.ask_all(&question, |answer| {
        found.extend(parse(answer, transport).filter(|socket| socket.local.port() == port));
    })?;
    Ok(found)
}

fn parse(answer: &[u8], transport: Transport) -> Option<Socket> {
    let answer = answer.first_chunk::<ANSWER_LEN>()?;
    let port = u16::from_be_bytes([answer[4], answer[5]]);
    let source: &[u8; 16] = answer[8..].first_chunk()?;
    let ip = if u16::from(answer[0]) == AddressFamily::INET.as_raw() {
        IpAddr::V4(Ipv4Addr::from(*source.first_chunk()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(*source)).to_canonical()
    };
    let number = |at: usize| answer[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let (uid, inode) = (number(64)?, u64::from(number(68)?));
    Some(Socket { transport, local: SocketAddr::new(ip, port), is_open_to_all: true, uid, inode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn inodes(transport: Transport, family: Family, port: u16) -> usize {
        open_to_all(transport, family, port).expect("the kernel answers").len()
    }

    #[test]
    fn a_listener_is_found_and_its_connections_are_not() {
        let listener = TcpListener::bind("127.0.0.9:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let _connected = TcpStream::connect(address).expect("connected");
        let found = open_to_all(Transport::Tcp, Family::V4, address.port()).expect("the kernel answers");
        let [socket] = found[..] else { panic!("{found:?}") };
        assert_eq!((socket.local, socket.is_open_to_all), (address, true));
        assert!(socket.inode > 0);
        drop(listener);
    }

    #[test]
    fn both_families_and_transports_are_asked_for_separately() {
        let listener = TcpListener::bind("[::]:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(inodes(Transport::Tcp, Family::V6, port), 1);
        assert_eq!(inodes(Transport::Tcp, Family::V4, port), 0);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        assert_eq!(inodes(Transport::Udp, Family::V4, port), 1);
        assert_eq!(inodes(Transport::Tcp, Family::V4, port), 0);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(parse(&[0; ANSWER_LEN - 1], Transport::Tcp), None);
    }
}
