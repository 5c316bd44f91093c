//! What is read off scenarios that can be run.

mod refused;

use super::*;
use std::path::PathBuf;

fn fixture(name: &str) -> Scenario {
    Scenario::load(&fixture_path(name)).expect(name)
}

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(name)
}

fn parsed(json: &str) -> Scenario {
    Scenario::from_json(Path::new("x.json"), json.as_bytes()).expect(json)
}

fn transfer(sent_bytes: u64, received_bytes: u64) -> Option<Transfer> {
    Some(Transfer { sent_bytes, received_bytes })
}

/// One client, one server, one connection: the client's side is `client`, the server's side is `server`.
fn one_connection(client: &str, server: &str) -> Scenario {
    parsed(&format!(
        r#"{{"id": "x", "clients": [{{"scenario": [{{"connect":
            {{"server_id": 0, "server_connection_id": 0, "client_connection_id": 0}}}}],
            "connections": [{client}]}}], "servers": [{{"connections": [{server}],
            "private_key": 1, "certificate": 2, "certificate_authority": 0}}]}}"#
    ))
}

#[test]
fn what_generated_scenarios_ask_for() {
    let cases = [
        (
            "request_response_5_servers.json",
            5,
            false,
            transfer(5_000, 50_000_000),
            transfer(10_000_000, 1_000),
        ),
        ("parallel_requests.json", 1, true, transfer(8_000, 8_000_000), transfer(8_000_000, 8_000)),
        ("unblocked_requests.json", 2, true, transfer(12_000, 1_200_000), transfer(600_000, 6_000)),
        ("bulk.json", 1, false, transfer(1, 100_000_000), transfer(100_000_000, 1)),
        ("connect_20.json", 1, false, transfer(20, 20), transfer(20, 20)),
        ("ping.json", 1, false, None, None),
        ("ping_3_streams.json", 1, true, None, None),
    ];
    for (file, servers, multiplex, client, server) in cases {
        let scenario = fixture(file);
        assert_eq!(scenario.clients().len(), 1, "{file}");
        assert_eq!(scenario.servers().len(), servers, "{file}");
        assert_eq!(scenario.needs_multiplex(), multiplex, "{file}");
        assert_eq!(scenario.expected_bytes(0), client, "{file}");
        for index in 0..servers {
            assert_eq!(scenario.server_expected_bytes(index), server, "{file}");
        }
        assert_eq!(scenario.expected_bytes(1), None, "there is no second client");
        assert_eq!(scenario.server_expected_bytes(servers), None);
    }
    assert_eq!(fixture("ping.json").traces(), ["ping 1KB", "pong 1KB"]);
}

#[test]
fn several_clients_and_servers_with_several_connections() {
    let scenario = fixture("two_clients_three_servers.json");
    let names = |hosts: &[Host]| hosts.iter().map(|host| host.name().map(String::from)).collect::<Vec<_>>();
    assert_eq!(names(scenario.clients()), [Some("alpha".into()), Some("beta".into())]);
    assert_eq!(names(scenario.servers()), [Some("first".into()), Some("second".into()), None]);
    assert!(scenario.needs_multiplex(), "beta opens a stream and accepts one on the same connection");
    assert_eq!(scenario.expected_bytes(0), transfer(13_000, 60_002));
    assert_eq!(scenario.expected_bytes(1), transfer(3_101, 67_300));
    assert_eq!(scenario.server_expected_bytes(0), transfer(40_001, 7_000));
    assert_eq!(scenario.server_expected_bytes(1), transfer(27_300, 1_101));
    assert_eq!(scenario.server_expected_bytes(2), transfer(60_001, 8_000));
}

#[test]
fn the_demonstration_is_an_incast_without_multiplexing() {
    let demo = demo();
    assert_eq!(demo.name(), "demo");
    assert_eq!((demo.clients().len(), demo.servers().len()), (1, 4));
    assert!(!demo.needs_multiplex());
    let blocks = 150 * (16_000 + 32_000 + 64_000);
    assert_eq!(demo.expected_bytes(0), transfer(4 * 450 * 1_000, 4 * blocks));
    for server in 0..4 {
        assert_eq!(demo.server_expected_bytes(server), transfer(blocks, 450 * 1_000));
    }
    assert!(demo.traces().iter().any(|name| name == "round 4 x 64KB"), "{:?}", demo.traces());
}

