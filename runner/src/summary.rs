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
    /// In the order of the scenario's servers.
    pub servers: Vec<HostSummary>,
    /// In the order of the scenario's clients.
    pub clients: Vec<HostSummary>,
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
