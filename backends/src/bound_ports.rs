//! Whether a port is bound by anyone on this host, by TCP or UDP.
//!
//! The kernel is asked by binding the port for a moment, which also finds what its tables do not list (a socket that
//! is bound but does not listen yet). `std` sets `SO_REUSEADDR` for TCP, as drivers do, so connections that only wait
//! for their end (TIME-WAIT) do not count.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Whether a server could not bind `port` at `address`, because somebody has it there or at all addresses.
///
/// An address that this host does not have is not in use.
pub(crate) fn is_bound_at(address: IpAddr, port: u16) -> bool {
    let address = SocketAddr::new(address, port);
    is_in_use(TcpListener::bind(address)) || is_in_use(UdpSocket::bind(address))
}

/// Whether a server could not bind `port` at all addresses, because somebody has it at one of them.
///
/// Both families are asked, since a machine may have only one of them.
pub(crate) fn is_bound_anywhere(port: u16) -> bool {
    let everywhere = [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED.into()];
    everywhere.into_iter().any(|address| is_bound_at(address, port))
}

fn is_in_use<T>(bound: io::Result<T>) -> bool {
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_in_either_family_is_bound_somewhere() {
        for address in ["127.0.0.1:0", "127.0.0.7:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            // A machine without IPv6 has nothing to take.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            assert!(is_bound_anywhere(listener.local_addr().unwrap().port()), "{address}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(is_bound_anywhere(socket.local_addr().unwrap().port()));
    }

    #[test]
    fn an_address_that_this_host_does_not_have_is_not_in_use() {
        // 192.0.2.0/24 is for documentation (RFC 5737).
        assert!(!is_bound_at("192.0.2.1".parse().unwrap(), 4433));
    }
}
