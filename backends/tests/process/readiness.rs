//! When a server counts as listening.

use crate::roles::{Role, own_path};
use crate::support::{Bench, end_of, eventually, write_file};
use backends::process::{Launch, Listen, Process};
use russula_proto::{Exit, StartFailure};
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// A port that is free by TCP and UDP, on a loopback address that only one test uses.
///
/// It may remain taken for a moment: what this process had open is also open in a child that another test has just
/// forked, until that child executes its program.
fn free_port(ip: &str) -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((ip, 0)).expect("a free port");
        let address = tcp.local_addr().expect("bound");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn server_launch(bench: &Bench, transport: &'static str, address: SocketAddr, bound: &str) -> Launch {
    let bound = format!("{bound}:{}", address.port());
    let mut launch = bench.role(&Role::Server { transport, address: bound, go: bench.path("go") });
    launch.listen = Some(Listen { address: address.ip(), port: address.port(), may_bind_everywhere: false });
    launch
}

fn server(bench: &Bench, transport: &'static str, address: SocketAddr, bound: &str) -> Process {
    spawn_when_free(bench, &server_launch(bench, transport, address, bound))
}

fn spawn_when_free(bench: &Bench, launch: &Launch) -> Process {
    let mut process = None;
    eventually("the port is free", || {
        process = match Process::spawn(launch, &bench.guard()) {
            Ok(process) => Some(process),
            Err(StartFailure::PortInUse { .. }) => None,
            Err(other) => panic!("{other}"),
        };
        process.is_some()
    });
    process.expect("spawned")
}

fn listens(process: &Process) -> bool {
    process.is_listening().expect("/proc can be read")
}

#[test]
fn a_server_listens_once_it_has_bound_its_port() {
    for (transport, ip, bound) in [
        ("tcp", "127.1.0.1", "127.1.0.1"),
        ("tcp", "127.1.0.2", "0.0.0.0"),
        ("tcp", "127.1.0.3", "[::]"),
        ("udp", "127.1.0.4", "127.1.0.4"),
        ("udp", "127.1.0.5", "0.0.0.0"),
        ("udp", "127.1.0.6", "[::]"),
    ] {
        let bench = Bench::new();
        let mut process = server(&bench, transport, free_port(ip), bound);
        assert!(!listens(&process), "{transport} {bound}: nothing is bound yet");
        write_file(&bench.path("go"), "");
        eventually(&format!("{transport} {bound}: the port is bound"), || listens(&process));
        process.kill().expect("killed");
        end_of(&mut process);
        assert!(!listens(&process));
    }
}

#[test]
fn the_port_is_free_again_once_a_server_is_reaped() {
    let address = free_port("127.1.0.7");
    let bench = Bench::new();
    let launch = server_launch(&bench, "tcp", address, "127.1.0.7");
    let mut process = spawn_when_free(&bench, &launch);
    for _ in 0..5 {
        write_file(&bench.path("go"), "");
        eventually("the port is bound", || listens(&process));
        process.terminate().expect("terminated");
        assert_eq!(end_of(&mut process).exit, Exit::Signal(15));
        // Refused if the port of the one before is still held.
        process = bench.spawn(&launch);
    }
}

#[test]
fn a_server_that_the_driver_started_counts() {
    let bench = Bench::new();
    let address = free_port("127.1.0.8");
    write_file(&bench.path("go"), "");
    let mut launch = bench.shell(r#""$PROGRAM" --exact role --nocapture & wait"#);
    launch.env.push(("PROGRAM".into(), own_path().to_str().expect("UTF-8").into()));
    launch
        .env
        .extend(Role::Server { transport: "tcp", address: address.to_string(), go: bench.path("go") }.env());
    launch.listen = Some(Listen { address: address.ip(), port: address.port(), may_bind_everywhere: false });
    let mut process = spawn_when_free(&bench, &launch);
    eventually("the port is bound", || listens(&process));
    process.kill().expect("killed");
    end_of(&mut process);
    // What was not a child of this process has ended as well, and so the port is free.
    drop(TcpListener::bind(address).expect("the port is free"));
}

#[test]
fn the_socket_of_a_stranger_does_not_count() {
    let bench = Bench::new();
    let address = free_port("127.1.0.9");
    let process = server(&bench, "tcp", address, "127.1.0.9");
    let mut stranger = None;
    eventually("the stranger has bound the port", || {
        stranger = TcpListener::bind(address).ok();
        stranger.is_some()
    });
    assert!(!listens(&process));
}

#[test]
fn another_address_does_not_count() {
    let bench = Bench::new();
    let address = free_port("127.1.0.10");
    write_file(&bench.path("go"), "");
    let process = server(&bench, "tcp", address, "127.1.0.11");
    eventually("the driver listens elsewhere", || bench.path("go.bound").exists());
    assert!(!listens(&process));
}

#[test]
fn a_client_never_listens() {
    let bench = Bench::new();
    let process = bench.spawn(&bench.shell("sleep 1000"));
    assert!(!listens(&process));
}
