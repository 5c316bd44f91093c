//! Ports for servers on one machine.
//!
//! Stock drivers bind their port on every address, so hosts that are only addresses of one machine cannot all
//! use the same one. The ports lie below the range from which Linux takes the source ports of connections
//! (`ip_local_port_range`, from 32768), so that a client's connection never sits on a server's port.

use crate::bound_ports::is_bound_anywhere;
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
    let free: Vec<u16> = in_order.filter(|port| !is_bound_anywhere(*port)).take(count).collect();
    (free.len() == count).then_some(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn free_ports_are_distinct_and_can_be_bound() {
        let mut ports = find_free(50).unwrap();
        let listeners: Vec<_> = ports.iter().map(|port| bind(*port)).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), listeners.len());
    }

    /// A child that another test forks at this moment holds the sockets that asked for the port, until it executes its
    /// program a few milliseconds later.
    fn bind(port: u16) -> TcpListener {
        let start = Instant::now();
        loop {
            match TcpListener::bind(("::", port)) {
                Ok(listener) => return listener,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(5), "{port}: {error}"),
            }
            std::thread::yield_now();
        }
    }
}
