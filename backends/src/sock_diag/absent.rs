//! The kernels that do not count, or do not tell.

use super::{CountersError, KernelCounters};
use std::io;
use std::net::SocketAddr;

/// The counters of the TCP connections of this host, which this system does not tell.
#[derive(Debug)]
pub struct KernelSockets(std::convert::Infallible);

impl KernelSockets {
    /// Fails.
    ///
    /// # Errors
    /// [`CountersError::NotAvailable`], always.
    pub fn open() -> Result<Self, CountersError> {
        let reason = "only Linux has them";
        Err(CountersError::NotAvailable(io::Error::new(io::ErrorKind::Unsupported, reason)))
    }

    /// There is nobody to ask.
    ///
    /// # Errors
    /// None: it cannot be called.
    pub fn counters(&mut self, _: SocketAddr, _: SocketAddr) -> Result<KernelCounters, CountersError> {
        match self.0 {}
    }
}
