//! What can go wrong, told so that the reader knows what to do about it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// An error of the library, which boxes its errors.
pub(crate) type Boxed = netbench::Error;

/// Why a driver cannot run, or stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error("cannot read the scenario {}: {source}", path.display())]
    Scenario { path: PathBuf, source: Boxed },
    #[error("the scenario {} is invalid: {reason}", path.display())]
    InvalidScenario { path: PathBuf, reason: String },
    #[error("cannot resolve the servers (every server of the scenario needs its SERVER_<i>=host:port): {0}")]
    Addresses(Boxed),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot connect to {servers} at {address}: {source}")]
    Connect { servers: String, address: SocketAddr, source: std::io::Error },
    #[error("cannot connect to {servers} at {address}: no answer within {limit:?}")]
    ConnectTimeout { servers: String, address: SocketAddr, limit: Duration },
    #[error("cannot connect from {local} (LOCAL_IP) to {address}: one is IPv4 and the other IPv6")]
    AddressFamily { local: IpAddr, address: SocketAddr },
    #[error("cannot write the result file {}: {source}", path.display())]
    Result { path: PathBuf, source: std::io::Error },
    #[error("the client's script failed: {0}")]
    Script(Boxed),
}

/// Why a single connection fails. The library passes these on as boxed errors.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the peer closed the connection before the script was done with it")]
    PeerLeft,
    #[error("the peer closed the connection before it said which script it plays")]
    NoScript,
    #[error("the peer asks for script {asked} of this server, which has {count}")]
    UnknownScript { asked: u64, count: usize },
    #[error("the peer opened stream {id}, but the script has {count} streams of the peer")]
    UnknownStream { id: u64, count: usize },
    #[error(
        "the script opens several streams on one connection, which TCP has not: set MULTIPLEX=true on both sides"
    )]
    SecondStream,
}
