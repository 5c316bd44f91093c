//! From the parsed file to a scenario in which every id leads somewhere.

use super::error::{Problem, Target};
use super::format::{Client, ClientOperation, Connect, File, Server};
use super::streams::{Moved, Side};
use super::{Host, MAX_HOSTS_PER_GROUP, Scenario, Transfer};
use std::collections::BTreeMap;

/// Checks `file` and reads off it what a run needs to know.
pub(super) fn check(name: String, file: File) -> Result<Scenario, Problem> {
    check_group("clients", file.clients.len())?;
    check_group("servers", file.servers.len())?;
    check_certificates(&file)?;
    let connects = find_connects(&file)?;
    let plan = Plan { file: &file, connects: &connects };
    let needs_multiplex = plan.needs_multiplex();
    let (clients, servers) = plan.transfers();
    Ok(Scenario {
        name,
        clients: hosts(file.clients.into_iter().map(|client| client.name), clients),
        servers: hosts(file.servers.into_iter().map(|server| server.name), servers),
        traces: file.traces,
        needs_multiplex,
    })
}

fn check_group(group: &'static str, found: usize) -> Result<(), Problem> {
    match found {
        0 => Err(Problem::NoHosts { group }),
        1..=MAX_HOSTS_PER_GROUP => Ok(()),
        _ => Err(Problem::TooManyHosts { group, found }),
    }
}

/// Transports without encryption run without any certificate, whatever the indices say.
fn check_certificates(file: &File) -> Result<(), Problem> {
    let count = file.certificates.len();
    if count == 0 {
        return Ok(());
    }
    let check = |at: String, id| entry(at, Target::Certificate, id, count).map(drop);
    for (index, server) in file.servers.iter().enumerate() {
        let Server { private_key, certificate, certificate_authority, .. } = server;
        check(format!("servers[{index}].private_key"), *private_key)?;
        check(format!("servers[{index}].certificate"), *certificate)?;
        check(format!("servers[{index}].certificate_authority"), *certificate_authority)?;
    }
    for (index, client) in file.clients.iter().enumerate() {
        for (nth, authority) in client.certificate_authorities.iter().enumerate() {
            check(format!("clients[{index}].certificate_authorities[{nth}]"), *authority)?;
        }
    }
    Ok(())
}

/// One connection that a client makes, as indices that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pairing {
    client: usize,
    client_connection: usize,
    server: usize,
    server_connection: usize,
}

/// Which pairs of scripts meet, and how often.
type Connects = BTreeMap<Pairing, u64>;

fn find_connects(file: &File) -> Result<Connects, Problem> {
    let mut connects = Connects::new();
    for (index, client) in file.clients.iter().enumerate() {
        let mut found = |at: &str, connect: &Connect| {
            let pairing = pairing(at, file, index, client, connect)?;
            *connects.entry(pairing).or_default() += 1;
            Ok(())
        };
        each_connect(&format!("clients[{index}].scenario"), &client.scenario, &mut found)?;
    }
    Ok(connects)
}

fn each_connect(
    at: &str,
    script: &[ClientOperation],
    found: &mut dyn FnMut(&str, &Connect) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for (index, operation) in script.iter().enumerate() {
        match operation {
            ClientOperation::Connect(connect) => found(&format!("{at}[{index}].connect"), connect)?,
            ClientOperation::Scope { threads } => {
                for (thread, script) in threads.iter().enumerate() {
                    each_connect(&format!("{at}[{index}].scope.threads[{thread}]"), script, found)?;
                }
            }
            ClientOperation::Sleep(_)
            | ClientOperation::Park(_)
            | ClientOperation::Unpark(_)
            | ClientOperation::Trace(_) => {}
        }
    }
    Ok(())
}

fn pairing(
    at: &str,
    file: &File,
    index: usize,
    client: &Client,
    connect: &Connect,
) -> Result<Pairing, Problem> {
    let at = |key: &str| format!("{at}.{key}");
    let server = entry(at("server_id"), Target::Server, connect.server_id, file.servers.len())?;
    let pairing = Pairing {
        client: index,
        client_connection: entry(
            at("client_connection_id"),
            Target::ClientConnection,
            connect.client_connection_id,
            client.connections.len(),
        )?,
        server,
        server_connection: entry(
            at("server_connection_id"),
            Target::ServerConnection,
            connect.server_connection_id,
            file.servers[server].connections.len(),
        )?,
    };
    if let Some(router_id) = connect.router_id {
        entry(at("router_id"), Target::Router, router_id, file.routers.len())?;
        return Err(Problem::RouterUnsupported { at: at("router_id"), router_id });
    }
    Ok(pairing)
}

/// The index that `id` stands for, if it is one of `count`.
fn entry(at: String, target: Target, id: u64, count: usize) -> Result<usize, Problem> {
    usize::try_from(id).ok().filter(|index| *index < count).ok_or(Problem::NoSuch { at, target, id, count })
}

/// Both sides of every connection, and who makes it.
struct Plan<'a> {
    file: &'a File,
    connects: &'a Connects,
}

impl Plan<'_> {
    /// The client's side and the server's side.
    fn sides(&self, pairing: &Pairing) -> (&Side, &Side) {
        (
            self.file.clients[pairing.client].connections.get(pairing.client_connection),
            self.file.servers[pairing.server].connections.get(pairing.server_connection),
        )
    }

    fn needs_multiplex(&self) -> bool {
        self.connects
            .keys()
            .map(|pairing| self.sides(pairing))
            .any(|(client, server)| client.needs_multiplex() || server.needs_multiplex())
    }

    /// What each client and each server moves in total.
    fn transfers(&self) -> (Vec<Option<Transfer>>, Vec<Option<Transfer>>) {
        let mut clients = vec![Some(Transfer::default()); self.file.clients.len()];
        let mut servers = vec![Some(Transfer::default()); self.file.servers.len()];
        for (pairing, times) in self.connects {
            let (client, server) = self.sides(pairing);
            add(&mut clients[pairing.client], client.moved(server), *times);
            add(&mut servers[pairing.server], server.moved(client), *times);
        }
        (clients, servers)
    }
}

fn add(total: &mut Option<Transfer>, (sent, received): Moved, times: u64) {
    *total = total.and_then(|total| {
        Some(Transfer {
            sent_bytes: total.sent_bytes.checked_add(sent?.checked_mul(times)?)?,
            received_bytes: total.received_bytes.checked_add(received?.checked_mul(times)?)?,
        })
    });
}

fn hosts(names: impl Iterator<Item = String>, expected: Vec<Option<Transfer>>) -> Vec<Host> {
    let named = |name: String| if name.is_empty() { None } else { Some(name) };
    names.zip(expected).map(|(name, expected)| Host { name: named(name), expected }).collect()
}
