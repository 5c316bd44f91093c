//! Everything that touches the outside world: sockets, processes, files, hosts.
//!
//! Architecture invariant: what only Linux has (pidfd, `/proc`, `sock_diag`, timerfd) is in `process`, `local`, `worker`,
//! `sock_diag`, `alarm` and the collector's sampler. The rest is for the orchestrator as well, which may run on another
//! system.

pub mod alarm;
#[cfg(target_os = "linux")]
mod bound_ports;
pub mod clock;
pub mod collector;
pub mod drivers;
pub mod durations;
pub mod entropy;
pub mod hosts;
pub mod key_file;
pub mod layout;
#[cfg(target_os = "linux")]
pub mod local;
#[cfg(target_os = "linux")]
pub mod process;
pub mod scenario;
pub mod signals;
pub mod sock_diag;
pub mod tcp;
pub mod work;
#[cfg(target_os = "linux")]
pub mod worker;
