//! The sockets of this host by question and answer with the kernel (`sock_diag(7)`).
//!
//! The tables in `/proc/net` make the kernel walk through every connection there could be, which takes it
//! milliseconds even when there is none. Asked this way it looks at listeners only.

use super::socket::{Family, Socket, Transport};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// For the kernel to answer, which it does at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_ERROR`, `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Lengths of `struct nlmsghdr`, `struct inet_diag_req_v2` and `struct inet_diag_msg` (`linux/inet_diag.h`).
const HEADER_LEN: usize = 16;
const REQUEST_LEN: usize = 56;
const ANSWER_LEN: usize = 72;

/// The TCP listeners, or unconnected UDP sockets, on `port`.
///
/// # Errors
/// Also where the kernel cannot answer, because it was built without this or does not let this process ask.
pub(super) fn open_to_all(transport: Transport, family: Family, port: u16) -> io::Result<Vec<Socket>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&kernel, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))?;
    let request = request(transport, family, port);
    sendto(&kernel, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    receive_all(&kernel, transport, port)
}

fn request(transport: Transport, family: Family, port: u16) -> [u8; HEADER_LEN + REQUEST_LEN] {
    /// `TCP_LISTEN` and, for an unconnected UDP socket, `TCP_CLOSE` (`include/net/tcp_states.h`), as sets.
    const LISTEN: u32 = 1 << 10;
    const UNCONNECTED: u32 = 1 << 7;

    let mut request = [0; HEADER_LEN + REQUEST_LEN];
    let (protocol, states) = match transport {
        Transport::Tcp => (6, LISTEN),
        Transport::Udp => (17, UNCONNECTED),
    };
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let len = u32::try_from(request.len()).expect("72 bytes");
    request[0..4].copy_from_slice(&len.to_ne_bytes());
    request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    request[16] = u8::try_from(family.as_raw()).expect("2 or 10");
    request[17] = protocol;
    request[20..24].copy_from_slice(&states.to_ne_bytes());
    request[24..26].copy_from_slice(&port.to_be_bytes());
    request
}

fn receive_all(kernel: &OwnedFd, transport: Transport, port: u16) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (_, len) = recv(kernel, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &buffer[..len];
        while let Some((kind, body, after)) = split_message(rest) {
            rest = after;
            match kind {
                DONE => return Ok(found),
                ERROR => return Err(error_of(body)),
                BY_FAMILY => found.extend(parse(body, transport).filter(|s| s.local.port() == port)),
                _ => {}
            }
        }
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The kind and the body of the first message, and what follows it; messages begin at multiples of four.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let body = bytes.get(HEADER_LEN..len)?;
    Some((kind, body, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct nlmsgerr`: a negative error number first.
fn error_of(body: &[u8]) -> io::Error {
    let number = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    io::Error::from_raw_os_error(number.saturating_neg())
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
    fn what_makes_no_sense_is_no_message() {
        for bytes in [&[][..], &[1], &[255; 16], &[16, 0, 0, 0, 3], &[0; 16]] {
            assert!(split_message(bytes).is_none_or(|(_, body, _)| body.is_empty()), "{bytes:?}");
        }
        assert_eq!(parse(&[0; ANSWER_LEN - 1], Transport::Tcp), None);
    }
}
