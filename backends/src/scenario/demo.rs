//! The demonstration scenario: what runs when nobody says what to run.

use super::Scenario;
use std::path::Path;

/// The demonstration scenario as a file, for drivers.
///
/// Incast: one client asks four servers for a block at the same time, and all four answers arrive at once.
/// The next round begins when the last answer is complete, but not before 10 ms have passed, so a run takes
/// about five seconds on any machine that manages a round in that time. There are 150 rounds each with blocks
/// of 16, 32 and 64 KB, 67 MB in all. The profiles compare the single answer (`response`) with the whole
/// round (`round`), which waits for the slowest server, and with the sending itself (`send`).
///
/// A block always fits into the send buffer of a fresh TCP socket. In `s2n-netbench`, `duplex.rs` does not wait
/// for the flush that ends a message, so the last bytes of one that does not fit could stay in the driver.
///
/// The certificates and the private key in it come from `s2n-netbench-scenarios`, as does the id, which is
/// part of the host names that they were made for. They are throw-away keys for tests: they protect nothing.
pub const DEMO: &str = include_str!("demo.json");

/// The demonstration scenario, with the name `demo`.
pub fn demo() -> Scenario {
    Scenario::from_json(Path::new("demo.json"), DEMO.as_bytes()).expect("a test checks that it is a scenario")
}
