//! What a worker does not put up with: another run's coordinator, a port that is taken, strangers.

use crate::drivers;
use crate::support::{
    Site, Worker, add_group, config, coordinate, eventually, failure_of, while_nothing_starts,
};
use backends::tcp::{Coordinators, GroupId, Notice};
use russula_proto::coordinator::Event;
use russula_proto::{Ending, Failure, Group, LinkError, Milestone, PeerError, StartFailure};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What is to happen before this passes has happened before it begins.
const READY_LIMIT: Duration = Duration::from_millis(500);

/// A group of servers with one worker, which will never be ready for it.
fn add_impatient(coordinators: &mut Coordinators, run: &str, worker: &Worker) -> GroupId {
    let mut config = config(run, Group::Server, &[worker]);
    config.limits.ready = READY_LIMIT;
    coordinators.add(config, vec![worker.address])
}

#[test]
fn another_runs_coordinator_does_not_get_in_and_both_sides_say_what_has_to_be_the_same() {
    let site = Site::new();
    let worker = site.server(0, &drivers::server(), &["--run", "monday"]);
    let mut coordinators = Coordinators::new().expect("a poll");
    let group = add_impatient(&mut coordinators, "tuesday", &worker);
    coordinators.begin(group, 1, 0);
    let is_refused = Event::Disconnected(0, PeerError::Protocol(LinkError::HandshakeEnded));
    eventually("the worker closes the connection", || {
        let notice = coordinators.wait(Some(Duration::from_secs(1))).expect("a poll");
        notice == Some(Notice::Event(group, is_refused.clone()))
    });
    let failure = failure_of(coordinators.run_till(group, Milestone::Ready));
    assert_eq!(
        failure.to_string(),
        "the deadline 'workers ready' passed after 0.5 s: waiting for worker 0 (it closed the connection during the \
         handshake: key, run, group, index and version must be the same on both sides)"
    );
    worker.wait_for_log("the handshake does not verify: key, run, group, index and version");
    // The worker still waits for its own.
    let mut own = Coordinators::new().expect("a poll");
    let group = add_group(&mut own, "monday", Group::Server, &[&worker]);
    own.begin(group, 1, 0);
    own.run_till(group, Milestone::WorkersRunning).expect("it runs");
}

#[test]
fn a_client_is_no_server() {
    let site = Site::new();
    let worker = site.client(&drivers::client(), &[]);
    let mut coordinators = Coordinators::new().expect("a poll");
    let group = add_impatient(&mut coordinators, "manual", &worker);
    coordinators.begin(group, 1, 0);
    let failure = failure_of(coordinators.run_till(group, Milestone::Ready));
    assert!(failure.is_deadline(), "{failure}");
}

#[test]
fn a_port_in_use_is_named_with_its_holder() {
    a_port_in_use_at("127.0.0.1");
}

/// A driver of netbench would bind `[::]`, and fail there.
#[test]
fn a_port_in_use_at_another_address_of_the_host_is_named_with_its_holder() {
    a_port_in_use_at("127.0.0.7");
}

fn a_port_in_use_at(address: &str) {
    let site = Site::new();
    let holder = TcpListener::bind((address, site.port(0))).expect("it was free");
    let worker = site.server(0, &drivers::server(), &[]);
    let (mut coordinators, group) = coordinate(Group::Server, &[&worker]);
    let failure = failure_of(coordinators.run_till(group, Milestone::WorkersRunning));
    let Failure::Worker { index: 0, ending: Ending::StartFailed(StartFailure::PortInUse { port, detail }) } =
        failure
    else {
        panic!("{failure}");
    };
    assert_eq!(port, site.port(0));
    assert!(detail.as_str().contains(&format!("process {} (", std::process::id())), "{detail}");
    assert!(worker.log().contains("is in use before the program is started"), "{}", worker.log());
    // Once it is free, the same worker goes on.
    while_nothing_starts(|| drop(holder));
    coordinators.begin(group, 2, 0);
    coordinators.run_till(group, Milestone::WorkersRunning).expect("it runs");
}

#[test]
fn strangers_on_the_control_port_change_nothing() {
    let site = Site::new();
    let worker = site.server(0, &drivers::server(), &[]);
    let before: Vec<TcpStream> = strangers(&worker);
    let (mut coordinators, group) = coordinate(Group::Server, &[&worker]);
    coordinators.run_till(group, Milestone::WorkersRunning).expect("it runs");
    let driver = worker.driver();
    let during = strangers(&worker);
    // Who talks without being a coordinator gets the door.
    for mut stranger in during.into_iter().skip(1) {
        let mut heard = Vec::new();
        // Whether it is closed or reset, it ends.
        let _ = stranger.read_to_end(&mut heard);
        assert_eq!(heard, b"", "a stranger gets no answer");
    }
    assert_eq!(worker.driver(), driver, "the driver runs on");
    coordinators.run_till(group, Milestone::Done).expect("it is stopped");
    let log = worker.log();
    assert_eq!(log.matches("coordinator attached").count(), 1, "{log}");
    drop(before);
}

/// Connections that are not a coordinator's; the first of them says nothing.
fn strangers(worker: &Worker) -> Vec<TcpStream> {
    let connect = || TcpStream::connect(worker.address).expect("the worker listens");
    drop(connect());
    let silent = connect();
    let talkers: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n",
        &[0xff; 64],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    let talk = |bytes: &&[u8]| {
        let mut stream = connect();
        // The worker may have closed it already.
        let _ = stream.write_all(bytes);
        stream
    };
    std::iter::once(silent).chain(talkers.iter().map(talk)).collect()
}
