//! `summary.json`: what a run came to, per driver, repetition and host. It is replaced after each repetition.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The result of a run. `runner ... --json` prints it, `summary.json` holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the run and of its directory.
    pub run_id: String,
    /// The worst of the repetitions, once the run has ended.
    pub status: Status,
    /// Name of the scenario, as in `results/<scenario>/`.
    pub scenario: String,
    /// Version of the orchestrator.
    pub version: String,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// From the first to the last thing that the run did, in seconds.
    pub duration_s: f64,
    /// Why the run ended early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why no figure of the run may be what it seems, although nothing failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspect: Vec<String>,
    /// The machine that the orchestrator, and in a local run every host, ran on.
    pub machine: Machine,
    /// Names of the scenario's trace ids, in order; a profile's id is an index into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<String>,
    /// One entry per driver, in the order of the command line.
    pub drivers: Vec<DriverSummary>,
}

/// How a run, or a repetition of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything ran to its end.
    Ok,
    /// Something failed; `error` says what.
    Failed,
    /// The user stopped it.
    Interrupted,
    /// The run is still under way, or its orchestrator was ended by force: what is there is what had ended by then.
    /// Never the status of a repetition.
    Running,
}

/// What is known about a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Host name.
    pub name: String,
    /// Kernel name and release.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processors that the orchestrator may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// All repetitions of one driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriverSummary {
    /// Name of the driver.
    pub driver: String,
    /// In the order in which they ran.
    pub repetitions: Vec<RepetitionSummary>,
}

/// One repetition of one driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepetitionSummary {
    /// How it ended.
    pub status: Status,
    /// From the first goal to the last outcome, in seconds.
    pub duration_s: f64,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why the figures may not be what they seem, although nothing failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspect: Vec<String>,
    /// How well the clients started together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartSummary>,
    /// How quiet the control connections were while every client ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_window: Option<QuietSummary>,
    /// In the order of the scenario's servers.
    pub servers: Vec<HostSummary>,
    /// In the order of the scenario's clients.
    pub clients: Vec<HostSummary>,
}

impl RepetitionSummary {
    /// A repetition of which nothing more is known.
    pub fn new(status: Status, duration_s: f64) -> Self {
        Self {
            status,
            duration_s,
            error: None,
            suspect: vec![],
            start: None,
            quiet_window: None,
            servers: vec![],
            clients: vec![],
        }
    }
}

/// How well the clients of a repetition started together. The starts are what each worker's clock said when its
/// driver ran, and the offset of that clock is known up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSummary {
    /// Clients whose start is known.
    pub clients: usize,
    /// From the first start to the last, in microseconds.
    pub skew_us: u64,
    /// Each start was at most so much earlier or later, in microseconds.
    pub bound_us: u64,
    /// How much later than the instant that all were told the last one started, in microseconds. Nobody knows it
    /// after another orchestrator took the repetition over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_us: Option<i64>,
}

/// How quiet the control connections were from the last client's confirmation until the first end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuietSummary {
    /// How long that was, in seconds.
    pub duration_s: f64,
    /// Bytes that the orchestrator sent and received meanwhile, on all its connections.
    pub orchestrator_bytes: u64,
    /// Bytes that the clients' workers sent and received.
    pub worker_bytes: u64,
    /// What the kernels' counters of those sockets say to that, at both ends.
    pub kernel: KernelWord,
}

/// Whether the kernels' counters of the control connections agree with our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelWord {
    /// All of them.
    Agrees,
    /// At least one does not.
    Differs,
    /// At least one could not be asked, and no other one differs.
    NotChecked,
}

/// A worker's clock against the orchestrator's. Both count from a moment of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSummary {
    /// The worker's reading minus the orchestrator's at the same moment, in microseconds.
    pub offset_us: i64,
    /// The offset is at most so much larger or smaller, in microseconds.
    pub bound_us: u64,
}

/// One host's part in a repetition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSummary {
    /// Address of the host.
    pub host: String,
    /// Exit status of the driver, unless a signal ended it or it never ran.
    pub exit_code: Option<i32>,
    /// Signal that ended the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Run time of the driver in seconds.
    pub duration_s: Option<f64>,
    /// The worker's clock, as measured before the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockSummary>,
    /// How much later than the instant that all clients were told the driver started, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_lateness_us: Option<i64>,
    /// Bytes that the driver says it sent.
    pub sent_bytes: Option<u64>,
    /// Bytes that the driver says it received.
    pub received_bytes: Option<u64>,
    /// Processor time in seconds, from the kernel.
    pub cpu_s: Option<f64>,
    /// Peak resident memory in bytes, from the kernel.
    pub max_rss_bytes: Option<u64>,
    /// Why the host's part failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Last lines that the driver wrote to stderr.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr_tail: String,
    /// Result file, relative to the run directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PathBuf>,
}
