//! The program as a user types it: what it says, how it exits, what it leaves on disk, and that it leaves no process.
//!
//! The drivers of these tests are shell scripts; those that have to work call the embedded driver. Each test has a
//! directory of its own, which also marks its processes: when a test ends, none may be left.
//!
//! With `NETBENCH_STOCK_DIR` set to a directory that holds the programs of netbench, they are tested as well.
#![cfg(target_os = "linux")]

mod attach;
mod bad_input;
mod bench;
mod deaths;
mod driver_failures;
mod full_disk;
mod good_runs;
mod interrupts;
mod restarts;
mod resume;
mod resume_failed;
mod resume_refused;
mod stock;
mod workers;
