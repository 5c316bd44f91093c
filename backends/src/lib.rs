//! Everything that touches the outside world: sockets, processes, files, hosts.

pub mod clock;
pub mod tcp;
