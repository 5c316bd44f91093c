//! The client side: plays its script, connection by connection, to the end.

use crate::clock::{Clock, Watch};
use crate::connection::Session;
use crate::error::{Boxed, DriverError};
use crate::options::ClientOptions;
use crate::runtime::{self, End, Traces};
use crate::scenario;
use clap::Parser;
use netbench::client::{AddressMap, Resolver};
use netbench::scenario::{Connection as Script, Scenario};
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The name of the driver in its result file.
const DRIVER: &str = "s2n-netbench-driver-client-embedded";

/// Longest wait for a server to accept; the kernel repeats its request after 1, 3, 7 and 15 seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Runs the client to the end of its script. The environment and the command line say what to do; see the crate's
/// documentation.
pub fn client_main() -> ExitCode {
    let options = ClientOptions::parse();
    match run(&options) {
        Ok(End::Finished(())) => ExitCode::SUCCESS,
        // As a shell tells it.
        Ok(End::Signal(signal)) => ExitCode::from(128 + signal),
        Err(error) => runtime::report(&error),
    }
}

fn run(options: &ClientOptions) -> Result<End<()>, DriverError> {
    let path = &options.common.scenario;
    let scenario = scenario::load(path)?;
    scenario::select(&scenario.clients, options.client_id, "CLIENT_ID", path)?;
    runtime::run(&options.common, DRIVER, &scenario, |traces, _| play(options, &scenario, traces))
}

async fn play(options: &ClientOptions, scenario: &Scenario, mut traces: Traces) -> Result<(), DriverError> {
    let client_id = options.client_id;
    let addresses = AddressMap::new(scenario, client_id as u64, &mut Environment).await;
    let addresses = addresses.map_err(DriverError::Addresses)?;
    let mut clock = Clock::start();
    let connector = Connector {
        servers: (0..scenario.servers.len()).map(|id| addresses.server(id as u64)).collect(),
        local_ip: options.local_ip.filter(|ip| !ip.is_unspecified()),
        is_multiplexed: options.common.is_multiplexed(),
        watch: clock.watch(),
        next_id: 0,
    };
    let mut client = netbench::Client::new(connector, &scenario.clients[client_id], &addresses);
    let mut checkpoints = HashSet::new();
    let played = std::future::poll_fn(|cx| {
        clock.poll(&mut client, cx, |client, now, cx| client.poll(&mut traces, &mut checkpoints, now, cx))
    });
    played.await.map_err(|error| match error.downcast::<DriverError>() {
        Ok(error) => *error,
        Err(error) => DriverError::Script(error),
    })
}

/// Finds servers and routers in the environment, under the names that the stock drivers use.
struct Environment;

impl Environment {
    fn get(name: &str) -> Result<String, Boxed> {
        std::env::var(name).map_err(|error| format!("{name}: {error}").into())
    }
}

impl Resolver for Environment {
    fn server(&mut self, server: u64) -> Result<String, Boxed> {
        Self::get(&format!("SERVER_{server}"))
    }

    fn router(&mut self, router: u64, server: u64) -> Result<String, Boxed> {
        Self::get(&format!("ROUTER_{router}_SERVER_{server}"))
    }
}

/// Connects to servers.
struct Connector {
    servers: Vec<SocketAddr>,
    local_ip: Option<IpAddr>,
    is_multiplexed: bool,
    watch: Watch,
    next_id: u64,
}

impl Connector {
    /// The library tells the address only. Servers can share one behind routers, then each is named.
    fn servers_at(&self, address: SocketAddr) -> String {
        let servers = self.servers.iter().enumerate().filter(|(_, server)| **server == address);
        let names: Vec<String> = servers.map(|(id, _)| format!("server {id}")).collect();
        if names.is_empty() { "a router".into() } else { names.join(" or ") }
    }
}

impl<'a> netbench::client::Client<'a> for Connector {
    type Connect = Pin<Box<dyn Future<Output = netbench::Result<Session<'a>>> + 'a>>;
    type Connection = Session<'a>;

    fn connect(
        &mut self,
        address: SocketAddr,
        _hostname: &str,
        server_connection: u64,
        script: &'a Arc<Script>,
    ) -> Self::Connect {
        let id = self.next_id;
        self.next_id += 1;
        let (local_ip, is_multiplexed, watch) = (self.local_ip, self.is_multiplexed, self.watch);
        let servers = self.servers_at(address);
        Box::pin(async move {
            let stream = connect(address, local_ip, server_connection, servers).await?;
            Ok(Session::new(id, stream, script, is_multiplexed, watch))
        })
    }
}

/// Connects, and tells the server which of its scripts to play.
async fn connect(
    address: SocketAddr,
    local_ip: Option<IpAddr>,
    server_connection: u64,
    servers: String,
) -> Result<TcpStream, DriverError> {
    if let Some(local) = local_ip.filter(|ip| ip.is_ipv4() != address.is_ipv4()) {
        return Err(DriverError::AddressFamily { local, address });
    }
    let connected = async {
        let mut stream = open(address, local_ip).await?;
        // Only costs latency if it fails.
        let _ = stream.set_nodelay(true);
        stream.write_u64(server_connection).await?;
        Ok(stream)
    };
    match timeout(CONNECT_LIMIT, connected).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(DriverError::Connect { servers, address, source }),
        Err(_) => Err(DriverError::ConnectTimeout { servers, address, limit: CONNECT_LIMIT }),
    }
}

async fn open(address: SocketAddr, local_ip: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(ip) = local_ip {
        // A port in TIME_WAIT towards one server is good for another.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(address).await
}
