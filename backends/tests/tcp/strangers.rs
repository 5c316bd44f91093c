//! Connections that are no coordinator's: none of them disturbs a worker, before or during a run.

use crate::common::{PATIENCE, WorkerPlan, run_id, within};
use crate::{assert_usual_endings, coordinate, finish};
use russula_proto::worker::MAX_GREETINGS;
use russula_proto::{Group, Identity, Milestone, WorkerLimits, wire};
use rustix::net::sockopt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Lets strangers connect to a server worker before the coordinator is there, while the workers are ready,
/// and while the program runs. What `stranger` returns is kept until the end of the run.
fn run_among<T>(name: &str, stranger: impl Fn(SocketAddr) -> T + Send + 'static) {
    within(name, move || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let address = workers.addresses()[0];
        let mut kept = vec![stranger(address)];
        let (mut coordinators, id) = coordinate(Group::Server, vec![address]);
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        kept.push(stranger(address));
        for milestone in Milestone::ALL {
            coordinators.run_till(id, milestone).unwrap();
            kept.push(stranger(address));
        }
        assert_usual_endings(&coordinators, id, 0);
        assert_eq!(workers.starts(), [1]);
        assert!(was_never_detached(&workers.log(0)), "{}", workers.log(0));
        finish(coordinators, &workers);
        drop(kept);
    });
}

fn was_never_detached(log: &str) -> bool {
    !log.contains("coordinator gone")
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// Waits until the worker has closed the connection, and returns what it said before.
fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = vec![];
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        // The worker closes without having read everything.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("'the worker closes the connection': {error}"),
    }
    said
}

#[test]
fn a_port_scan() {
    run_among("a port scan", |address| {
        for _ in 0..50 {
            drop(connect(address));
        }
    });
}

#[test]
fn a_port_scan_that_resets() {
    run_among("a port scan that resets", |address| {
        for _ in 0..50 {
            reset(connect(address));
        }
    });
}

#[test]
fn an_http_client_gets_no_answer() {
    run_among("an HTTP client", |address| {
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n").unwrap();
        assert_eq!(read_to_end(stream), b"");
    });
}

#[test]
fn more_silent_connections_than_a_worker_keeps() {
    run_among("silent connections", |address| {
        (0..3 * MAX_GREETINGS).map(|_| connect(address)).collect::<Vec<_>>()
    });
}

#[test]
fn silent_connections_are_closed_when_their_time_is_over() {
    within("silent connections that are closed", || {
        let limits = WorkerLimits { greeting: Duration::from_millis(50), ..WorkerLimits::default() };
        let workers = WorkerPlan { limits, ..WorkerPlan::new(Group::Server, 1) }.start();
        let silent: Vec<_> = (0..MAX_GREETINGS).map(|_| connect(workers.addresses()[0])).collect();
        for stream in silent {
            assert_eq!(read_to_end(stream), b"");
        }
        workers.stop_and_join();
    });
}

#[test]
fn a_stranger_that_stops_in_the_middle_of_a_preamble() {
    run_among("half a preamble", |address| {
        let mut stream = connect(address);
        stream.write_all(&wire::MAGIC[..4]).unwrap();
        stream
    });
}

#[test]
fn a_stranger_that_ends_in_the_middle_of_a_preamble() {
    run_among("the end in a preamble", |address| {
        let mut stream = connect(address);
        stream.write_all(&wire::MAGIC[..4]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(stream), b"");
    });
}

#[test]
fn garbage_a_byte_at_a_time() {
    run_among("garbage, byte by byte", |address| {
        let mut stream = connect(address);
        stream.set_nodelay(true).unwrap();
        stream.write_all(wire::MAGIC).unwrap();
        for byte in *b"\x01\x00\x00\x00\x02\xff\xff\xff" {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
        assert_eq!(read_to_end(stream), wire::preamble());
    });
}

#[test]
fn a_giant_length() {
    run_among("a giant length", |address| {
        let mut stream = connect(address);
        stream.write_all(&[&wire::preamble()[..], &[0xff; 4]].concat()).unwrap();
        assert_eq!(read_to_end(stream), wire::preamble());
    });
}

#[test]
fn another_version_learns_ours() {
    run_among("another version", |address| {
        let mut stream = connect(address);
        stream.write_all(&[&wire::MAGIC[..], &[wire::PROTOCOL_VERSION + 1]].concat()).unwrap();
        assert_eq!(read_to_end(stream), wire::preamble());
    });
}

#[test]
fn a_message_before_the_hello() {
    run_among("a message before the hello", |address| {
        let mut stream = connect(address);
        let mut bytes = wire::preamble().to_vec();
        wire::encode_frame(&wire::CoordinatorMessage::Finish, &mut bytes);
        stream.write_all(&bytes).unwrap();
        assert_eq!(read_to_end(stream), b"");
    });
}

/// The worker finds all of them at once, the coordinator's hello among them.
#[test]
fn a_coordinator_is_not_evicted_by_strangers_that_came_after_its_hello() {
    within("a coordinator before strangers", || {
        let (workers, (mut coordinator, _strangers)) =
            WorkerPlan::new(Group::Server, 1).start_after(|addresses| {
                let mut coordinator = connect(addresses[0]);
                coordinator.write_all(&hello()).unwrap();
                let strangers: Vec<_> = (0..3 * MAX_GREETINGS).map(|_| connect(addresses[0])).collect();
                (coordinator, strangers)
            });
        coordinator.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; wire::PREAMBLE_LEN];
        coordinator.read_exact(&mut answer).expect("the worker answers the hello");
        assert_eq!(answer, wire::preamble());
        workers.stop_and_join();
    });
}

#[test]
fn a_reset_in_the_middle_of_a_hello() {
    run_among("a reset", |address| {
        let mut stream = connect(address);
        let hello = hello();
        stream.write_all(&hello[..hello.len() - 1]).unwrap();
        reset(stream);
    });
}

/// Connections arrive faster than the worker can be done with them, for as long as the run takes.
#[test]
fn a_storm_of_connections_does_not_keep_the_coordinator_out() {
    within("a storm of connections", || {
        let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(Group::Server, 1) }.start();
        let address = workers.addresses()[0];
        let (is_over, storm) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        // The kernel may run out of ports or room in the queue; that is a storm as well.
                        drop(TcpStream::connect_timeout(&address, Duration::from_millis(100)));
                        storm.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while storm.load(Ordering::SeqCst) < 10 {
                thread::yield_now();
            }
            let outcome = std::panic::catch_unwind(|| {
                let (mut coordinators, id) = coordinate(Group::Server, vec![address]);
                for repetition in 1..=20 {
                    crate::run_repetition(&mut coordinators, id, repetition);
                }
                coordinators.finish().unwrap();
            });
            is_over.store(true, Ordering::SeqCst);
            outcome.unwrap();
        });
        assert_eq!(workers.starts(), [20]);
        workers.join();
    });
}

/// The first bytes of a coordinator.
fn hello() -> Vec<u8> {
    let mut bytes = wire::preamble().to_vec();
    let identity = Identity { run: run_id(), group: Group::Server, index: 0 };
    wire::encode_frame(
        &wire::CoordinatorMessage::Hello(wire::Hello { worker: identity, session: 1, work: None }),
        &mut bytes,
    );
    bytes
}

/// Closing a socket that lingers for no time sends a reset.
fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}