#[test]
fn streams_are_counted_wherever_they_are_opened() {
    const OPEN: &str = r#"{"open_send_stream": {"stream_id": 0}}"#;
    let multiplex = |ops: &str, peers: &str| {
        one_connection(&format!(r#"{{"ops": [{ops}], "peer_streams": [{peers}]}}"#), "{}").needs_multiplex()
    };
    let iterate = |value: &str| format!(r#"{{"iterate": {{"value": {value}, "operations": [{OPEN}]}}}}"#);
    assert!(!multiplex("", ""));
    assert!(!multiplex(OPEN, ""));
    assert!(!multiplex("", "[]"));
    assert!(multiplex(&format!("{OPEN}, {OPEN}"), ""));
    assert!(multiplex(OPEN, "[]"));
    assert!(multiplex("", "[], []"));
    assert!(!multiplex(&iterate(r#"{"count": {"amount": 0}}"#), ""));
    assert!(!multiplex(&iterate(r#"{"count": {"amount": 1}}"#), ""));
    assert!(multiplex(&iterate(r#"{"count": {"amount": 2}}"#), ""));
    assert!(multiplex(&iterate(r#"{"time": {"amount_ms": 10}}"#), ""));
    assert!(multiplex(&format!(r#"{{"scope": {{"threads": [[{OPEN}], [{OPEN}]]}}}}"#), ""));
    let profile = format!(r#"{{"profile": {{"trace_id": 0, "operations": [{OPEN}]}}}}"#);
    assert!(!multiplex(&profile, ""));
    assert!(multiplex(&format!("{profile}, {profile}"), ""));
}

#[test]
fn a_connection_that_nobody_makes_does_not_count() {
    let scenario = parsed(
        r#"{"id": "x", "clients": [{"scenario": [], "connections": [{"peer_streams": [[], []],
            "ops": [{"send": {"stream_id": 0, "bytes": 7}}]}]}], "servers": [{"connections": [],
            "private_key": 0, "certificate": 0, "certificate_authority": 0}]}"#,
    );
    assert!(!scenario.needs_multiplex());
    assert_eq!(scenario.expected_bytes(0), transfer(0, 0));
}

#[test]
fn receiving_all_gets_what_the_peer_sends() {
    let client =
        r#"{"ops": [{"receive": {"stream_id": 0, "bytes": 10}}, {"receive_all": {"stream_id": 0}}]}"#;
    let server = |send: &str| format!(r#"{{"peer_streams": [[{send}]]}}"#);
    let send = r#"{"send": {"stream_id": 0, "bytes": 300}}"#;
    assert_eq!(one_connection(client, &server(send)).expected_bytes(0), transfer(0, 300));
    assert_eq!(one_connection(client, "{}").expected_bytes(0), transfer(0, 0));

    let timed =
        format!(r#"{{"iterate": {{"value": {{"time": {{"amount_ms": 5}}}}, "operations": [{send}]}}}}"#);
    assert_eq!(one_connection(client, &server(&timed)).expected_bytes(0), None);
}

#[test]
fn amounts_that_cannot_be_counted_are_unknown() {
    let iterate = |count: u64| {
        let send = format!(r#"{{"send": {{"stream_id": 0, "bytes": {}}}}}"#, u64::MAX / 4);
        let value = format!(r#"{{"count": {{"amount": {count}}}}}"#);
        let ops = format!(r#"{{"ops": [{{"iterate": {{"value": {value}, "operations": [{send}]}}}}]}}"#);
        one_connection(&ops, "{}").expected_bytes(0)
    };
    assert_eq!(iterate(4), transfer(u64::MAX / 4 * 4, 0));
    assert_eq!(iterate(5), None);
    assert_eq!(iterate(u64::MAX), None);
}

#[test]
fn the_name_is_fit_for_a_directory() {
    let long = format!("{}.json", "n".repeat(100));
    let cases = [
        ("dir/request_response.json", "request_response"),
        ("rück/fahr & karte.v2.json", "fahr---karte.v2"),
        ("noextension", "noextension"),
        (".hidden.json", "hidden"),
        ("--help.json", "help"),
        ("..", "scenario"),
        ("", "scenario"),
        (long.as_str(), &"n".repeat(MAX_NAME_LEN)),
    ];
    for (path, name) in cases {
        let scenario = Scenario::from_json(Path::new(path), DEMO.as_bytes()).expect(path);
        assert_eq!(scenario.name(), name, "{path}");
    }
}
