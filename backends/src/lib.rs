//! Everything that touches the outside world: sockets, processes, files, hosts.

pub mod clock;
pub mod collector;
pub mod process;
pub mod scenario;
pub mod tcp;
