//! What an event costs a coordinator, and a stranger a worker. Memory is measured in `memory.rs`.
#![cfg(target_os = "linux")]

mod by_hand;

use by_hand::{MEMORY, NOW, Peer, coordinator_config, drain, report, welcome};
use russula_proto::wire::Position;
use russula_proto::{Coordinator, Group, Milestone, worker};
use std::time::Duration;

/// A coordinator of `workers` workers whose first `connected` are connected and have run.
fn coordinator(workers: u16, connected: usize) -> (Coordinator, Vec<Peer<Coordinator>>) {
    let mut coordinator = Coordinator::new(coordinator_config(Group::Client, workers), NOW);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    let peers = (0..connected).map(|index| {
        let mut worker = Peer::accept(&mut coordinator, index, NOW);
        worker.say(&mut coordinator, &welcome(MEMORY), NOW);
        worker.say(&mut coordinator, &report(1, Position::Running), NOW);
        worker.hear(&mut coordinator, NOW);
        drain(&mut coordinator);
        worker
    });
    let peers = peers.collect();
    (coordinator, peers)
}

/// Enough for the kernel's count of processor time, which moves by a few milliseconds.
const EVENTS: u32 = 200_000;

/// The processor time of this thread: unlike the time of day it does not go on while others have the processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel tells it");
    let nanoseconds = text.split(' ').next().expect("the first of three fields");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

/// An event of one worker takes as long in a group of ten as in one of thousands.
#[test]
fn an_event_costs_the_same_in_a_group_of_any_size() {
    let time = |workers| {
        let (mut coordinator, mut peers) = coordinator(workers, 2);
        let events = |coordinator: &mut Coordinator, peer: &mut Peer<Coordinator>| {
            let begin = processor_time();
            for _ in 0..EVENTS {
                peer.say(coordinator, &report(1, Position::Running), NOW);
                coordinator.handle_timeout(NOW);
                drain(coordinator);
            }
            processor_time() - begin
        };
        // The best of several, so that what else is in the caches of this machine does not count.
        (0..5).map(|_| events(&mut coordinator, &mut peers[1])).min().expect("five of them")
    };
    let (few, many) = (time(10), time(20_000));
    println!("{EVENTS} events: {few:?} with 10 workers, {many:?} with 20,000");
    assert!(many < few * 3, "{few:?} with 10 workers, {many:?} with 20,000");
}

/// Whatever strangers do, a worker holds a bounded number of connections, and of each only a bounded buffer.
#[test]
fn a_worker_holds_no_more_connections_than_its_limit() {
    let mut worker = by_hand::worker(Group::Server);
    let mut open = std::collections::BTreeSet::new();
    for id in 0..1000 {
        let id = russula_proto::ConnectionId(id);
        worker.handle_accepted(id, by_hand::entropy(), NOW);
        open.insert(id);
        worker.handle_bytes(id, &[0; 40], NOW);
        for output in by_hand::asks(&mut worker) {
            if let worker::Output::Close(id) = output {
                open.remove(&id);
            }
        }
        assert!(open.len() <= worker::MAX_GREETINGS);
    }
    assert_eq!(worker.rejections().total(), 1000 - worker::MAX_GREETINGS as u64);
}
