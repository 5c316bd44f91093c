//! What a worker costs its coordinator in memory. In a process of its own, since the whole of it is measured.
#![cfg(target_os = "linux")]

mod by_hand;

use by_hand::{MEMORY, NOW, Peer, coordinator_config, drain, exited, report, welcome};
use russula_proto::wire::Position;
use russula_proto::{Coordinator, Group, Text};
use std::time::Duration;

/// Most of the coordinator's memory for one worker, in bytes.
const WORKER_BYTES_MAX: usize = 8 * 1024;

/// The whole process, so nothing is forgotten: each worker is connected, its driver has filled stderr, and its last
/// error is as long as it can be.
#[test]
fn memory_of_a_worker() {
    const WORKERS: u16 = 1000;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages: usize = status.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("the second field");
        pages * 4096
    };
    let mut coordinator = Coordinator::new(coordinator_config(Group::Client, WORKERS), NOW);
    coordinator.begin(1, 0, NOW);
    drain(&mut coordinator);
    let before = resident();
    for index in 0..usize::from(WORKERS) {
        coordinator.handle_connection_failed(index, &"x".repeat(1024), NOW);
    }
    coordinator.handle_timeout(NOW + Duration::from_secs(1));
    drain(&mut coordinator);
    for index in 0..usize::from(WORKERS) {
        let mut worker = Peer::accept(&mut coordinator, index, NOW);
        worker.say(&mut coordinator, &welcome(MEMORY), NOW);
        worker.say(&mut coordinator, &report(1, Position::Ended(exited(4096))), NOW);
        worker.hear(&mut coordinator, NOW);
    }
    let is_full = |index: usize| {
        let peer = coordinator.peer(index);
        let stderr = peer.ending.and_then(|ending| ending.outcome()).map(|outcome| &outcome.stderr_tail);
        peer.is_connected && stderr.map(Text::as_str).map(str::len) == Some(4096)
    };
    assert!((0..usize::from(WORKERS)).all(is_full));
    let each = resident().saturating_sub(before) / usize::from(WORKERS);
    println!("memory of a coordinator for a worker: {each} bytes");
    assert!((4096..=WORKER_BYTES_MAX).contains(&each), "{each} bytes");
}
