//! A socket of this host, whichever way the kernel was asked for it.

use std::net::SocketAddr;

/// The transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// The IP version of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A socket as the kernel tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) transport: Transport,
    /// The address that it is bound to. IPv4 inside IPv6 is told as IPv4.
    pub(crate) local: SocketAddr,
    /// A TCP socket in the state LISTEN, or a UDP socket that is not connected to one peer: it takes what comes.
    pub(crate) is_open_to_all: bool,
    /// The user that made it.
    pub(crate) uid: u32,
    /// Names the socket in `/proc/PID/fd`; 0 when no process holds it any more.
    pub(crate) inode: u64,
}
