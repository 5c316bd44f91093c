//! The sockets of this host as the kernel lists them in `/proc/net/{tcp,tcp6,udp,udp6}` (`proc_net_tcp` in the
//! documentation of the kernel).

use crate::sock_diag::{self, Family, Socket, Transport};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether two addresses stand for some common address. A wildcard of either family stands for all, since a socket
/// bound to `::` takes IPv4 as well unless it asked not to, which the tables do not tell.
pub(super) fn overlap(left: IpAddr, right: IpAddr) -> bool {
    left.is_unspecified() || right.is_unspecified() || left.to_canonical() == right.to_canonical()
}

/// The tables, in the order in which they are looked at.
const TABLES: [(&str, Transport, Family); 4] = [
    ("/proc/net/tcp", Transport::Tcp, Family::V4),
    ("/proc/net/tcp6", Transport::Tcp, Family::V6),
    ("/proc/net/udp", Transport::Udp, Family::V4),
    ("/proc/net/udp6", Transport::Udp, Family::V6),
];

/// The sockets on `port` that take what comes from anyone, at an address that overlaps with `address`.
///
/// # Errors
/// Those of reading the tables. A table that is absent (IPv6 switched off) is empty.
pub(super) fn open_to_all(address: IpAddr, port: u16) -> io::Result<Vec<Socket>> {
    let wanted = |socket: &Socket| {
        socket.is_open_to_all && socket.local.port() == port && overlap(socket.local.ip(), address)
    };
    let mut found = Vec::new();
    for (path, transport, family) in TABLES {
        match sock_diag::open_to_all(transport, family, port) {
            Ok(sockets) => found.extend(sockets.into_iter().filter(wanted)),
            // A kernel that cannot be asked this way still has its tables.
            Err(_) => read(path, transport, true, &wanted, &mut found)?,
        }
    }
    Ok(found)
}

/// All sockets on `port`, connected ones too, at an address that overlaps with `address`.
///
/// # Errors
/// As for [`open_to_all`].
pub(super) fn all(address: IpAddr, port: u16) -> io::Result<Vec<Socket>> {
    let wanted = |socket: &Socket| socket.local.port() == port && overlap(socket.local.ip(), address);
    let mut found = Vec::new();
    for (path, transport, _) in TABLES {
        read(path, transport, false, &wanted, &mut found)?;
    }
    Ok(found)
}

fn read(
    path: &str,
    transport: Transport,
    only_listeners: bool,
    wanted: &impl Fn(&Socket) -> bool,
    found: &mut Vec<Socket>,
) -> io::Result<()> {
    match File::open(path) {
        Ok(table) => scan(BufReader::new(table), transport, only_listeners, wanted, found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn scan(
    table: impl BufRead,
    transport: Transport,
    only_listeners: bool,
    wanted: &impl Fn(&Socket) -> bool,
    found: &mut Vec<Socket>,
) -> io::Result<()> {
    for line in table.lines() {
        // The heading, and whatever a future kernel adds, is no socket.
        let Some(socket) = parse_line(&line?, transport) else { continue };
        // The kernel lists listening TCP sockets first; thousands of connections may follow.
        if only_listeners && transport == Transport::Tcp && !socket.is_open_to_all {
            break;
        }
        if wanted(&socket) {
            found.push(socket);
        }
    }
    Ok(())
}

/// "sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ..."
fn parse_line(line: &str, transport: Transport) -> Option<Socket> {
    /// `TCP_LISTEN` and, for an unconnected UDP socket, `TCP_CLOSE` (`include/net/tcp_states.h`).
    const LISTEN: u8 = 0x0A;
    const UNCONNECTED: u8 = 0x07;

    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_address(fields.next()?)?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let is_open_to_all = match transport {
        Transport::Tcp => state == LISTEN,
        Transport::Udp => state == UNCONNECTED,
    };
    Some(Socket { transport, local, is_open_to_all, uid, inode })
}

/// "0100007F:1151": the address as 32-bit words in the byte order of this machine, the port as a number.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = [0; 16];
    let words = address.len() / 8;
    if !address.is_ascii() || words * 8 != address.len() || words * 4 > bytes.len() {
        return None;
    }
    for (word, into) in bytes.chunks_exact_mut(4).take(words).enumerate() {
        let digits = address.get(word * 8..word * 8 + 8)?;
        into.copy_from_slice(&u32::from_str_radix(digits, 16).ok()?.to_ne_bytes());
    }
    let ip = match (words, bytes) {
        (1, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (4, bytes) => IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1151 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1151 0100007F:9C40 01 00000000:00000000 02:000A7214 00000000     0        0 4712 2 0 20 4 30 10 -1
   2: 00000000:1152 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";

    fn scan_text(text: &str, transport: Transport, only_listeners: bool) -> Vec<Socket> {
        let mut found = Vec::new();
        scan(text.as_bytes(), transport, only_listeners, &|_| true, &mut found).expect("text is readable");
        found
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_table_is_read_up_to_the_first_connection() {
        let found = scan_text(TCP, Transport::Tcp, true);
        let expected = Socket {
            transport: Transport::Tcp,
            local: "127.0.0.1:4433".parse().expect("an address"),
            is_open_to_all: true,
            uid: 1000,
            inode: 4711,
        };
        assert_eq!(found, [expected]);
        assert_eq!(scan_text(TCP, Transport::Tcp, false).len(), 3);
    }

    #[test]
    fn lines_that_make_no_sense_are_skipped() {
        for text in
            ["", "\n", "0:", "0: xyz", "0: 0100007F:1151 0:0 0A 0:0 0:0 0 x 0 1", "0: 0100007:1 0:0 0A"]
        {
            assert_eq!(scan_text(text, Transport::Tcp, false), [], "{text:?}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_of_both_families_are_read() {
        let read = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(read("0100007F:0050").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(read("00000000000000000000000001000000:0050").as_deref(), Some("[::1]:80"));
        assert_eq!(read("0000000000000000FFFF00000100007F:0050").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(read("0000000000000000:0050"), None);
        assert_eq!(read("é000000:0050"), None);
    }

    #[test]
    fn a_wildcard_overlaps_with_every_address() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(overlap(ip("::"), ip("127.0.0.1")));
        assert!(overlap(ip("127.0.0.1"), ip("0.0.0.0")));
        assert!(overlap(ip("::ffff:127.0.0.1"), ip("127.0.0.1")));
        assert!(!overlap(ip("127.0.0.2"), ip("127.0.0.1")));
        assert!(!overlap(ip("::1"), ip("127.0.0.1")));
    }
}
