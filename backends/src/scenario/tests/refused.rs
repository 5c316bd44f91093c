//! What users are told about files that are no scenario.

use super::*;
use std::fs;

/// A small scenario with a little of everything, in which the cases below replace one text by another.
const GOOD: &str = r#"{"id": "x",
 "clients": [{"name": "c", "scenario": [
    {"sleep": {"timeout_ms": 1}},
    {"scope": {"threads": [[{"connect": {"server_id": 1, "server_connection_id": 0, "client_connection_id": 0}}]]}}],
  "connections": [{"ops": [
    {"open_bidirectional_stream": {"stream_id": 0}},
    {"send_rate": {"stream_id": 0, "bytes": 100, "period_ms": 5}},
    {"iterate": {"value": {"count": {"amount": 3}}, "trace_id": 0, "operations": [
      {"scope": {"threads": [[{"trace": {"trace_id": 0}}, {"send": {"stream_id": 0, "bytes": 9}}]]}}]}}],
   "peer_streams": [[{"park": {"checkpoint": 4}}]]}],
  "certificate_authorities": [2]}],
 "servers": [
  {"connections": [], "private_key": 0, "certificate": 1, "certificate_authority": 2},
  {"connections": [{}], "private_key": 0, "certificate": 1, "certificate_authority": 2}],
 "routers": [{"scenario": []}],
 "traces": ["t"],
 "certificates": [{"pem": "a"}, {"pem": "b"}, {"pem": "c"}]}"#;

