//! The built `russula-worker`, as somebody who starts it by hand meets it: its command line, whole runs over sockets
//! with drivers in processes of their own, and every way in which it can end.
#![cfg(target_os = "linux")]

mod command_line;
mod drivers;
mod endings;
mod finding_drivers;
#[path = "../common/ports.rs"]
mod ports;
mod quiet;
mod refusals;
mod runs;
mod support;
#[path = "../common/waiting.rs"]
mod waiting;

/// The entry of the drivers, which are this very program; see [`drivers`].
#[test]
fn role() {
    drivers::play();
}
