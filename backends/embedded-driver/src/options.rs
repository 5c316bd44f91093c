//! The environment of the stock drivers, and the same as flags.

use clap::{Args, Parser, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Run the server side of a netbench scenario over TCP.
#[derive(Debug, Parser)]
pub(crate) struct ServerOptions {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    /// Address to listen on; every address of this host if left out.
    #[arg(short, long, env = "LOCAL_IP")]
    pub(crate) ip: Option<IpAddr>,
    /// Port to listen on.
    #[arg(short, long, env = "PORT", default_value_t = 4433)]
    pub(crate) port: u16,
    /// Entry of the scenario's servers to play, from 0.
    #[arg(long, env = "SERVER_ID", default_value_t = 0)]
    pub(crate) server_id: usize,
}

/// Run the client side of a netbench scenario over TCP; `SERVER_<i>=host:port` names each server.
#[derive(Debug, Parser)]
pub(crate) struct ClientOptions {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    /// Address to connect from; the operating system chooses if left out.
    #[arg(short, long, env = "LOCAL_IP")]
    pub(crate) local_ip: Option<IpAddr>,
    /// Entry of the scenario's clients to play, from 0.
    #[arg(long, env = "CLIENT_ID", default_value_t = 0)]
    pub(crate) client_id: usize,
}

/// What both sides understand.
#[derive(Debug, Args)]
pub(crate) struct CommonOptions {
    /// The scenario file.
    #[arg(env = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// What to print while running.
    #[arg(long, env = "TRACE", default_value = "disabled")]
    pub(crate) trace: Vec<TraceKind>,
    /// Carry several streams on one connection; has to be the same on both sides.
    #[arg(long, env = "MULTIPLEX")]
    multiplex: Option<Option<bool>>,
    /// Accepted for the sake of the stock drivers; this driver has one thread.
    #[arg(long, env = "MULTITHREADED")]
    multithreaded: Option<Option<bool>>,
    /// Write statistics to this file, in the netbench result format.
    #[arg(long, env = "NETBENCH_RESULT")]
    pub(crate) result: Option<PathBuf>,
    /// Milliseconds between two lines of the result file; 0: only the first and the last line.
    #[arg(long, env = "NETBENCH_SAMPLE_INTERVAL_MS", default_value_t = 100)]
    sample_interval_ms: u64,
}

/// The values of `TRACE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceKind {
    /// Nothing.
    Disabled,
    /// The rates of sending and receiving, once a second, on stderr.
    Throughput,
    /// Every operation, on stdout.
    Stdio,
}

impl CommonOptions {
    /// Whether connections are multiplexed.
    pub(crate) fn is_multiplexed(&self) -> bool {
        is_on(self.multiplex)
    }

    /// Time between two lines of the result file, if there are to be lines in between.
    pub(crate) fn sample_interval(&self) -> Option<Duration> {
        (self.sample_interval_ms > 0).then(|| Duration::from_millis(self.sample_interval_ms))
    }

    /// Whether several threads are asked for, which this driver does not have.
    pub(crate) fn is_multithreaded(&self) -> bool {
        is_on(self.multithreaded)
    }
}

/// A flag without a value is on, as with the stock drivers.
fn is_on(flag: Option<Option<bool>>) -> bool {
    flag.is_some_and(|value| value.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        ServerOptions::command().debug_assert();
        ClientOptions::command().debug_assert();
    }

    #[test]
    fn flags_are_those_of_the_stock_drivers() {
        let server = ServerOptions::try_parse_from([
            "server",
            "s.json",
            "--ip",
            "127.0.0.1",
            "--port",
            "1",
            "--server-id",
            "2",
            "--multiplex",
        ]);
        let server = server.unwrap();
        assert_eq!((server.port, server.server_id, server.common.is_multiplexed()), (1, 2, true));
        let client = ClientOptions::try_parse_from([
            "client",
            "--multiplex=false",
            "--trace",
            "stdio",
            "--sample-interval-ms",
            "0",
            "--",
            "s.json",
        ]);
        let client = client.unwrap();
        assert!(!client.common.is_multiplexed());
        assert_eq!(client.common.trace, [TraceKind::Stdio]);
        assert_eq!(client.common.sample_interval(), None);
    }
}
