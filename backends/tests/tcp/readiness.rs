//! What an edge-triggered poll tells only once.

use crate::by_hand::ByHand;
use crate::common::{WorkerPlan, within};
use crate::{coordinate, run_repetition, wait_for};
use russula_proto::coordinator::Event;
use russula_proto::wire::{CoordinatorMessage, Goal, Target, WorkerMessage};
use russula_proto::worker::Finish;
use russula_proto::{Group, PeerError, WorkerLimits};
use rustix::net::sockopt;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Sends `bytes` and the end of the stream in one segment, so that the other side gets one event for both.
fn send_and_end(stream: &mut TcpStream, bytes: &[u8]) {
    sockopt::set_tcp_cork(&*stream, true).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn a_worker_sees_the_end_of_a_stream_that_comes_with_its_last_bytes() {
    within("an end with the last bytes, at a worker", || {
        let limits = WorkerLimits { orphan: Duration::from_millis(20), ..WorkerLimits::default() };
        let plan = WorkerPlan { limits, ..WorkerPlan::new(Group::Server, 1) };
        let workers = plan.start();
        let mut coordinator = ByHand::dial(workers.addresses()[0], &plan.identity(0));
        coordinator.say_hello(1, 1);
        // Its first report is the last thing that the worker says now.
        assert!(matches!(coordinator.hear(), WorkerMessage::Welcome(_)));
        assert!(matches!(coordinator.hear(), WorkerMessage::Report(_)));
        let goal = Goal { repetition: 1, program: 0, target: Target::Ready, start_at: None };
        let bytes = coordinator.seal(&CoordinatorMessage::Goal(goal));
        send_and_end(&mut coordinator.stream, &bytes);
        assert_eq!(workers.join(), [Finish::Orphaned]);
    });
}

#[test]
fn a_coordinator_sees_the_end_of_a_stream_that_comes_with_its_last_bytes() {
    within("an end with the last bytes, at a coordinator", || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (mut coordinators, id) = coordinate(Group::Server, vec![listener.local_addr().unwrap()]);
        let (worker, _) = listener.accept().unwrap();
        let own = WorkerPlan::new(Group::Server, 1).identity(0);
        let worker = thread::spawn(move || {
            let mut worker = ByHand::answer(worker, &own);
            assert!(matches!(worker.hear(), CoordinatorMessage::Hello(_)));
            let welcome = worker.seal_welcome();
            send_and_end(&mut worker.stream, &welcome);
        });
        wait_for(&mut coordinators, id, "the end of the stream", |event| {
            *event == Event::Disconnected(0, PeerError::Closed)
        });
        worker.join().unwrap();
    });
}

#[test]
fn to_wait_for_no_time_serves_the_sockets_all_the_same() {
    within("waits of no time", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
        while !coordinators.get(id).peer(0).is_connected {
            coordinators.wait(Some(Duration::ZERO)).unwrap();
        }
        run_repetition(&mut coordinators, id, 1);
        workers.stop_and_join();
    });
}
