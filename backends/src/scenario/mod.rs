//! Netbench scenarios: what a run is asked to do.
//!
//! A scenario is a JSON file that says what every client and every server does. The drivers read it
//! themselves; the orchestrator only needs to know how many hosts it takes, whether stream-less transports
//! have to multiplex, and how many bytes a complete run moves. [`Scenario::load`] reads that off a file and
//! refuses everything that would make a driver fail later, in words that say where and why.
//!
//! ```text
//! bytes --load--> format::File --check--> Scenario
//!           |                     |
//!        explain               streams
//! (which place is wrong)   (what a script opens and moves)
//! ```
//!
//! Architecture invariant: this module depends on no netbench crate, because it is part of the small worker.

mod check;
mod demo;
mod error;
mod explain;
mod format;
mod load;
mod streams;
#[cfg(test)]
mod tests;

pub use demo::{DEMO, demo};
pub use error::{Problem, ScenarioError, Target};

use std::path::Path;

/// The largest scenario file that is read, in bytes (256 MiB).
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The most clients, and the most servers, in a scenario.
pub const MAX_HOSTS_PER_GROUP: usize = 1000;

/// The longest [`Scenario::name`], in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// A scenario that can be run: it has hosts in both groups and every id in it leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    name: String,
    clients: Vec<Host>,
    servers: Vec<Host>,
    traces: Vec<String>,
    needs_multiplex: bool,
}

impl Scenario {
    /// Reads and checks the scenario in the file `path`.
    ///
    /// # Errors
    /// For a file that cannot be read or that a driver could not run; [`Problem`] lists the cases.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        load::load(path)
            .and_then(|file| check::check(load::name_of(path), file))
            .map_err(|problem| ScenarioError { file: path.into(), problem })
    }

    /// Checks the scenario in `json`; `file` names it in messages and gives it its [`name`](Self::name).
    ///
    /// # Errors
    /// As [`load`](Self::load), apart from those of reading a file.
    pub fn from_json(file: &Path, json: &[u8]) -> Result<Self, ScenarioError> {
        load::parse(json)
            .and_then(|parsed| check::check(load::name_of(file), parsed))
            .map_err(|problem| ScenarioError { file: file.into(), problem })
    }

    /// The stem of the file name, fit to be the name of a directory: 1 to [`MAX_NAME_LEN`] characters out of
    /// `A-Z a-z 0-9 . _ -`, the first one neither `.` nor `-`.
    ///
    /// Results are kept under `results/<name>/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clients, at least one; the index is the `CLIENT_ID` of its driver.
    pub fn clients(&self) -> &[Host] {
        &self.clients
    }

    /// The servers, at least one; the index is the `SERVER_ID` of its driver.
    pub fn servers(&self) -> &[Host] {
        &self.servers
    }

    /// What the profiles measure, by trace id. The id of a profile may lie beyond the end: drivers accept
    /// that.
    pub fn traces(&self) -> &[String] {
        &self.traces
    }

    /// Whether drivers of stream-less transports (tcp, s2n-tls, native-tls) need `MULTIPLEX=true`, on both
    /// sides.
    ///
    /// Such a transport lends its one byte stream to the first stream of a connection and takes it back only
    /// at the end of the connection (`s2n-netbench`, `duplex.rs`: opening and accepting set the same flag,
    /// and a second time is the error `cannot open more than one duplex stream at a time`). So multiplexing
    /// is needed as soon as one side of one connection opens or accepts more than one stream in total, even
    /// if one after another. Only connections that some client makes count.
    pub fn needs_multiplex(&self) -> bool {
        self.needs_multiplex
    }

    /// What the driver of the client at `client_index` sends and receives when it runs its whole script.
    ///
    /// `None` where the scenario does not say, as with a repetition for some time, and for a client that does
    /// not exist. Counted are the bytes on streams, without what a transport adds to them.
    pub fn expected_bytes(&self, client_index: usize) -> Option<Transfer> {
        self.clients.get(client_index)?.expected
    }

    /// What the driver of the server at `server_index` sends and receives until every client has run its
    /// whole script; `None` as in [`expected_bytes`](Self::expected_bytes).
    pub fn server_expected_bytes(&self, server_index: usize) -> Option<Transfer> {
        self.servers.get(server_index)?.expected
    }
}

/// A client or a server of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: Option<String>,
    expected: Option<Transfer>,
}

impl Host {
    /// The name that the scenario gives it; generated scenarios give none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Bytes moved by one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
}
