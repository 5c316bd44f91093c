//! Ports for servers on one machine.
//!
//! Stock drivers bind their port on every address, so hosts that are only addresses of one machine cannot all
//! use the same one. The ports lie below the range from which Linux takes the source ports of connections
//! (`ip_local_port_range`, from 32768), so that a client's connection never sits on a server's port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::time::SystemTime;

const PORTS: Range<u16> = 10_000..30_000;

/// `count` ports that nobody has bound, by TCP or UDP.
pub(super) fn find_free(count: usize) -> Option<Vec<u16>> {
    // Runs that begin at the same time look in different places.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let lot = since_epoch.subsec_micros() ^ std::process::id();
    let size = u32::from(PORTS.end - PORTS.start);
    let start = u16::try_from(lot % size).expect("the range is one of ports");
    let in_order = (0..PORTS.end - PORTS.start).map(|n| {
        PORTS.start + u16::try_from((u32::from(start) + u32::from(n)) % size).expect("a port of the range")
    });
    let free: Vec<u16> = in_order.filter(|port| is_free(*port)).take(count).collect();
    (free.len() == count).then_some(free)
}

/// Both families are asked, since a machine may have only one of them; what it does not have is not in use.
fn is_free(port: u16) -> bool {
    let everywhere = [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED.into()];
    everywhere.into_iter().map(|address| SocketAddr::new(address, port)).all(|address| {
        !is_in_use(&TcpListener::bind(address).err()) && !is_in_use(&UdpSocket::bind(address).err())
    })
}

fn is_in_use(error: &Option<io::Error>) -> bool {
    error.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_can_be_bound() {
        let mut ports = find_free(50).unwrap();
        let listeners: Vec<_> = ports.iter().map(|port| TcpListener::bind(("::", *port)).unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), listeners.len());
    }

    #[test]
    fn a_port_that_is_taken_in_either_family_is_not_free() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            // A machine without IPv6 has nothing to take.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            assert!(!is_free(listener.local_addr().unwrap().port()), "{address}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(socket.local_addr().unwrap().port()));
    }
}
