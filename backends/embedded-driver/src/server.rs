//! The server side: accepts connections and plays on each the script that its client asks for.

use crate::clock::Clock;
use crate::connection::Session;
use crate::error::{Boxed, ConnectionError, DriverError};
use crate::options::ServerOptions;
use crate::runtime::{self, End, Traces, complain};
use crate::scenario;
use crate::statistics::Statistics;
use clap::Parser;
use netbench::scenario::Server;
use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The name of the driver in its result file.
const DRIVER: &str = "s2n-netbench-driver-server-embedded";

/// Connections that may wait to be accepted; the kernel cuts this to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs the server until it gets SIGTERM. The environment and the command line say what to do; see the crate's
/// documentation.
pub fn server_main() -> ExitCode {
    let options = ServerOptions::parse();
    match run(&options) {
        Ok(End::Signal(_)) => ExitCode::SUCCESS,
        Ok(End::Finished(never)) => match never {},
        Err(error) => runtime::report(&error),
    }
}

fn run(options: &ServerOptions) -> Result<End<Infallible>, DriverError> {
    let path = &options.common.scenario;
    let scenario = scenario::load(path)?;
    let server = Arc::clone(scenario::select(&scenario.servers, options.server_id, "SERVER_ID", path)?);
    let is_multiplexed = options.common.is_multiplexed();
    runtime::run(&options.common, DRIVER, &scenario, |traces, statistics| async move {
        let listener = listen(options.ip, options.port)?;
        Ok(accept(listener, server, traces, statistics, is_multiplexed).await)
    })
}

/// Listens on every address, IPv4 and IPv6, if none is given; on a host without IPv6 on every IPv4 address.
fn listen(ip: Option<IpAddr>, port: u16) -> Result<TcpListener, DriverError> {
    let address = SocketAddr::new(ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port);
    let listener = match bind(address) {
        Err(error) if ip.is_none() && error.kind() != io::ErrorKind::AddrInUse => {
            bind((Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    };
    listener.map_err(|source| DriverError::Listen { address, source })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port whose last connections are in TIME_WAIT is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    traces: Traces,
    statistics: Arc<Statistics>,
    is_multiplexed: bool,
) -> Infallible {
    let mut next_id = 0;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                complain(format_args!("error: cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let id = next_id;
        next_id += 1;
        statistics.count_accepted_connection();
        let (server, traces) = (Arc::clone(&server), traces.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, id, &server, traces, is_multiplexed).await {
                complain(format_args!("error: connection {id}: {error}"));
            }
        });
    }
}

/// Plays the script that the client asks for with the first eight bytes. These have no deadline: a stock client
/// sends them with its first data, which may come after a pause as long as the script likes.
async fn serve(
    mut stream: TcpStream,
    id: u64,
    server: &Server,
    mut traces: Traces,
    is_multiplexed: bool,
) -> Result<(), Boxed> {
    // Only costs latency if it fails.
    let _ = stream.set_nodelay(true);
    let asked = stream.read_u64().await.map_err(|error| {
        let is_early_end = error.kind() == io::ErrorKind::UnexpectedEof;
        if is_early_end { Boxed::from(ConnectionError::NoScript) } else { error.into() }
    })?;
    let script = usize::try_from(asked).ok().and_then(|index| server.connections.get(index));
    let script = script.ok_or(ConnectionError::UnknownScript { asked, count: server.connections.len() })?;

    let mut clock = Clock::start();
    let mut session = Session::new(id, stream, script, is_multiplexed, clock.watch());
    let mut checkpoints = HashSet::new();
    std::future::poll_fn(|cx| {
        clock.poll(&mut session, cx, |session, _now, cx| session.poll(&mut traces, &mut checkpoints, cx))
    })
    .await
}
