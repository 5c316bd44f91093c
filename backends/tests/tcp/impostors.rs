//! Whoever answers in the place of a worker without its key: the coordinator tells what was wrong, dials again, and the
//! run goes on as soon as the worker itself is there.

use crate::by_hand::{ByHand, entropy};
use crate::common::{PATIENCE, WorkerPlan, coordinator_config, within};
use crate::proxy::{Direction, Fault, Path, Proxy, Strike};
use crate::{assert_usual_endings, finish, wait_for};
use backends::tcp::{Coordinators, GroupId, Notice, RunTillError};
use russula_proto::coordinator::Event;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN};
use russula_proto::wire::{CoordinatorMessage, LENGTH_PREFIX_LEN};
use russula_proto::{Failure, Group, Key, LinkError, Milestone, PeerError};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How often the impostor is there instead of the worker.
const VISITS: usize = 3;

/// For attempts that nobody answers. The worker has to, later.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Accepts so many connections and treats each with `answer`; what comes later goes on to the worker.
fn impersonate(worker: SocketAddr, answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..VISITS {
            let Ok((stream, _)) = listener.accept() else { return };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            answer(stream);
        }
        let Ok((coordinator, _)) = listener.accept() else { return };
        let worker = TcpStream::connect(worker).unwrap();
        for stream in [&coordinator, &worker] {
            stream.set_nodelay(true).unwrap();
        }
        let (from, to) = (coordinator.try_clone().unwrap(), worker.try_clone().unwrap());
        thread::spawn(move || carry(from, to));
        carry(worker, coordinator);
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // However one side ends, the other one is told.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A run of two workers, of which the second is the impostor's at first; every attempt of it fails with `error`.
fn run_with_impostor(name: &str, error: PeerError, answer: impl Fn(TcpStream) + Send + 'static) {
    within(name, move || {
        let workers = WorkerPlan::new(Group::Server, 2).start();
        let addresses = workers.addresses();
        let impostor = impersonate(addresses[1], answer);
        let mut config = coordinator_config(Group::Server, 2);
        if error == PeerError::NoAnswer {
            config.limits.attempt = ATTEMPT;
        }
        let mut coordinators = Coordinators::new().unwrap();
        let id = coordinators.add(config, vec![addresses[0], impostor]);
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        for _ in 0..VISITS {
            assert_eq!(next_error(&mut coordinators, id), (1, error.clone()));
        }
        for milestone in Milestone::ALL {
            coordinators.run_till(id, milestone).unwrap();
        }
        assert_usual_endings(&coordinators, id, 0);
        assert_eq!(workers.starts(), [1, 1]);
        finish(coordinators, &workers);
    });
}

/// The next connection that comes to nothing.
fn next_error(coordinators: &mut Coordinators, id: GroupId) -> (usize, PeerError) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        assert!(left > Duration::ZERO, "'the next error' took longer than {PATIENCE:?}");
        match coordinators.wait(Some(left)).unwrap() {
            Some(Notice::Event(group, Event::Disconnected(index, error))) if group == id => {
                return (index, error);
            }
            Some(_) | None => {}
        }
    }
}

/// Reads the request of a coordinator.
fn hear_request(stream: &mut TcpStream) -> [u8; REQUEST_LEN] {
    let mut request = [0; REQUEST_LEN];
    stream.read_exact(&mut request).unwrap();
    request
}

/// Waits until the coordinator has closed the connection.
fn wait_for_end(mut stream: TcpStream) {
    // It may be reset, since not everything was read.
    let _ = stream.read_to_end(&mut vec![]);
}

const HANDSHAKE: PeerError = PeerError::Protocol(LinkError::Handshake);
const HANDSHAKE_ENDED: PeerError = PeerError::Protocol(LinkError::HandshakeEnded);

#[test]
fn silence() {
    run_with_impostor("a silent impostor", PeerError::NoAnswer, wait_for_end);
}

#[test]
fn an_end_at_once() {
    run_with_impostor("an impostor that ends", HANDSHAKE_ENDED, |mut stream| {
        hear_request(&mut stream);
    });
}

#[test]
fn garbage() {
    run_with_impostor("an impostor that talks", HANDSHAKE, |mut stream| {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        wait_for_end(stream);
    });
}

#[test]
fn a_reflection() {
    run_with_impostor("a mirror", HANDSHAKE, |mut stream| {
        let request = hear_request(&mut stream);
        stream.write_all(&request.repeat(2)).unwrap();
        wait_for_end(stream);
    });
}

#[test]
fn a_byte_at_a_time() {
    run_with_impostor("a slow impostor", PeerError::NoAnswer, |mut stream| {
        stream.set_nodelay(true).unwrap();
        let mut sent = 0;
        while stream.write_all(b"x").is_ok() && sent + 1 < RESPONSE_LEN {
            sent += 1;
            // All of it takes longer than an attempt may.
            thread::sleep(2 * ATTEMPT / RESPONSE_LEN as u32);
        }
        wait_for_end(stream);
    });
}

