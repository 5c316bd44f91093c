//! What the kernel tells of sockets by question and answer (`sock_diag(7)`): who listens on a port, and how many bytes
//! a TCP connection has carried.
//!
//! Only Linux has it. Elsewhere [`KernelSockets`] says that it is not available, and nothing else of this is there.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod listeners;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod tcp_info;

#[cfg(not(target_os = "linux"))]
pub use absent::KernelSockets;
#[cfg(target_os = "linux")]
pub(crate) use listeners::open_to_all;
#[cfg(target_os = "linux")]
pub(crate) use socket::{Family, Socket, Transport};
#[cfg(target_os = "linux")]
pub use tcp_info::KernelSockets;

use std::io;
use std::net::SocketAddr;

/// What the kernel has counted of one TCP connection at one of its ends, since it was established.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Bytes of payload that were put on the wire, each counted once however often it was sent. What still waits in
    /// the send buffer for its first time is not among them.
    pub sent_bytes: u64,
    /// Bytes of payload that arrived in order, each counted once, whether the program has read them or not.
    pub received_bytes: u64,
}

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// This system does not tell them.
    #[error("the kernel does not tell its counters of TCP connections: {0}")]
    NotAvailable(#[source] io::Error),
    /// Nothing to count.
    #[error("this host has no established TCP connection from {local} to {peer}")]
    NotEstablished {
        /// The end that was asked for.
        local: SocketAddr,
        /// The other one.
        peer: SocketAddr,
    },
    /// This question was not answered; the next one may be.
    #[error("the kernel did not tell its counters of the connection from {local} to {peer}: {source}")]
    NoAnswer {
        /// The end that was asked for.
        local: SocketAddr,
        /// The other one.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
