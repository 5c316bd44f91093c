//! Reads a scenario, checks what the library would answer with a panic, and makes its scripts fit to be run.

use crate::error::DriverError;
use netbench::operation as op;
use netbench::scenario::{Client, Connection, Scenario};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep, period or iteration that is believed; the library's clock overflows far behind it.
const PAUSE_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads the scenario file, checks all of it, and prepares its scripts.
pub(crate) fn load(path: &Path) -> Result<Scenario, DriverError> {
    let mut scenario =
        Scenario::open(path).map_err(|source| DriverError::Scenario { path: path.to_owned(), source })?;
    check(&scenario).map_err(|reason| DriverError::InvalidScenario { path: path.to_owned(), reason })?;
    for client in &mut scenario.clients {
        prepare(&mut Arc::make_mut(client).connections);
    }
    for server in &mut scenario.servers {
        prepare(&mut Arc::make_mut(server).connections);
    }
    Ok(scenario)
}

/// The entry that this process plays.
pub(crate) fn select<'a, T>(
    entries: &'a [Arc<T>],
    id: usize,
    variable: &str,
    path: &Path,
) -> Result<&'a Arc<T>, DriverError> {
    entries.get(id).ok_or_else(|| DriverError::InvalidScenario {
        path: path.to_owned(),
        reason: format!(
            "{variable} is {id}, but there are {} entries to play, counted from 0",
            entries.len()
        ),
    })
}

/// What becomes of an operation that waits for a peer which has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterPeerEnd {
    /// It fails: the bytes that the script asks for do not come any more.
    Fail,
    /// It waits for the end of its time. Of two sides that each do something for a second, one ends first.
    AwaitTimer,
    /// It ends early. For scripts in which an operation that may end early cannot be told from one that may not.
    End,
}

impl AfterPeerEnd {
    /// What holds for this script.
    pub(crate) fn of(script: &Connection) -> Self {
        let mut traits = Traits::default();
        traits.add(&script.ops);
        for ops in &script.peer_streams {
            traits.add(ops);
        }
        match traits {
            Traits { is_rated: true, receives_all, is_timed } if receives_all || is_timed => Self::End,
            Traits { is_timed: true, .. } => Self::AwaitTimer,
            Traits { .. } => Self::Fail,
        }
    }
}

#[derive(Debug, Default)]
struct Traits {
    is_rated: bool,
    receives_all: bool,
    is_timed: bool,
}

impl Traits {
    fn add(&mut self, ops: &[op::Connection]) {
        walk(ops, &mut |op| {
            self.is_rated |= matches!(op, op::Connection::ReceiveRate { .. });
            self.receives_all |= matches!(op, op::Connection::ReceiveAll { .. });
            self.is_timed |=
                matches!(op, op::Connection::Iterate { value: op::IterateValue::Time { .. }, .. });
        });
    }
}

/// Ends every script with a sleep of no time. A rate limit leaves its timer armed, and the library takes a script
/// with an armed timer for unfinished for ever; the sleep disarms it.
fn prepare(connections: &mut [Arc<Connection>]) {
    for connection in connections {
        let connection = Arc::make_mut(connection);
        for ops in std::iter::once(&mut connection.ops).chain(&mut connection.peer_streams) {
            ops.push(op::Connection::Sleep { amount: Duration::ZERO });
        }
    }
}

/// Calls `visit` with each operation, also with those inside of others.
fn walk<'a>(ops: &'a [op::Connection], visit: &mut impl FnMut(&'a op::Connection)) {
    for op in ops {
        visit(op);
        if let op::Connection::Profile { operations, .. } | op::Connection::Iterate { operations, .. } = op {
            walk(operations, visit);
        } else if let op::Connection::Scope { threads } = op {
            threads.iter().for_each(|thread| walk(thread, visit));
        }
    }
}

fn check(scenario: &Scenario) -> Result<(), String> {
    if scenario.clients.is_empty() {
        return Err("it has no clients".into());
    }
    if scenario.servers.is_empty() {
        return Err("it has no servers".into());
    }
    for (id, client) in scenario.clients.iter().enumerate() {
        check_client(scenario, client, &client.scenario).map_err(|reason| format!("client {id} {reason}"))?;
        check_connections(&client.connections).map_err(|reason| format!("client {id}, {reason}"))?;
    }
    for (id, server) in scenario.servers.iter().enumerate() {
        check_connections(&server.connections).map_err(|reason| format!("server {id}, {reason}"))?;
    }
    Ok(())
}

fn check_client(scenario: &Scenario, client: &Client, ops: &[op::Client]) -> Result<(), String> {
    for op in ops {
        if let op::Client::Connect { server_id, router_id, server_connection_id, client_connection_id } = op {
            let server = get(&scenario.servers, *server_id, "connects to server")?;
            let of_server = format!("plays, at server {server_id}, connection");
            get(&server.connections, *server_connection_id, &of_server)?;
            get(&client.connections, *client_connection_id, "plays its own connection")?;
            if let Some(router_id) = router_id {
                get(&scenario.routers, *router_id, "goes through router")?;
            }
        } else if let op::Client::Scope { threads } = op {
            threads.iter().try_for_each(|thread| check_client(scenario, client, thread))?;
        } else if let op::Client::Sleep { timeout } = op {
            check_pause(*timeout)?;
        }
    }
    Ok(())
}