#[test]
fn another_key() {
    run_with_impostor("another key", HANDSHAKE, |mut stream| {
        // Without the key the request cannot be answered; the best guess is an answer to a request of one's own.
        let key = Key::from_bytes(entropy());
        let own = WorkerPlan::new(Group::Server, 2).identity(1);
        let mut answering = russula_proto::Link::accepted(&key, &own, entropy(), 0);
        let request = crate::by_hand::request(&key, &own);
        let heard = answering.receive::<CoordinatorMessage>(&mut &request[..]);
        assert_eq!(heard, Ok(None));
        stream.write_all(answering.outgoing()).unwrap();
        wait_for_end(stream);
    });
}

#[test]
fn a_recorded_answer() {
    within("a recorded answer", || {
        let plan = WorkerPlan::new(Group::Server, 2);
        let workers = plan.start();
        let recorder = Proxy::start(workers.addresses()[1], Path::sound());
        drop(ByHand::dial(recorder.address, &plan.identity(1)));
        let recorded = recorder.recordings()[0].down.clone();
        workers.stop_and_join();
        assert_eq!(recorded.len(), RESPONSE_LEN);
        run_with_impostor("a recorded answer, played again", HANDSHAKE, move |mut stream| {
            stream.write_all(&recorded).unwrap();
            wait_for_end(stream);
        });
    });
}

/// Somebody on the way who changes a bit, of the handshake or of a message; each side closes what does not verify.
#[test]
fn a_bit_that_is_changed_on_the_way() {
    let places = [
        (Direction::Up, 3),
        (Direction::Up, REQUEST_LEN + LENGTH_PREFIX_LEN + 3),
        (Direction::Up, REQUEST_LEN + LENGTH_PREFIX_LEN + 40),
        (Direction::Down, 3),
        (Direction::Down, RESPONSE_LEN - 1),
        (Direction::Down, RESPONSE_LEN + LENGTH_PREFIX_LEN + 3),
    ];
    for (direction, after_len) in places {
        within("a changed bit", move || {
            let workers = WorkerPlan::new(Group::Server, 1).start();
            let fault = Fault { direction, after_len, strike: Strike::Flip };
            let proxy = Proxy::start(workers.addresses()[0], Path::first(fault));
            let mut coordinators = Coordinators::new().unwrap();
            let id = coordinators.add(coordinator_config(Group::Server, 1), vec![proxy.address]);
            crate::run_repetition(&mut coordinators, id, 1);
            assert_eq!((proxy.connections(), workers.starts()), (2, vec![1]), "{fault}");
            finish(coordinators, &workers);
        });
    }
}

/// A worker that has the key and does not keep to the protocol fails the repetition by name, and only that.
#[test]
fn a_worker_with_the_key_that_misbehaves_is_named() {
    type Misbehave = fn(&mut ByHand) -> Vec<u8>;
    let cases: [(&str, Misbehave); 2] = [
        ("worker 1 sent a message out of order", ByHand::seal_welcome),
        ("worker 1: the peer broke the protocol: 5 bytes that are no message", |worker| {
            worker.seal(&[0xff_u8; 5])
        }),
    ];
    for (expected, misbehave) in cases {
        within("a worker that misbehaves", move || {
            let plan = WorkerPlan::new(Group::Server, 2);
            let workers = WorkerPlan { count: 1, ..plan.clone() }.start();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addresses = vec![workers.addresses()[0], listener.local_addr().unwrap()];
            let mut coordinators = Coordinators::new().unwrap();
            let id = coordinators.add(coordinator_config(Group::Server, 2), addresses);
            coordinators.begin(id, 1, 0);
            // Who has not answered by the time of the failure is not told that the run is over.
            wait_for(&mut coordinators, id, "the worker", |event| *event == Event::Connected(0));
            let own = plan.identity(1);
            let other = thread::spawn(move || {
                let mut worker = ByHand::answer(listener.accept().unwrap().0, &own);
                assert!(matches!(worker.hear(), CoordinatorMessage::Hello(_)));
                for bytes in [worker.seal_welcome(), misbehave(&mut worker)] {
                    worker.stream.write_all(&bytes).unwrap();
                }
                wait_for_end(worker.stream);
            });
            let failure = match coordinators.run_till(id, Milestone::Ready) {
                Err(RunTillError::Failed(failure)) => failure,
                result => panic!("{result:?}"),
            };
            assert!(failure.to_string().starts_with(expected), "{failure}");
            assert!(matches!(failure, Failure::OutOfOrder { index: 1 } | Failure::Protocol { index: 1, .. }));
            assert!(coordinators.get(id).peer(1).is_given_up && !coordinators.get(id).peer(0).is_given_up);
            other.join().unwrap();
            finish(coordinators, &workers);
        });
    }
}
