//! The JSON of a netbench scenario file, as far as it is needed to plan a run.
//!
//! The rules are those of `s2n-netbench` 0.1 (`scenario.rs` and `operation.rs` there): an operation is an
//! object with one key, its name in snake case; empty lists are left out; keys that nobody asks for are
//! ignored. That crate itself is not used here, since it brings an asynchronous runtime into the worker.
//!
//! The scripts of connections make up nearly all of a large file. They are summed up while they are read, so that
//! a worker, which stays small, never holds them.
//!
//! Some fields exist only so that a file that a driver would refuse is refused here, before a run starts.

#![expect(dead_code, reason = "fields that are only checked for their shape are never read")]

use super::streams::{Script, Sides};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The whole file.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    id: String,
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Server>,
    #[serde(default)]
    pub(super) routers: Vec<IgnoredAny>,
    #[serde(default)]
    pub(super) traces: Vec<String>,
    #[serde(default)]
    pub(super) certificates: Vec<IgnoredAny>,
}

/// One entry of `clients`.
#[derive(Debug, Deserialize)]
pub(super) struct Client {
    #[serde(default)]
    pub(super) name: String,
    pub(super) scenario: Vec<ClientOperation>,
    pub(super) connections: Sides,
    #[serde(default)]
    pub(super) certificate_authorities: Vec<u64>,
}

/// One entry of `servers`.
#[derive(Debug, Deserialize)]
pub(super) struct Server {
    #[serde(default)]
    pub(super) name: String,
    pub(super) connections: Sides,
    pub(super) private_key: u64,
    pub(super) certificate: u64,
    pub(super) certificate_authority: u64,
}

/// What one side of a connection does.
#[derive(Debug, Deserialize)]
pub(super) struct Connection {
    /// The script of this side.
    #[serde(default)]
    pub(super) ops: Script,
    /// The answers of this side to the streams that the peer opens, by stream id.
    #[serde(default)]
    pub(super) peer_streams: Vec<Script>,
}

/// A step in the script of a client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientOperation {
    Sleep(SleepBeforeNext),
    Connect(Connect),
    Park(Checkpoint),
    Unpark(Checkpoint),
    Trace(TraceEvent),
    Scope { threads: Vec<Vec<ClientOperation>> },
}

/// Opens a connection and runs both scripts on it.
#[derive(Debug, Deserialize)]
pub(super) struct Connect {
    pub(super) server_id: u64,
    #[serde(default)]
    pub(super) router_id: Option<u64>,
    pub(super) server_connection_id: u64,
    pub(super) client_connection_id: u64,
}

/// A step in the script of a connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Sleep(Sleep),
    OpenBidirectionalStream(Stream),
    OpenSendStream(Stream),
    Send(Amount),
    SendFinish(Stream),
    SendRate(Rate),
    Receive(Amount),
    ReceiveAll(Stream),
    ReceiveFinish(Stream),
    ReceiveRate(Rate),
    Park(Checkpoint),
    Unpark(Checkpoint),
    Trace(TraceEvent),
    Profile(Profile),
    Iterate(Iterate),
    Scope { threads: Vec<Script> },
}

/// The names of [`ClientOperation`], for messages.
pub(super) const CLIENT_OPERATIONS: &[&str] = &["sleep", "connect", "park", "unpark", "trace", "scope"];

/// The names of [`Operation`], for messages.
pub(super) const OPERATIONS: &[&str] = &[
    "sleep",
    "open_bidirectional_stream",
    "open_send_stream",
    "send",
    "send_finish",
    "send_rate",
    "receive",
    "receive_all",
    "receive_finish",
    "receive_rate",
    "park",
    "unpark",
    "trace",
    "profile",
    "iterate",
    "scope",
];

#[derive(Debug, Deserialize)]
pub(super) struct Stream {
    pub(super) stream_id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Amount {
    pub(super) stream_id: u64,
    pub(super) bytes: u64,
}

/// Runs its operations and records how long they take.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    trace_id: u64,
    pub(super) operations: Script,
}

/// Runs its operations again and again.
#[derive(Debug, Deserialize)]
pub(super) struct Iterate {
    pub(super) value: IterateValue,
    pub(super) operations: Script,
    trace_id: Option<u64>,
}

/// How often an [`Iterate`] repeats.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IterateValue {
    Time(Sleep),
    Count { amount: u64 },
}

#[derive(Debug, Deserialize)]
pub(super) struct Sleep {
    amount_ms: u64,
}

/// The pause in a client's script has a key of its own.
#[derive(Debug, Deserialize)]
pub(super) struct SleepBeforeNext {
    timeout_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rate {
    stream_id: u64,
    bytes: u64,
    period_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Checkpoint {
    checkpoint: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct TraceEvent {
    trace_id: u64,
}
