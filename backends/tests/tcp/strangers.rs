//! Connections that are no coordinator's, in every phase of a run: each is closed, counted under its name and logged,
//! and none of them disturbs anybody.

use crate::by_hand::{ByHand, entropy, request};
use crate::common::{KEY, PATIENCE, WorkerPlan, Workers, rejected, within};
use crate::proxy::{Path, Proxy};
use crate::two_groups::{Hosts, TwoGroups, agreement};
use crate::wait_for_log;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN};
use russula_proto::wire::CoordinatorMessage;
use russula_proto::worker::MAX_GREETINGS;
use russula_proto::{Group, Identity, KernelCheck, Key, Milestone, Quiet, RepetitionPhase, WorkerLimits};
use rustix::net::sockopt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The phases of a run in which strangers come.
const PHASES: u64 = 4;

/// The worker that a stranger connects to.
struct Victim<'a> {
    address: SocketAddr,
    identity: Identity,
    /// The path of its coordinator, which the stranger can listen to.
    path: &'a Proxy,
}

/// What is expected of the workers' counts.
struct Expected {
    /// As it is counted.
    kind: &'static str,
    /// How many each stranger makes.
    each: u64,
    /// Whether there may be more.
    is_least: bool,
}

const fn rejections(each: u64, kind: &'static str) -> Expected {
    Expected { kind, each, is_least: false }
}

const fn rejections_at_least(each: u64, kind: &'static str) -> Expected {
    Expected { kind, each, is_least: true }
}

/// The time of a greeting that is waited for; long enough for the coordinator on a busy machine.
const SHORT: Duration = Duration::from_millis(200);

