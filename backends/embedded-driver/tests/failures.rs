//! What the embedded driver does when something is wrong.
#![cfg(target_os = "linux")]

mod support;

use backends::sock_diag::KernelSockets;
use std::net::Ipv4Addr;
use std::path::Path;
use support::{Driver, LIMIT, eventually, free_port, scenario, start_client, start_server};

#[test]
fn a_peer_that_ends_early_is_an_error_on_the_client_and_no_end_of_the_server() {
    for multiplex in ["false", "true"] {
        let envs = [("MULTIPLEX", multiplex)];
        let server = start_server(Driver::Embedded, &scenario("unequal_scripts"), &envs);
        for _ in 0..2 {
            let client =
                start_client(Driver::Embedded, &scenario("unequal_scripts"), &[server.port], &envs).wait();
            assert_eq!(client.status.code(), Some(1), "{}", client.stderr);
            assert!(client.stderr.contains("the peer closed the connection"), "{}", client.stderr);
            assert_eq!(client.bytes(), (10, 1000));
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

#[test]
fn a_stream_that_the_script_does_not_know_is_an_error_and_no_panic() {
    let envs = [("MULTIPLEX", "true")];
    let server = start_server(Driver::Embedded, &scenario("unknown_stream"), &envs);
    let client = start_client(Driver::Embedded, &scenario("unknown_stream"), &[server.port], &envs).wait();
    assert_eq!(client.status.code(), Some(1), "{}", client.stderr);
    let server = server.stop();
    assert_eq!(server.status.code(), Some(0));
    assert!(server.stderr.contains("the peer opened stream 5, but the script has 1"), "{}", server.stderr);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = free_port();
    let client = start_client(Driver::Embedded, &scenario("single_stream"), &[port], &[]).wait();
    assert_eq!(client.status.code(), Some(1));
    assert!(
        client.stderr.contains(&format!("cannot connect to server 0 at 127.0.0.1:{port}")),
        "{}",
        client.stderr
    );
}

#[test]
fn a_server_that_is_not_told_is_named() {
    let client = start_client(Driver::Embedded, &scenario("two_servers"), &[1], &[]).wait();
    assert_eq!(client.status.code(), Some(1));
    assert!(client.stderr.contains("SERVER_1"), "{}", client.stderr);
}

#[test]
fn a_role_or_a_file_that_does_not_exist_is_an_error_and_no_panic() {
    for (file, envs, expected) in [
        (scenario("single_stream"), ("CLIENT_ID", "1"), "CLIENT_ID is 1"),
        (Path::new("/nonexistent.json").to_owned(), ("CLIENT_ID", "0"), "/nonexistent.json"),
        (scenario("single_stream"), ("LOCAL_IP", "::1"), "one is IPv4 and the other IPv6"),
    ] {
        let client = start_client(Driver::Embedded, &file, &[1], &[envs]).wait();
        assert_eq!(client.status.code(), Some(1));
        assert!(
            client.stderr.starts_with("error: ") && client.stderr.contains(expected),
            "{}",
            client.stderr
        );
    }
}

#[test]
fn a_port_in_use_is_named() {
    let server = start_server(Driver::Embedded, &scenario("single_stream"), &[]);
    let port = server.port.to_string();
    let envs = [("PORT", port.as_str()), ("LOCAL_IP", "127.0.0.1")];
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_s2n-netbench-driver-server-embedded"))
        .arg(scenario("single_stream"))
        .envs(envs)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{stderr}");
}

#[test]
fn a_stranger_does_not_disturb_the_server() {
    use std::io::{Read, Write};
    let server = start_server(Driver::Embedded, &scenario("single_stream"), &[]);
    let address = ("127.0.0.1", server.port);
    let silent = std::net::TcpStream::connect(address).unwrap();
    drop(std::net::TcpStream::connect(address).unwrap());
    let mut http = std::net::TcpStream::connect(address).unwrap();
    http.set_read_timeout(Some(LIMIT)).unwrap();
    http.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // Ends with the end of the stream or a reset, either of which says that the server has given up on it.
    let _ = http.read_to_end(&mut Vec::new());
    let client = start_client(Driver::Embedded, &scenario("single_stream"), &[server.port], &[]).wait();
    assert!(client.status.success(), "{}", client.stderr);
    drop(silent);
    let server = server.stop();
    assert!(server.stderr.contains("the peer asks for script"), "{}", server.stderr);
}

#[test]
fn sigterm_ends_both_sides_with_a_last_line() {
    for interval in ["0", "20"] {
        let envs = [("NETBENCH_SAMPLE_INTERVAL_MS", interval)];
        let server = start_server(Driver::Embedded, &scenario("endless"), &envs);
        let client = start_client(Driver::Embedded, &scenario("endless"), &[server.port], &envs);
        // The server answers the one byte of the client, in pieces of this size.
        eventually("the script runs", || received_bytes(server.port) >= 1000);
        let client = client.stop();
        let server = server.stop();
        assert_eq!((client.status.code(), server.status.code()), (Some(143), Some(0)));
        for ended in [&client, &server] {
            let file = ended.result();
            assert!(!file.truncated && file.totals().sent_bytes.is_some(), "{:?}", file.samples.last());
            assert!(interval != "0" || file.samples.len() == 1);
        }
        assert_eq!(client.bytes().0, 1);
    }
}

/// What the client of the server at this port has received, by the kernel's count.
fn received_bytes(server_port: u16) -> u64 {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel tells it");
    let local = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_the_one = fields[2].ends_with(&format!(":{server_port:04X}")) && fields[3] == ESTABLISHED;
        let (_, port) = fields[1].split_once(':').filter(|_| is_the_one)?;
        u16::from_str_radix(port, 16).ok()
    });
    let Some(port) = local else { return 0 };
    let [client, server] = [port, server_port].map(|port| (Ipv4Addr::LOCALHOST, port).into());
    KernelSockets::open()
        .expect("the kernel answers")
        .counters(client, server)
        .map_or(0, |counters| counters.received_bytes)
}