fn message(json: &str) -> String {
    match Scenario::from_json(Path::new("x.json"), json.as_bytes()) {
        Ok(_) => String::from("accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_that_are_no_scenario_at_all() {
    let cases = [
        ("", "the file is empty, a netbench scenario in JSON was expected"),
        (" \n\t", "the file is empty, a netbench scenario in JSON was expected"),
        ("hello", "not JSON: expected value at line 1 column 1"),
        ("{\"id\": \"x\",\n \"clients\": oops}", "not JSON: expected value at line 2 column 13"),
        ("{\"id\": \"x\", ", "the JSON ends too early, at line 1 column 12; the file seems to be cut off"),
        (
            "[1, 2]",
            "JSON, but no netbench scenario: found an array, expected an object with the keys id, clients and servers",
        ),
        (
            "7",
            "JSON, but no netbench scenario: found a number, expected an object with the keys id, clients and servers",
        ),
        ("{}", "JSON, but no netbench scenario: the key \"id\" is missing in the file"),
        (
            r#"{"id": "x", "clients": [], "extra": 1}"#,
            "JSON, but no netbench scenario: the key \"servers\" is missing in the file",
        ),
        (
            r#"{"id": "x", "clients": [], "servers": []}"#,
            "there are no clients; a run needs at least one client and one server",
        ),
        (
            r#"{"id": "x", "clients": [{"scenario": [], "connections": []}], "servers": []}"#,
            "there are no servers; a run needs at least one client and one server",
        ),
        (
            r#"{"id": "x", "clients": 3, "servers": []}"#,
            "JSON, but no netbench scenario: the file: invalid type: integer `3`, expected a sequence",
        ),
        (
            r#"{"id": "x", "id": "y", "clients": [], "servers": []}"#,
            "JSON, but no netbench scenario: the file: duplicate field `id` at line 1 column 16",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(message(json), format!("scenario x.json: {expected}"), "{json}");
    }
}

#[test]
fn scenarios_with_one_thing_wrong() {
    assert_eq!(message(GOOD), "accepted");
    let cases = [
        (
            r#""server_id": 1"#,
            r#""server_id": 2"#,
            "clients[0].scenario[1].scope.threads[0][0].connect.server_id: \
             there is no server 2, only 0 to 1",
        ),
        (
            r#""server_id": 1"#,
            r#""server_id": 0"#,
            "clients[0].scenario[1].scope.threads[0][0].connect.server_connection_id: \
             there is no connection 0 at that server, nor any other",
        ),
        (
            r#""client_connection_id": 0"#,
            r#""client_connection_id": 18446744073709551615"#,
            "clients[0].scenario[1].scope.threads[0][0].connect.client_connection_id: \
             there is no connection 18446744073709551615 at this client, only 0",
        ),
        (
            r#""server_id": 1"#,
            r#""router_id": 1, "server_id": 1"#,
            "clients[0].scenario[1].scope.threads[0][0].connect.router_id: there is no router 1, only 0",
        ),
        (
            r#""server_id": 1"#,
            r#""router_id": 0, "server_id": 1"#,
            "clients[0].scenario[1].scope.threads[0][0].connect.router_id: connects through router 0, \
             but routers are not supported yet; remove \"router_id\" to connect directly",
        ),
        (
            r#""private_key": 0, "certificate": 1, "certificate_authority": 2}]"#,
            r#""private_key": 0, "certificate": 3, "certificate_authority": 2}]"#,
            "servers[1].certificate: there is no certificate 3, only 0 to 2",
        ),
        (
            r#""certificate_authorities": [2]"#,
            r#""certificate_authorities": [2, 9]"#,
            "clients[0].certificate_authorities[1]: there is no certificate 9, only 0 to 2",
        ),
    ];
    check_replacements(&cases);
}

#[test]
fn scenarios_that_netbench_would_not_understand() {
    const NO: &str = "JSON, but no netbench scenario: ";
    let cases = [
        (r#""connections": [], "#, "", &*format!("{NO}the key \"connections\" is missing in servers[0]")),
        (
            r#""scenario": [
    {"sleep""#,
            r#""script": [
    {"sleep""#,
            &format!("{NO}the key \"scenario\" is missing in clients[0]"),
        ),
        (
            r#"{"trace": {"trace_id": 0}}"#,
            r#"{"teleport": {}}"#,
            "clients[0].connections[0].ops[2].iterate.operations[0].scope.threads[0][0]: \
             unknown operation \"teleport\", expected one of sleep, open_bidirectional_stream, open_send_stream, \
             send, send_finish, send_rate, receive, receive_all, receive_finish, receive_rate, park, unpark, trace, \
             profile, iterate, scope",
        ),
        (
            r#"{"sleep": {"timeout_ms": 1}}"#,
            r#""pause""#,
            "clients[0].scenario[0]: unknown operation \"pause\", \
             expected one of sleep, connect, park, unpark, trace, scope",
        ),
        (
            r#"{"park": {"checkpoint": 4}}"#,
            r#"{"park": {}}"#,
            &format!("{NO}clients[0].connections[0].peer_streams[0][0].park: missing field `checkpoint`"),
        ),
        (
            r#""bytes": 9"#,
            r#""bytes": -9"#,
            &format!(
                "{NO}clients[0].connections[0].ops[2].iterate.operations[0].scope.threads[0][1].send: \
                 invalid value: integer `-9`, expected u64"
            ),
        ),
        (
            r#""period_ms": 5"#,
            r#""period_ms": "5s""#,
            &format!(
                "{NO}clients[0].connections[0].ops[1].send_rate: invalid type: string \"5s\", expected u64"
            ),
        ),
        (r#"["t"]"#, r#"[1]"#, &format!("{NO}the file: invalid type: integer `1`, expected a string")),
    ];
    check_replacements(&cases);
}

/// In the words of the file, not in those of the parser.
#[test]
fn operations_in_another_form() {
    const ITERATE: &str = "JSON, but no netbench scenario: clients[0].connections[0].ops[2].iterate";
    const TIMES: &str = r#"expected {"count": {"amount": N}} or {"time": {"amount_ms": N}}"#;
    let times = r#""value": {"count": {"amount": 3}}"#;
    let cases = [
        (times, r#""value": {"count": 40}"#, &*format!("{ITERATE}.value.count: found 40, {TIMES}")),
        (times, r#""value": {"time": "5s"}"#, &format!("{ITERATE}.value.time: found a string, {TIMES}")),
        (times, r#""value": 40"#, &format!("{ITERATE}.value: found 40, {TIMES}")),
        (times, r#""value": null"#, &format!("{ITERATE}.value: found null, {TIMES}")),
        (times, r#""value": {}"#, &format!("{ITERATE}.value: found an object, {TIMES}")),
        (times, r#""value": {"loops": 3}"#, &format!("{ITERATE}.value: found the key \"loops\", {TIMES}")),
        (times, r#""value": {"count": {}}"#, &format!("{ITERATE}: missing field `amount`")),
        (times, r#""times": 3"#, &format!("{ITERATE}: missing field `value`")),
        (
            r#"{"trace": {"trace_id": 0}}"#,
            r#"{"scope": 7}"#,
            &format!(
                "{ITERATE}.operations[0].scope.threads[0][0].scope: \
                 found 7, expected an object, as in {{\"scope\": {{...}}}}"
            ),
        ),
        (
            r#"{"trace": {"trace_id": 0}}"#,
            "7",
            &format!(
                "{ITERATE}.operations[0].scope.threads[0][0]: found 7, expected an operation, one of sleep, \
                 open_bidirectional_stream, open_send_stream, send, send_finish, send_rate, receive, receive_all, \
                 receive_finish, receive_rate, park, unpark, trace, profile, iterate, scope as the only key of an object"
            ),
        ),
    ];
    check_replacements(&cases);
}

fn check_replacements(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(GOOD.matches(from).count(), 1, "{from} has to stand exactly once in the good scenario");
        assert_eq!(message(&GOOD.replace(from, to)), format!("scenario x.json: {expected}"));
    }
}

#[test]
fn certificates_matter_only_where_there_are_some() {
    let none = GOOD
        .replace(r#""certificates": [{"pem": "a"}, {"pem": "b"}, {"pem": "c"}]"#, r#""certificates": []"#);
    assert_ne!(none, GOOD);
    assert_eq!(message(&none), "accepted");
}

#[test]
fn too_many_hosts() {
    let server = r#"{"connections": [], "private_key": 0, "certificate": 0, "certificate_authority": 0}"#;
    let with = |count: usize| {
        let servers = vec![server; count].join(",");
        message(&format!(
            r#"{{"id": "x", "clients": [{{"scenario": [], "connections": []}}], "servers": [{servers}]}}"#
        ))
    };
    assert_eq!(with(MAX_HOSTS_PER_GROUP), "accepted");
    assert_eq!(with(1001), "scenario x.json: there are 1001 servers, at most 1000 are supported");
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let error = Scenario::load(path).expect_err("no scenario").to_string();
        error.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(message(dir.path()), "scenario FILE: this is a directory, a scenario is a JSON file");
    assert_eq!(
        message(&dir.path().join("none.json")),
        "scenario FILE: no such file; give the path of a netbench scenario, \
         for instance one that s2n-netbench-scenarios wrote"
    );
    assert_eq!(
        message(Path::new("/dev/null")),
        "scenario FILE: this is a pipe, socket or device, a scenario is a JSON file"
    );

    let huge = dir.path().join("huge.json");
    fs::File::create(&huge).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert_eq!(
        message(&huge),
        "scenario FILE: the file has 268435457 bytes, at most 268435456 are allowed; is this really a scenario?"
    );

    let below_a_file = huge.join("x.json");
    assert!(
        message(&below_a_file).starts_with("scenario FILE: the file cannot be read ("),
        "{below_a_file:?}"
    );
}

/// Whatever is cut off or changed: an answer, and one line of it.
#[test]
fn damaged_files_never_panic() {
    for length in 0..GOOD.len() {
        assert_ne!(message(&GOOD[..length]), "accepted", "cut off after {length} bytes");
    }
    for position in 0..GOOD.len() {
        for byte in *b"\0\"[]{}:,9-z\xff" {
            let mut json = GOOD.as_bytes().to_vec();
            json[position] = byte;
            if let Err(error) = Scenario::from_json(Path::new("x.json"), &json) {
                let text = error.to_string();
                assert!(!text.contains('\n'), "{text:?}");
            }
        }
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| {
        let ops = r#"{"scope": {"threads": [["#.repeat(depth) + &"]]}}".repeat(depth);
        message(&GOOD.replace(r#"{"trace": {"trace_id": 0}}"#, &ops))
    };
    assert_eq!(nested(20), "accepted");
    assert!(nested(10_000).starts_with("scenario x.json: not JSON: recursion limit exceeded at line "));
}
