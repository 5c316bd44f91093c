//! The netbench TCP driver that comes with the orchestrator, so that nothing need be installed to measure.
//!
//! It runs the scripts of a netbench scenario over plain TCP, on one thread. On the wire it is compatible with
//! `s2n-netbench-driver-{server,client}-tcp`, multiplexed or not, and it takes its orders from the same environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `SCENARIO` | path of the scenario file |
//! | `PORT`, `SERVER_ID` | server: the port to listen on (4433), the entry of `servers[]` to play (0) |
//! | `LOCAL_IP` | server: the address to listen on; client: the address to connect from (any) |
//! | `CLIENT_ID` | client: the entry of `clients[]` to play (0) |
//! | `SERVER_<i>` | client: `host:port` of every server of the scenario |
//! | `MULTIPLEX` | `true`: several streams per connection, on both sides |
//! | `TRACE` | `disabled`, `throughput` (a line a second on stderr) or `stdio` (every operation on stdout) |
//! | `NETBENCH_RESULT` | where to write a result file; none without it |
//! | `NETBENCH_SAMPLE_INTERVAL_MS` | time between two lines of it (100); 0: only the first and the last line |
//!
//! The client ends with 0 at the end of its script, with 1 on failure, with 143 after SIGTERM; both end with 2 if they
//! do not understand their command line or environment. The server ends with 0
//! after SIGTERM; what goes wrong on one connection is an `error:` line on stderr and ends nothing else.

mod client;
mod clock;
mod connection;
mod error;
mod options;
mod result_log;
mod runtime;
mod scenario;
mod server;
mod statistics;

pub use client::client_main;
pub use server::server_main;
