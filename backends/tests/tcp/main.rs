//! Coordinators and workers over real loopback sockets.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod proxy;
mod two_groups;

mod broken_paths;
mod capture;
mod floods;
mod impostors;
mod quiet_window;
mod readiness;
mod resume;
mod strangers;
mod takeover;
mod wakeups;
mod workflows;

use backends::tcp::{Coordinators, GroupId, Notice};
use common::{NoOp, PATIENCE, Workers, coordinator_config};
use russula_proto::coordinator::Event;
use russula_proto::worker::Finish;
use russula_proto::{Coordinator, Ending, Group, Milestone};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

/// A coordinator of the workers at `addresses`, with the limits of the tests.
fn coordinate(group: Group, addresses: Vec<SocketAddr>) -> (Coordinators, GroupId) {
    let count = u16::try_from(addresses.len()).unwrap();
    let mut coordinators = Coordinators::new().unwrap();
    let id = coordinators.add(coordinator_config(group, count), addresses);
    (coordinators, id)
}

/// One repetition, milestone by milestone, to an end in which nothing went wrong.
fn run_repetition(coordinators: &mut Coordinators, id: GroupId, repetition: u32) {
    coordinators.with(id, |coordinator, now| coordinator.begin(repetition, 0, now));
    for milestone in Milestone::ALL {
        coordinators.run_till(id, milestone).unwrap();
    }
    assert_usual_endings(coordinators, id, 0);
}

/// Every worker's program has run and ended as a no-op does.
fn assert_usual_endings(coordinators: &Coordinators, id: GroupId, stderr_tail_len: usize) {
    assert_usual_endings_of(coordinators.get(id), stderr_tail_len);
}

fn assert_usual_endings_of(coordinator: &Coordinator, stderr_tail_len: usize) {
    let outcome = NoOp::usual_outcome(coordinator.group(), stderr_tail_len);
    let expected = match coordinator.group() {
        Group::Server | Group::Probe => Ending::Stopped(outcome),
        Group::Client => Ending::Exited(outcome),
    };
    for (index, peer) in coordinator.peers().enumerate() {
        assert_eq!(peer.ending, Some(&expected), "worker {index}");
    }
}

/// Serves the connections until an event of `id` is `wanted`, for at most [`PATIENCE`].
fn wait_for(coordinators: &mut Coordinators, id: GroupId, what: &str, wanted: impl Fn(&Event) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        assert!(left > Duration::ZERO, "'{what}' took longer than {PATIENCE:?}");
        if let Some(Notice::Event(group, event)) = coordinators.wait(Some(left)).unwrap()
            && group == id
            && wanted(&event)
        {
            return;
        }
    }
}

/// Waits until the log of worker 0 is as `condition` wants it.
fn wait_for_log(workers: &Workers, what: &str, condition: impl Fn(&str) -> bool) {
    let start = Instant::now();
    while !condition(&workers.log(0)) {
        assert!(start.elapsed() < PATIENCE, "'{what}' took longer than {PATIENCE:?}:\n{}", workers.log(0));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the run; every worker hears it.
fn finish(mut coordinators: Coordinators, workers: &Workers) {
    coordinators.finish().unwrap();
    assert!(workers.join().into_iter().all(|why| why == Finish::RunOver));
}

/// A port of the kernel's choice that refuses connections until somebody listens there.
///
/// The socket is bound and does not listen, so nobody else is given the port; with `SO_REUSEADDR` on both,
/// a worker can bind it as well.
fn reserve_port() -> (OwnedFd, SocketAddr) {
    let reserved = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&reserved, true).unwrap();
    bind(&reserved, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddr::try_from(getsockname(&reserved).unwrap()).unwrap();
    (reserved, address)
}
