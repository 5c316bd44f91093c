//! The supervised driver process, with real processes.
#![cfg(target_os = "linux")]

mod collecting;
mod ending;
mod logs;
mod readiness;
mod roles;
mod start;
mod support;
#[path = "../common/waiting.rs"]
mod waiting;
mod worker_death;

/// The entry of the processes that these tests start from this very program; see [`roles`].
#[test]
fn role() {
    roles::play();
}
