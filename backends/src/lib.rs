//! Everything that touches the outside world: sockets, processes, files, hosts.

pub mod clock;
pub mod collector;
pub mod drivers;
pub mod hosts;
pub mod layout;
pub mod local;
pub mod process;
pub mod scenario;
pub mod tcp;
pub mod worker;
