//! More connections than a worker can be done with, for as long as a run takes: the coordinator gets in, works and
//! gets in again.

use crate::by_hand::ByHand;
use crate::common::{WorkerPlan, Workers, coordinator_config, rejected, within};
use crate::proxy::{Path, Proxy, Strike};
use crate::{coordinate, run_repetition, wait_for, wait_for_log};
use backends::tcp::{Coordinators, GroupId};
use russula_proto::coordinator::Event;
use russula_proto::noise::REQUEST_LEN;
use russula_proto::wire::WorkerMessage;
use russula_proto::worker::MAX_GREETINGS;
use russula_proto::{CoordinatorLimits, Group, Milestone};
use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads that make connections.
const STRANGERS: usize = 3;
/// Connections that each of them keeps open.
const KEPT: usize = 100;

/// Repetitions over a worker that is flooded with connections which say `bytes`, with the coordinator's connection cut
/// in each of them; returns the worker's log.
fn run_in_a_flood(
    name: &str,
    bytes: impl Fn(&Proxy) -> Vec<u8> + Send + 'static,
    repetitions: u32,
) -> String {
    let _alone = alone();
    within(name, move || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let address = workers.addresses()[0];
        let path = Proxy::start(address, Path::sound());
        be_known(&workers, &path);
        let bytes = bytes(&path);
        let (is_over, strangers) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..STRANGERS {
                scope.spawn(|| flood(address, &bytes, &is_over, &strangers));
            }
            while strangers.load(Ordering::SeqCst) < 2 * KEPT as u32 {
                thread::yield_now();
            }
            let _over = SetOnDrop(&is_over);
            work(&path, repetitions);
        });
        assert_eq!(workers.starts(), [repetitions]);
        workers.join();
        println!("{} connections", strangers.load(Ordering::SeqCst));
        workers.log(0)
    })
}

/// One flood at a time is as much as a machine with few cores is to bear: its coordinator has to get in.
fn alone() -> MutexGuard<'static, ()> {
    static FLOOD: Mutex<()> = Mutex::new(());
    FLOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells that the flood is over, also when the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A coordinator of an earlier run has worked with the worker, so that there is something to have listened to.
fn be_known(workers: &Workers, path: &Proxy) {
    let (mut earlier, id) = coordinate(Group::Server, vec![path.address]);
    wait_for(&mut earlier, id, "a welcome", |event| *event == Event::Connected(0));
    drop(earlier);
    wait_for_log(workers, "the first coordinator is gone", |log| log.contains("coordinator gone"));
}

/// Connects again and again, says `bytes`, and keeps the newest connections open.
fn flood(address: SocketAddr, bytes: &[u8], is_over: &AtomicBool, strangers: &AtomicU32) {
    let mut kept = VecDeque::new();
    while !is_over.load(Ordering::SeqCst) {
        // The kernel may run out of ports or of room in the queue; that is a flood as well.
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            // The worker may have closed it already.
            let _ = stream.write_all(bytes);
            kept.push_back(stream);
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        strangers.fetch_add(1, Ordering::SeqCst);
    }
}

/// A coordinator that has the time to get in. How often it is evicted before it does is up to the machine: it has to be
/// heard before [`MAX_GREETINGS`] more strangers are.
fn persistent(address: SocketAddr) -> (Coordinators, GroupId) {
    let limit = Duration::from_secs(60);
    let mut config = coordinator_config(Group::Server, 1);
    config.limits = CoordinatorLimits {
        reconnect: limit,
        ready: limit,
        start: limit,
        run: limit,
        stop: limit,
        ..config.limits
    };
    let mut coordinators = Coordinators::new().unwrap();
    let id = coordinators.add(config, vec![address]);
    (coordinators, id)
}

fn work(path: &Proxy, repetitions: u32) {
    let (mut coordinators, id) = persistent(path.address);
    for repetition in 1..=repetitions {
        coordinators.with(id, |coordinator, now| coordinator.begin(repetition, 0, now));
        coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
        path.strike(Strike::Reset);
        wait_for(&mut coordinators, id, "the cut", |event| matches!(event, Event::Disconnected(0, _)));
        coordinators.run_till(id, Milestone::Done).unwrap();
    }
    coordinators.finish().unwrap();
}

#[test]
fn silent_connections() {
    let log = run_in_a_flood("a flood of silent connections", |_| vec![], 5);
    assert!(rejected(&log, "evicted") > 0, "{log}");
}

#[test]
fn garbage() {
    let log = run_in_a_flood("a flood of garbage", |_| vec![b'x'; 100], 5);
    assert!(rejected(&log, "handshake") > 0, "{log}");
}

#[test]
fn recorded_requests() {
    let request = |path: &Proxy| path.recordings()[0].up[..REQUEST_LEN].to_vec();
    let log = run_in_a_flood("a flood of recorded requests", request, 5);
    assert!(rejected(&log, "evicted") > 0, "{log}");
}

#[test]
fn recorded_connections() {
    let log = run_in_a_flood("a flood of recorded connections", |path| path.recordings()[0].up.clone(), 5);
    assert!(rejected(&log, "forged") > 0, "{log}");
}

/// Connections that come and go faster than the worker can be done with them.
#[test]
fn connections_that_are_closed_at_once() {
    let _alone = alone();
    within("a storm of connections", || {
        let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(Group::Server, 1) }.start();
        let address = workers.addresses()[0];
        let (is_over, storm) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..STRANGERS {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        drop(TcpStream::connect_timeout(&address, Duration::from_millis(100)));
                        storm.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while storm.load(Ordering::SeqCst) < 10 {
                thread::yield_now();
            }
            let _over = SetOnDrop(&is_over);
            let (mut coordinators, id) = persistent(address);
            for repetition in 1..=20 {
                run_repetition(&mut coordinators, id, repetition);
            }
            coordinators.finish().unwrap();
        });
        assert_eq!(workers.starts(), [20]);
        workers.join();
    });
}

/// The worker finds all of them at once, the coordinator's request among them.
#[test]
fn a_coordinator_is_not_evicted_by_strangers_that_came_after_its_request() {
    within("a coordinator before strangers", || {
        let plan = WorkerPlan::new(Group::Server, 1);
        let (workers, (mut coordinator, _strangers)) = plan.start_after(|addresses| {
            let coordinator = ByHand::begin(addresses[0], &plan.identity(0));
            let strangers: Vec<_> =
                (0..3 * MAX_GREETINGS).map(|_| TcpStream::connect(addresses[0]).unwrap()).collect();
            (coordinator, strangers)
        });
        coordinator.shake_hands();
        coordinator.say_hello(1, 1);
        assert!(matches!(coordinator.hear(), WorkerMessage::Welcome(_)), "the worker answers the hello");
        workers.stop_and_join();
    });
}