/// Lets a stranger connect to a server worker and to a client worker: before their coordinator is there, when all are
/// ready, in the quiet window, and when the clients have ended. What it returns is kept until the end of the run.
fn run_among<T>(
    name: &str,
    greeting: Duration,
    expected: Expected,
    stranger: impl Fn(&Victim<'_>) -> T + Send + 'static,
) {
    within(name, move || {
        let limits = WorkerLimits { greeting, ..WorkerLimits::default() };
        let hosts = Hosts::start(1, 1, |plan| WorkerPlan { limits, ..plan });
        let paths = [&hosts.servers, &hosts.clients].map(|w| Proxy::start(w.addresses()[0], Path::sound()));
        be_known(&hosts, &paths);
        let mut kept = vec![];
        let mut visits = 0;
        let mut visit = |phase: &str| {
            visits += 1;
            let workers = [(&hosts.servers, Group::Server), (&hosts.clients, Group::Client)];
            for ((workers, group), path) in workers.into_iter().zip(&paths) {
                let identity = WorkerPlan::new(group, 1).identity(0);
                kept.push(stranger(&Victim { address: workers.addresses()[0], identity, path }));
                expected.wait_for(workers, visits, phase);
            }
        };

        visit("waiting for the coordinator");
        let [servers, clients] = paths.each_ref().map(|path| vec![path.address]);
        let mut groups = TwoGroups::begin(servers, clients);
        groups.serve_until("every worker is ready", |groups| groups.have_reached(Milestone::Ready));
        visit("ready");
        groups.advance_to_window();
        visit("running");
        hosts.gate.open();
        groups.serve_until("every client has ended", |groups| {
            groups.coordinators.get(groups.clients).reached() == Some(Milestone::Done)
        });
        visit("ended");
        groups.advance_to(RepetitionPhase::Over);

        groups.assert_well();
        hosts.assert_starts(1);
        assert_was_quiet(&groups);
        for workers in [&hosts.servers, &hosts.clients] {
            assert_eq!(workers.log(0).matches("coordinator attached").count(), 2, "{}", workers.log(0));
            assert_eq!(workers.log(0).matches("coordinator gone").count(), 1, "{}", workers.log(0));
        }
        assert_eq!(visits, PHASES);
        groups.finish(&hosts);
        drop(kept);
    });
}

/// A coordinator of an earlier run has worked with the workers, so that there is something to have listened to.
fn be_known(hosts: &Hosts, paths: &[Proxy; 2]) {
    let [servers, clients] = paths.each_ref().map(|path| vec![path.address]);
    let mut earlier = TwoGroups::begin(servers, clients);
    earlier.serve_until("every worker is ready", |groups| groups.have_reached(Milestone::Ready));
    drop(earlier);
    for workers in [&hosts.servers, &hosts.clients] {
        wait_for_log(workers, "the first coordinator is gone", |log| log.contains("coordinator gone"));
    }
}

fn assert_was_quiet(groups: &TwoGroups) {
    let quiet = groups.quiet().expect("there was a window");
    assert_eq!(quiet.coordinators, Quiet { bytes: 0, kernel: agreement() });
    assert_eq!(quiet.clients, Quiet { bytes: 0, kernel: agreement() });
    assert_ne!(quiet.clients.kernel, KernelCheck::Differs);
}

impl Expected {
    /// Waits until the worker has counted and logged as many as there have to be after `visits` of a stranger.
    fn wait_for(&self, workers: &Workers, visits: u64, phase: &str) {
        let count = self.each * visits;
        let what = format!("{count} rejections of the kind '{}', {phase}", self.kind);
        wait_for_log(workers, &what, |log| rejected(log, self.kind) >= count);
        let counted = rejected(&workers.log(0), self.kind);
        assert!(self.is_least || counted == count, "{counted} of {what}:\n{}", workers.log(0));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// Connects and says `bytes`.
fn say(victim: &Victim<'_>, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(victim.address);
    stream.write_all(bytes).unwrap();
    stream
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

/// Nobody is in a hurry, and nobody is waited for.
const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn a_port_scan() {
    run_among("a port scan", PATIENT, rejections(1, "handshake"), |victim| {
        for _ in 0..50 {
            drop(connect(victim.address));
        }
        knock(victim);
    });
}

#[test]
fn a_port_scan_that_resets() {
    run_among("a port scan that resets", PATIENT, rejections(1, "handshake"), |victim| {
        for _ in 0..50 {
            reset(connect(victim.address));
        }
        knock(victim);
    });
}

/// Says something that is counted, while those who have come before and say nothing are not: once it is, the worker has
/// met them all.
fn knock(victim: &Victim<'_>) {
    assert_eq!(read_to_end(say(victim, &[0xff; REQUEST_LEN])), b"");
}

#[test]
fn garbage_gets_no_answer() {
    run_among("garbage", PATIENT, rejections(3, "handshake"), |victim| {
        let http = b"GET / HTTP/1.1\r\nHost: worker\r\nUser-Agent: scanner\r\n\r\n";
        for bytes in [&http[..], &[0xff; 4096], &[entropy(), entropy()].concat()] {
            assert_eq!(read_to_end(say(victim, bytes)), b"");
        }
    });
}

/// As the version before opened the exchange; there is no way to make a worker speak it.
#[test]
fn a_downgrade_to_plain_text_gets_no_answer() {
    run_among("a downgrade", PATIENT, rejections(1, "handshake"), |victim| {
        let mut hello = b"RUSSULA\x01\x00\x00\x00\x20\x00".to_vec();
        hello.resize(REQUEST_LEN, b'x');
        assert_eq!(read_to_end(say(victim, &hello)), b"");
    });
}

#[test]
fn a_wrong_key_gets_no_answer() {
    run_among("a wrong key", PATIENT, rejections(1, "handshake"), |victim| {
        let request = request(&Key::from_bytes(entropy()), &victim.identity);
        assert_eq!(read_to_end(say(victim, &request)), b"");
    });
}

#[test]
fn the_right_key_for_somebody_else_gets_no_answer() {
    run_among("somebody else's coordinator", PATIENT, rejections(3, "handshake"), |victim| {
        let own = &victim.identity;
        let other_group = match own.group {
            Group::Server | Group::Probe => Group::Client,
            Group::Client => Group::Server,
        };
        for other in [
            Identity { run: "another".parse().unwrap(), ..own.clone() },
            Identity { group: other_group, ..own.clone() },
            Identity { index: 1, ..own.clone() },
        ] {
            assert_eq!(read_to_end(say(victim, &request(&KEY, &other))), b"");
        }
    });
}

#[test]
fn silence_is_ended() {
    run_among("silence", SHORT, rejections_at_least(4, "silent"), |victim| {
        let half = &request(&KEY, &victim.identity)[..REQUEST_LEN / 2];
        let whole = &request(&KEY, &victim.identity)[..];
        let silent = [&b""[..], b"x", half, whole].map(|bytes| say(victim, bytes));
        let said = silent.map(|stream| read_to_end(stream).len());
        assert_eq!(said, [0, 0, 0, RESPONSE_LEN], "who has the key gets an answer to the request");
    });
}

/// The deadline of a greeting does not move with the bytes.
#[test]
fn a_byte_at_a_time_is_ended_as_silence_is() {
    run_among("a byte at a time", SHORT, rejections_at_least(1, "silent"), |victim| {
        let mut stream = connect(victim.address);
        stream.set_nodelay(true).unwrap();
        let begin = Instant::now();
        let mut sent = 0;
        while stream.write_all(b"x").is_ok() && sent + 1 < REQUEST_LEN {
            sent += 1;
            thread::sleep(SHORT / 8);
        }
        assert_eq!(read_to_end(stream), b"");
        assert!(sent > 0 && begin.elapsed() >= SHORT / 2, "{sent} bytes");
    });
}

#[test]
fn a_handshake_that_is_broken_off() {
    run_among("the end within a request", PATIENT, rejections(2, "handshake ended"), |victim| {
        let half = &request(&KEY, &victim.identity)[..REQUEST_LEN - 1];
        let stream = say(victim, half);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(stream), b"");
        reset(say(victim, half));
    });
}

#[test]
fn a_recorded_connection_played_again() {
    run_among("a replay", PATIENT, rejections(1, "forged"), |victim| {
        // Of the coordinator that is there, or was there before.
        let recorded = victim.path.recordings().pop().expect("there was one").up;
        assert!(recorded.len() > REQUEST_LEN, "the request and the hello");
        let said = read_to_end(say(victim, &recorded));
        // The request verifies, and nothing else does. The answer to it, which cannot be read without the secret of
        // the request, leaves only if the worker had not found that out yet.
        assert!([0, RESPONSE_LEN].contains(&said.len()), "{} bytes", said.len());
    });
}

#[test]
fn what_a_worker_said_played_back_to_it() {
    run_among("a reflection", PATIENT, rejections(1, "handshake"), |victim| {
        let recorded = victim.path.recordings().pop().expect("there was one").down;
        assert_eq!(read_to_end(say(victim, &recorded)), b"");
    });
}

#[test]
fn a_giant_length_after_a_recorded_request() {
    run_among("a giant length", PATIENT, rejections(1, "length"), |victim| {
        let mut bytes = victim.path.recordings().pop().expect("there was one").up;
        bytes.truncate(REQUEST_LEN);
        bytes.extend_from_slice(&[0xff; 64]);
        let said = read_to_end(say(victim, &bytes));
        assert!([0, RESPONSE_LEN].contains(&said.len()), "{} bytes", said.len());
    });
}

#[test]
fn a_message_before_the_hello_by_somebody_who_has_the_key() {
    run_among("a message before the hello", PATIENT, rejections(1, "out of order"), |victim| {
        let mut stranger = ByHand::dial(victim.address, &victim.identity);
        stranger.say(&CoordinatorMessage::Finish);
        assert_eq!(read_to_end(stranger.stream), b"");
    });
}

#[test]
fn a_hello_that_is_older_than_the_coordinator() {
    run_among("a stale hello", PATIENT, rejections(1, "stale"), |victim| {
        let mut stranger = ByHand::dial(victim.address, &victim.identity);
        stranger.say(&CoordinatorMessage::Hello(russula_proto::wire::Hello {
            session: 1,
            epoch: u64::MAX,
            // The first coordinator of all had it.
            ticket: 0,
            work: None,
        }));
        assert!(!read_to_end(stranger.stream).is_empty(), "it is told why");
    });
}

#[test]
fn more_silent_connections_than_a_worker_keeps() {
    let evicted = 2 * MAX_GREETINGS as u64;
    run_among("silent connections", PATIENT, rejections_at_least(evicted, "evicted"), |victim| {
        (0..3 * MAX_GREETINGS).map(|_| connect(victim.address)).collect::<Vec<_>>()
    });
}

/// Closing a socket that lingers for no time sends a reset.
fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}
