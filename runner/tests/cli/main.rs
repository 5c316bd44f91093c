//! The program as a user types it: what it says, how it exits, what it leaves on disk, and that it leaves no process.
//!
//! The drivers of these tests are shell scripts; those that have to work call the embedded driver. Each test has a
//! directory of its own, which also marks its processes: when a test ends, none may be left.
//!
//! Connections are destroyed by `ss -K`, which takes root and iproute2; the tests that need it say on stderr that they
//! were skipped where it does not work.
//!
//! With `NETBENCH_STOCK_DIR` set to a directory that holds the programs of netbench, they are tested as well.
#![cfg(target_os = "linux")]

mod attach;
mod bad_input;
mod bench;
mod conditions;
mod cuts;
mod deaths;
mod driver_failures;
mod full_disk;
mod good_runs;
mod interrupts;
mod keys;
mod paths;
#[path = "../../../backends/tests/common/ports.rs"]
mod ports;
mod processes;
#[path = "../../../backends/tests/tcp/proxy/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "it is the file of the backends' tests, which use all of it"
)]
mod proxy;
mod restarts;
mod resume;
mod resume_failed;
mod resume_refused;
mod stock;
mod strangers;
mod workers;

/// What the proxy wants to find in a program of tests.
mod common {
    pub(crate) use crate::bench::PATIENCE;
}