fn get<'a, T>(entries: &'a [T], index: u64, what: &str) -> Result<&'a T, String> {
    let entry = usize::try_from(index).ok().and_then(|index| entries.get(index));
    entry.ok_or_else(|| format!("{what} {index}, but there are {}, counted from 0", entries.len()))
}

fn check_connections(connections: &[Arc<Connection>]) -> Result<(), String> {
    for (id, connection) in connections.iter().enumerate() {
        for ops in std::iter::once(&connection.ops).chain(&connection.peer_streams) {
            let mut found = Ok(());
            walk(ops, &mut |op| {
                if found.is_ok() {
                    found = check_operation(op);
                }
            });
            found.map_err(|reason| format!("connection {id} {reason}"))?;
        }
    }
    Ok(())
}

fn check_operation(op: &op::Connection) -> Result<(), String> {
    if let op::Connection::SendRate { rate, .. } | op::Connection::ReceiveRate { rate, .. } = op {
        if *rate.bytes == 0 {
            return Err("has a rate of 0 bytes, which would never end".into());
        }
        check_pause(rate.period)
    } else if let op::Connection::Sleep { amount }
    | op::Connection::Iterate { value: op::IterateValue::Time { amount }, .. } = op
    {
        check_pause(*amount)
    } else {
        Ok(())
    }
}

fn check_pause(pause: Duration) -> Result<(), String> {
    if pause > PAUSE_MAX {
        return Err(format!("has a time of {pause:?}; the most is {PAUSE_MAX:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Scenario, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scenario.json");
        std::fs::write(&path, text).unwrap();
        load(&path).map_err(|error| error.to_string())
    }

    fn with_client(client: &str) -> String {
        format!(
            r#"{{"id":"x","clients":[{client}],"servers":[{{"connections":[{{}}],
                "private_key":0,"certificate":0,"certificate_authority":0}}]}}"#
        )
    }

    fn connect(server: u64, server_connection: u64, client_connection: u64) -> String {
        with_client(&format!(
            r#"{{"connections":[{{}}],"scenario":[{{"scope":{{"threads":[[{{"connect":{{"server_id":{server},
                "server_connection_id":{server_connection},"client_connection_id":{client_connection}}}}}]]}}}}]}}"#
        ))
    }

    fn with_op(op: &str) -> String {
        with_client(&format!(r#"{{"scenario":[],"connections":[{{"ops":[{op}]}}]}}"#))
    }

    #[test]
    fn what_the_library_would_panic_at_is_an_error_that_names_it() {
        for (text, expected) in [
            ("", "cannot read the scenario"),
            (r#"{"id":"x","clients":[],"servers":[]}"#, "it has no clients"),
            (&connect(1, 0, 0), "client 0 connects to server 1, but there are 1"),
            (&connect(0, 7, 0), "client 0 plays, at server 0, connection 7, but there are 1"),
            (&connect(0, 0, u64::MAX), "plays its own connection 18446744073709551615"),
            (
                &with_client(
                    r#"{"connections":[],"scenario":[{"sleep":{"timeout_ms":18446744073709551615}}]}"#,
                ),
                "client 0 has a time of",
            ),
            (&with_op(r#"{"sleep":{"amount_ms":18446744073709551615}}"#), "connection 0 has a time of"),
            (
                &with_op(
                    r#"{"profile":{"trace_id":0,"operations":[{"send_rate":{"stream_id":0,"bytes":0,"period_ms":5}}]}}"#,
                ),
                "has a rate of 0 bytes",
            ),
        ] {
            let error = load_text(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("scenario.json"), "{error}");
        }
        load_text(&connect(0, 0, 0)).unwrap();
    }

    #[test]
    fn an_entry_that_does_not_exist_is_named() {
        let scenario = load_text(&connect(0, 0, 0)).unwrap();
        let error = select(&scenario.clients, 3, "CLIENT_ID", Path::new("s.json")).unwrap_err().to_string();
        assert!(error.contains("CLIENT_ID is 3") && error.contains("1 entries"), "{error}");
    }

    #[test]
    fn every_script_ends_with_a_sleep_of_no_time() {
        let scenario = load_text(&with_op(r#"{"send":{"stream_id":0,"bytes":1}}"#)).unwrap();
        let ops = &scenario.clients[0].connections[0].ops;
        assert_eq!(ops.len(), 2);
        assert_eq!(ops.last(), Some(&op::Connection::Sleep { amount: Duration::ZERO }));
    }

    #[test]
    fn the_script_decides_what_an_early_end_means() {
        let policy = |ops: &str| {
            let scenario = load_text(&with_op(ops)).unwrap();
            AfterPeerEnd::of(&scenario.clients[0].connections[0])
        };
        let rate = r#"{"receive_rate":{"stream_id":0,"bytes":1,"period_ms":1}}"#;
        let all = r#"{"receive_all":{"stream_id":0}}"#;
        let timed =
            r#"{"scope":{"threads":[[{"iterate":{"value":{"time":{"amount_ms":1}},"operations":[]}}]]}}"#;
        assert_eq!(policy(rate), AfterPeerEnd::Fail);
        assert_eq!(policy(all), AfterPeerEnd::Fail);
        assert_eq!(policy(timed), AfterPeerEnd::AwaitTimer);
        assert_eq!(policy(&format!("{timed},{all}")), AfterPeerEnd::AwaitTimer);
        assert_eq!(policy(&format!("{rate},{all}")), AfterPeerEnd::End);
        assert_eq!(policy(&format!("{rate},{timed}")), AfterPeerEnd::End);
    }
}
