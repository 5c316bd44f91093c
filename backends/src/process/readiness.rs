//! When a server is ready, and whether it can become so: who has bound its port.

use super::launch::Listen;
use super::proc_fs;
use super::sockets;
use crate::bound_ports::{is_bound_anywhere, is_bound_at};
use crate::sock_diag::{Socket, Transport};
use russula_proto::StartFailure;
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The delays between two looks at a server that is starting: 1 ms, doubled each time up to 20 ms.
///
/// A server binds its port within milliseconds or after long preparations. Early looks are therefore dense, so that
/// no start is held up, and later ones rare, so that they do not slow it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadinessPoll {
    next: Duration,
}

impl ReadinessPoll {
    /// The first delay.
    pub const FIRST_DELAY: Duration = Duration::from_millis(1);
    /// The longest delay.
    pub const MAX_DELAY: Duration = Duration::from_millis(20);

    /// Starts with [`ReadinessPoll::FIRST_DELAY`].
    pub fn new() -> Self {
        Self { next: Self::FIRST_DELAY }
    }

    /// How long to wait before the next look.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(Self::MAX_DELAY);
        delay
    }
}

impl Default for ReadinessPoll {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a member of `group` has a TCP listener or an unconnected UDP socket at `listen`.
pub(super) fn is_bound_by(group: Pid, listen: Listen) -> io::Result<bool> {
    let sockets = sockets::open_to_all(listen.address, listen.port)?;
    let inodes: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    // Processes are looked at only once there is a socket to look for.
    if inodes.is_empty() {
        return Ok(false);
    }
    let mut hidden = None;
    for pid in proc_fs::members(group)? {
        match proc_fs::holds_socket(pid, &inodes) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => hidden = Some((pid, error)),
        }
    }
    match hidden {
        None => Ok(false),
        Some((pid, error)) => Err(io::Error::new(
            error.kind(),
            format!(
                "port {} is bound, but whether by the driver cannot be seen: process {pid} ({}) belongs to another \
                 user; run the worker as that user or as root",
                listen.port,
                proc_fs::name(pid)
            ),
        )),
    }
}

/// Fails if the port of `listen` is bound by anyone, by TCP or UDP: at its address, or at any if the server may bind
/// it at all of them.
///
/// An address that this host does not have is left to the driver to complain about.
pub(super) fn require_free(listen: Listen) -> Result<(), StartFailure> {
    let Listen { address, port, may_bind_everywhere } = listen;
    let (taken, address) = if may_bind_everywhere {
        (is_bound_at(address, port) || is_bound_anywhere(port), Ipv6Addr::UNSPECIFIED.into())
    } else {
        (is_bound_at(address, port), address)
    };
    if !taken {
        return Ok(());
    }
    let detail =
        holders(address, port).unwrap_or_else(|error| format!("who holds it cannot be seen: {error}"));
    Err(StartFailure::PortInUse { port, detail: detail.as_str().into() })
}

/// Names the sockets on `port` that overlap with `address`, and who holds them, those that take what comes before connected ones.
fn holders(address: IpAddr, port: u16) -> io::Result<String> {
    /// Names of this many sockets explain enough.
    const NAMED_MAX: usize = 4;

    let mut sockets = sockets::all(address, port)?;
    sockets.retain(|socket| socket.inode != 0);
    sockets.sort_by_key(|socket| !socket.is_open_to_all);
    let mut names: Vec<String> = Vec::new();
    for socket in sockets.into_iter().take(NAMED_MAX) {
        names.push(format!("{} at {} of {}", kind(&socket), socket.local, holder(&socket)?));
    }
    if names.is_empty() {
        return Ok("no process could be found that holds it".into());
    }
    Ok(names.join(", "))
}

fn kind(socket: &Socket) -> &'static str {
    match (socket.transport, socket.is_open_to_all) {
        (Transport::Tcp, true) => "TCP listener",
        (Transport::Tcp, false) => "TCP connection",
        (Transport::Udp, true | false) => "UDP socket",
    }
}

fn holder(socket: &Socket) -> io::Result<String> {
    let inode = BTreeSet::from([socket.inode]);
    for pid in proc_fs::processes()? {
        // What belongs to another user cannot be looked at.
        if proc_fs::holds_socket(pid, &inode).unwrap_or(false) {
            return Ok(format!("process {pid} ({})", proc_fs::name(pid)));
        }
    }
    Ok(format!("a process that this user cannot see (user id {})", socket.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};
    use std::time::Instant;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn at(address: IpAddr, port: u16) -> Listen {
        Listen { address, port, may_bind_everywhere: false }
    }

    fn detail(listen: Listen) -> String {
        match require_free(listen) {
            Err(StartFailure::PortInUse { port, detail }) if port == listen.port => detail.to_string(),
            other => panic!("expected a port in use, got {other:?}"),
        }
    }

    #[test]
    fn delays_grow_from_1_to_20_ms() {
        let mut poll = ReadinessPoll::new();
        let delays: Vec<u128> = (0..7).map(|_| poll.next_delay().as_millis()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_listener_at_the_address_or_the_wildcard_takes_the_port() {
        for bound in [LOOPBACK, Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()] {
            let listener = TcpListener::bind((bound, 0)).expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            for address in [LOOPBACK, Ipv6Addr::UNSPECIFIED.into()] {
                let detail = detail(at(address, port));
                assert!(detail.contains("TCP listener at"), "{detail}");
                assert!(detail.contains(&format!("process {} (", std::process::id())), "{detail}");
            }
        }
    }

    #[test]
    fn a_udp_socket_takes_the_port() {
        for bound in [LOOPBACK, Ipv4Addr::UNSPECIFIED.into()] {
            let socket = UdpSocket::bind((bound, 0)).expect("a free port");
            let port = socket.local_addr().expect("bound").port();
            assert!(detail(at(LOOPBACK, port)).contains("UDP socket at"));
        }
    }

    #[test]
    fn another_address_of_the_host_does_not_take_the_port() {
        let listener = TcpListener::bind("127.0.0.7:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(require_free(at("127.0.0.8".parse().expect("an address"), port)), Ok(()));
    }

    #[test]
    fn another_address_takes_the_port_of_a_server_that_binds_it_everywhere() {
        for bound in ["127.0.0.7", "::1"] {
            // A machine without IPv6 has nothing to take.
            let Ok(listener) = TcpListener::bind((bound, 0)) else { continue };
            let port = listener.local_addr().expect("bound").port();
            let detail = detail(Listen { may_bind_everywhere: true, ..at(LOOPBACK, port) });
            assert!(detail.contains(&format!("process {} (", std::process::id())), "{detail}");
        }
    }

    #[test]
    fn connections_that_wait_for_their_end_do_not_take_the_port() {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let client = std::net::TcpStream::connect(address).expect("connected");
        // The side that closes first is the one that has to wait.
        let (server, _) = listener.accept().expect("accepted");
        drop(server);
        drop(client);
        drop(listener);
        // A child that another test has just forked may hold the sockets until it executes its program; that takes
        // milliseconds, TIME-WAIT a minute.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(failure) = require_free(at(LOOPBACK, address.port())) {
            assert!(Instant::now() < deadline, "{failure}");
        }
    }
}
