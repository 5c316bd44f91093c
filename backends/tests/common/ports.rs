//! Ports for the programs that tests start.

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Above those of local runs, and below the range (`ip_local_port_range`) from which connections and whoever asks for
/// any port get theirs.
const PORTS: Range<u16> = 30_000..32_768;

/// A port that nobody has bound at any address, by TCP. Tests of the same program never get the same one.
pub(crate) fn free_port() -> u16 {
    /// Programs of tests that run at the same time look in different places, mostly.
    const APART: u32 = 500;
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let size = PORTS.end - PORTS.start;
    let candidates = std::iter::repeat_with(|| {
        let lot = (std::process::id() * APART).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(lot % u32::from(size)).expect("the range is one of ports")
    });
    candidates.take(size.into()).find(|port| is_free(*port)).expect("not all of them are taken")
}

fn is_free(port: u16) -> bool {
    let ipv6 = is_bound(AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into(), port);
    let ipv4 = is_bound(AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into(), port);
    !ipv6 && !ipv4
}

/// The socket that asks never listens, so that it is in nobody's way for as long as a child that was just forked holds
/// it. A machine may have only one of the families.
fn is_bound(family: AddressFamily, everywhere: IpAddr, port: u16) -> bool {
    let bound = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).and_then(|socket| {
        set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::new(everywhere, port))
    });
    bound == Err(Errno::ADDRINUSE)
}
