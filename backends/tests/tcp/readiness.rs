//! What an edge-triggered poll tells only once.

use crate::common::{PATIENCE, WorkerPlan, run_id, within};
use crate::{coordinate, run_repetition, wait_for};
use russula_proto::coordinator::Event;
use russula_proto::worker::Finish;
use russula_proto::{Group, Identity, PeerError, Text, Welcome, WorkerLimits, wire};
use rustix::net::sockopt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
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
        let workers = WorkerPlan { limits, ..WorkerPlan::new(Group::Server, 1) }.start();
        let mut coordinator = TcpStream::connect(workers.addresses()[0]).unwrap();
        let mut hello = wire::preamble().to_vec();
        let identity = Identity { run: run_id(), group: Group::Server, index: 0 };
        wire::encode_frame(
            &wire::CoordinatorMessage::Hello(wire::Hello { worker: identity, session: 1, work: None }),
            &mut hello,
        );
        coordinator.write_all(&hello).unwrap();
        // Its first report is the last thing that the worker says now.
        coordinator.set_read_timeout(Some(PATIENCE)).unwrap();
        let idle = wire::Report { repetition: 0, position: wire::Position::Idle };
        let mut report = vec![];
        wire::encode_frame(&wire::WorkerMessage::Report(idle), &mut report);
        let mut said = vec![];
        while !said.ends_with(&report) {
            let mut byte = [0];
            coordinator.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        let goal = wire::Goal { repetition: 1, program: 0, target: wire::Target::Ready };
        let mut bytes = vec![];
        wire::encode_frame(&wire::CoordinatorMessage::Goal(goal), &mut bytes);
        send_and_end(&mut coordinator, &bytes);
        assert_eq!(workers.join(), [Finish::Orphaned]);
    });
}

#[test]
fn a_coordinator_sees_the_end_of_a_stream_that_comes_with_its_last_bytes() {
    within("an end with the last bytes, at a coordinator", || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (mut coordinators, id) = coordinate(Group::Server, vec![listener.local_addr().unwrap()]);
        let (mut worker, _) = listener.accept().unwrap();
        // The coordinator says hello once it has seen that it is connected.
        worker.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut hello = [0; wire::PREAMBLE_LEN];
        while worker.peek(&mut hello).is_err() {
            assert_eq!(coordinators.wait(Some(Duration::ZERO)).unwrap(), None);
        }
        worker.set_read_timeout(Some(PATIENCE)).unwrap();
        worker.read_exact(&mut hello).unwrap();
        let welcome = Welcome { session: 1, programs: 1, program_version: Text::default(), kill_grace_ms: 0 };
        let mut answer = wire::preamble().to_vec();
        wire::encode_frame(&wire::WorkerMessage::Welcome(welcome), &mut answer);
        send_and_end(&mut worker, &answer);
        wait_for(&mut coordinators, id, "the end of the stream", |event| {
            *event == Event::Disconnected(0, PeerError::Closed)
        });
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
