//! Connections that break, stall or carry next to nothing: the run resumes and its outcome is right.

use crate::by_hand::ByHand;
use crate::common::{WorkerPlan, coordinator_config, rejected, within};
use crate::proxy::{Direction, End, Fault, Path, Proxy, Strike};
use crate::{assert_usual_endings, coordinate, finish, reserve_port, run_repetition, wait_for, wait_for_log};
use backends::tcp::{Coordinators, RunTillError};
use russula_proto::coordinator::{Event, Phase};
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use russula_proto::wire::{
    CoordinatorMessage, Goal, Hello, LENGTH_PREFIX_LEN, Target, WorkerMessage, encode,
};
use russula_proto::worker::Finish;
use russula_proto::{Failure, Group, Milestone, PeerError, Refusal};
use std::thread;
use std::time::Duration;

/// Length of the stderr tail of the no-op program where its outcome is looked at.
const STDERR_TAIL_LEN: usize = 20;

/// Length of a message of a coordinator on the wire.
fn wire_len(message: &CoordinatorMessage) -> usize {
    LENGTH_PREFIX_LEN + encode(message).len() + TAG_LEN
}

/// Length of a goal of the server workflow on the wire.
fn goal_len() -> usize {
    wire_len(&CoordinatorMessage::Goal(Goal {
        repetition: 1,
        program: 0,
        target: Target::Ready,
        start_at: None,
    }))
}

/// One worker behind `path`, to done; returns the proxy for its counts.
fn run_over(group: Group, path: Path, what: &str) -> Proxy {
    let plan = WorkerPlan { stderr_tail_len: STDERR_TAIL_LEN, ..WorkerPlan::new(group, 1) };
    let workers = plan.start();
    let proxy = Proxy::start(workers.addresses()[0], path);
    let (mut coordinators, id) = coordinate(group, vec![proxy.address]);
    coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
    for milestone in Milestone::ALL {
        if let Err(error) = coordinators.run_till(id, milestone) {
            panic!("{what}: {milestone}: {error}");
        }
    }
    assert_usual_endings(&coordinators, id, STDERR_TAIL_LEN);
    assert_eq!(workers.starts(), [1], "{what}");
    drop(coordinators);
    workers.stop_and_join();
    proxy
}

/// Cuts the connection once at every byte of a whole run, in both directions.
fn cut_at_every_byte(group: Group, strike: Strike) {
    within("a connection cut at every byte", move || {
        let whole = run_over(group, Path::sound(), "a sound path");
        for direction in [Direction::Up, Direction::Down] {
            let len = whole.forwarded_len(direction);
            assert!(len > 40, "a whole run is more than {len} bytes {direction:?}");
            for after_len in 0..=len {
                let fault = Fault { direction, after_len, strike };
                let proxy = run_over(group, Path::first(fault), &fault.to_string());
                assert!(proxy.connections() >= 1, "{fault}");
            }
        }
    });
}

#[test]
fn a_server_run_survives_the_end_of_its_connection_at_every_byte() {
    cut_at_every_byte(Group::Server, Strike::End);
}

#[test]
fn a_server_run_survives_a_reset_of_its_connection_at_every_byte() {
    cut_at_every_byte(Group::Server, Strike::Reset);
}

/// As of a coordinator's host that lost its power: the worker does not know before it is dialed again.
#[test]
fn a_server_run_survives_that_the_coordinator_forgets_its_connection_at_every_byte() {
    cut_at_every_byte(Group::Server, Strike::Forgotten(End::Coordinator));
}

#[test]
fn a_client_run_survives_the_end_of_its_connection_at_every_byte() {
    cut_at_every_byte(Group::Client, Strike::End);
}

#[test]
fn a_client_run_survives_a_reset_of_its_connection_at_every_byte() {
    cut_at_every_byte(Group::Client, Strike::Reset);
}

#[test]
fn a_cut_in_the_middle_is_seen_and_the_worker_is_dialed_again() {
    within("a cut and a second connection", || {
        let fault = Fault { direction: Direction::Down, after_len: 12, strike: Strike::Reset };
        let proxy = run_over(Group::Server, Path::first(fault), "a cut in the welcome");
        assert_eq!(proxy.connections(), 2);
    });
}

/// No connection lives long enough for more than one goal; each brings the run a step on.
#[test]
fn a_run_advances_although_every_connection_breaks_after_one_goal() {
    within("connections for one goal each", || {
        let hello = Hello { session: u64::MAX, epoch: 1, ticket: 1, work: None };
        let hello_len = wire_len(&CoordinatorMessage::Hello(hello));
        let after_len = REQUEST_LEN + hello_len + goal_len();
        let fault = Fault { direction: Direction::Up, after_len, strike: Strike::End };
        let path = Path { fault_of: Box::new(move |_| Some(fault)), ..Path::sound() };
        let proxy = run_over(Group::Server, path, "one goal a connection");
        assert!(proxy.connections() >= 4, "a run has four goals, there were {}", proxy.connections());
    });
}

#[test]
fn a_path_of_tiny_socket_buffers_that_forwards_single_bytes() {
    for group in [Group::Server, Group::Client] {
        within("single bytes through tiny socket buffers", move || {
            let tail_len = 4096;
            let workers = WorkerPlan { stderr_tail_len: tail_len, ..WorkerPlan::new(group, 1) }.start();
            let path = Path { chunk_len: 1, has_tiny_buffers: true, ..Path::sound() };
            let proxy = Proxy::start(workers.addresses()[0], path);
            let (mut coordinators, id) = coordinate(group, vec![proxy.address]);
            coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
            coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
            coordinators.run_till(id, Milestone::Done).unwrap();
            assert_usual_endings(&coordinators, id, tail_len);
            assert_eq!(proxy.connections(), 1);
            finish(coordinators, &workers);
        });
    }
}

#[test]
fn a_stall_that_ends_delays_the_run_and_nothing_else() {
    within("a stall that ends", || {
        let whole = run_over(Group::Server, Path::sound(), "a sound path");
        for direction in [Direction::Up, Direction::Down] {
            for after_len in (1..whole.forwarded_len(direction)).step_by(7) {
                let fault = Fault { direction, after_len, strike: Strike::Stall };
                stall_and_release(fault);
            }
        }
    });
}

/// A run over a connection that stalls at one place and goes on from there.
fn stall_and_release(fault: Fault) {
    let workers =
        WorkerPlan { stderr_tail_len: STDERR_TAIL_LEN, ..WorkerPlan::new(Group::Server, 1) }.start();
    let proxy = Proxy::start(workers.addresses()[0], Path::first(fault));
    let (mut coordinators, id) = coordinate(Group::Server, vec![proxy.address]);
    coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
    thread::scope(|scope| {
        let run = scope.spawn(|| coordinators.run_till(id, Milestone::Done));
        proxy.wait_for_stall();
        assert!(!run.is_finished(), "{fault}");
        proxy.release();
        run.join().unwrap().unwrap_or_else(|error| panic!("{fault}: {error}"));
    });
    assert_usual_endings(&coordinators, id, STDERR_TAIL_LEN);
    assert_eq!((proxy.connections(), workers.starts()), (1, vec![1]), "{fault}");
    finish(coordinators, &workers);
}

/// A connection that stalls before its welcome is given up and another one made. What the first one delivers late
/// does not replace the second: the worker hears that its hello is older.
fn assert_late_greeting_changes_nothing(fault: Fault, attachments: usize, stale: u64) {
    let workers = WorkerPlan::new(Group::Server, 1).start();
    let proxy = Proxy::start(workers.addresses()[0], Path::first(fault));
    let mut config = coordinator_config(Group::Server, 1);
    config.limits.attempt = SHORT_ATTEMPT;
    let mut coordinators = Coordinators::new().unwrap();
    let id = coordinators.add(config, vec![proxy.address]);
    wait_for(&mut coordinators, id, "the attempt is given up", |event| {
        *event == Event::Disconnected(0, PeerError::NoAnswer)
    });
    wait_for(&mut coordinators, id, "the next attempt", |event| *event == Event::Connected(0));
    coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
    coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
    proxy.release();
    wait_for_log(&workers, "the late hello", |log| rejected(log, "stale") >= stale);
    coordinators.run_till(id, Milestone::Done).unwrap();
    assert_usual_endings(&coordinators, id, 0);
    let log = workers.log(0);
    assert_eq!(workers.starts(), [1], "{fault}");
    assert_eq!(log.matches("coordinator attached").count(), attachments, "{fault}:\n{log}");
    assert_eq!(log.matches("coordinator gone").count(), attachments - 1, "{fault}:\n{log}");
    assert_eq!(rejected(&log, "stale"), stale, "{fault}:\n{log}");
    finish(coordinators, &workers);
}

/// For attempts that are to fail, and long enough for the next one, which is to succeed.
const SHORT_ATTEMPT: Duration = Duration::from_secs(1);

#[test]
fn a_greeting_that_stalls_is_given_up_and_what_it_says_late_changes_nothing() {
    let (up, down) = (Direction::Up, Direction::Down);
    // Where it stalls; how often the worker has a coordinator; whether a hello is late.
    let places = [
        (up, 10, 1, 0),
        (down, 10, 1, 0),
        (up, REQUEST_LEN, 1, 1),
        (up, REQUEST_LEN + 5, 1, 1),
        (down, RESPONSE_LEN, 2, 0),
        (down, RESPONSE_LEN + 5, 2, 0),
    ];
    for (direction, after_len, attachments, stale) in places {
        within("a greeting that stalls", move || {
            let fault = Fault { direction, after_len, strike: Strike::Stall };
            assert_late_greeting_changes_nothing(fault, attachments, stale);
        });
    }
}

/// A hello that another coordinator said long ago is known by its ticket.
#[test]
fn a_late_hello_of_another_coordinator_does_not_replace_the_one_that_is_there() {
    within("a late hello of another coordinator", || {
        let plan = WorkerPlan::new(Group::Server, 1);
        let workers = plan.start();
        let mut early = ByHand::dial(workers.addresses()[0], &plan.identity(0));
        let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
        early.say_hello(1, u64::MAX);
        assert!(matches!(early.hear(), WorkerMessage::Refused(Refusal::Stale)));
        coordinators.run_till(id, Milestone::Done).unwrap();
        assert_usual_endings(&coordinators, id, 0);
        let log = workers.log(0);
        assert_eq!((rejected(&log, "stale"), log.matches("coordinator gone").count()), (1, 0), "{log}");
        finish(coordinators, &workers);
    });
}

#[test]
fn a_stall_without_end_is_named_by_the_deadlines() {
    within("a stall without end", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let whole = run_over(Group::Server, Path::sound(), "a sound path");
        // The worker hears everything but the last goals, so it is the answer to `Stop` that is missing.
        let after_len = whole.forwarded_len(Direction::Up) - 2 * goal_len();
        let fault = Fault { direction: Direction::Up, after_len, strike: Strike::Stall };
        let proxy = Proxy::start(workers.addresses()[0], Path::first(fault));
        let mut config = coordinator_config(Group::Server, 1);
        config.limits.stop = Duration::from_millis(100);
        let mut coordinators = Coordinators::new().unwrap();
        let id = coordinators.add(config, vec![proxy.address]);
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
        let Err(RunTillError::Failed(failure)) = coordinators.run_till(id, Milestone::Done) else {
            panic!("the worker never heard that it is to stop")
        };
        assert!(matches!(failure, Failure::Deadline { phase: Phase::Stop, .. }), "{failure}");
        assert_eq!(
            failure.to_string(),
            "the deadline 'programs stopped' passed after 2.1 s: waiting for worker 0",
            "0.1 s, and the 2 s that the worker gives its program"
        );
        assert_eq!(coordinators.get(id).peer(0).last_error, Some(&PeerError::NotStopped));
        drop(coordinators);
        workers.stop_and_join();
    });
}

/// One end has lost the connection, the other finds out when it says something, or when it is dialed again.
#[test]
fn a_connection_that_is_half_open_in_any_phase_is_made_again() {
    for end in [End::Coordinator, End::Worker] {
        for milestone in [Milestone::Ready, Milestone::WorkersRunning, Milestone::Done] {
            within("a half-open connection", move || {
                let workers = WorkerPlan::new(Group::Server, 1).start();
                let proxy = Proxy::start(workers.addresses()[0], Path::sound());
                let (mut coordinators, id) = coordinate(Group::Server, vec![proxy.address]);
                coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
                coordinators.run_till(id, milestone).unwrap();
                proxy.strike(Strike::Forgotten(end));
                for milestone in Milestone::ALL {
                    coordinators.run_till(id, milestone).unwrap();
                }
                coordinators.with(id, |coordinator, now| coordinator.begin(2, 0, now));
                coordinators.run_till(id, Milestone::Done).unwrap();
                assert_usual_endings(&coordinators, id, 0);
                assert_eq!((proxy.connections(), workers.starts()), (2, vec![2]), "{end:?} {milestone}");
                finish(coordinators, &workers);
            });
        }
    }
}

#[test]
fn a_handshake_that_is_half_open_is_given_up() {
    for (direction, after_len) in [(Direction::Up, 10), (Direction::Up, REQUEST_LEN), (Direction::Down, 10)] {
        within("a half-open handshake", move || {
            let workers = WorkerPlan::new(Group::Server, 1).start();
            let fault = Fault { direction, after_len, strike: Strike::Forgotten(End::Worker) };
            let proxy = Proxy::start(workers.addresses()[0], Path::first(fault));
            let mut config = coordinator_config(Group::Server, 1);
            config.limits.attempt = SHORT_ATTEMPT;
            let mut coordinators = Coordinators::new().unwrap();
            let id = coordinators.add(config, vec![proxy.address]);
            run_repetition(&mut coordinators, id, 1);
            assert!(proxy.connections() >= 2, "{fault}");
            assert_eq!(workers.starts(), [1], "{fault}");
            finish(coordinators, &workers);
        });
    }
}

/// The worker is not connected at the moment when the run ends; it hears of it all the same, and confirms.
#[test]
fn the_end_of_the_run_reaches_a_worker_whose_connection_is_gone() {
    for strike in [Strike::End, Strike::Reset, Strike::Forgotten(End::Worker)] {
        for is_noticed in [false, true] {
            within("an end without a connection", move || {
                let workers = WorkerPlan::new(Group::Server, 2).start();
                let proxy = Proxy::start(workers.addresses()[1], Path::sound());
                let addresses = vec![workers.addresses()[0], proxy.address];
                let (mut coordinators, id) = coordinate(Group::Server, addresses);
                run_repetition(&mut coordinators, id, 1);
                proxy.strike(strike);
                if is_noticed && !matches!(strike, Strike::Forgotten(_)) {
                    wait_for(&mut coordinators, id, "the cut", |event| {
                        matches!(event, Event::Disconnected(1, _))
                    });
                }
                coordinators.finish().unwrap();
                assert!(coordinators.get(id).peers().all(|peer| peer.has_left), "{strike:?}");
                assert_eq!(workers.join(), [Finish::RunOver; 2], "{strike:?}");
                assert_eq!(proxy.connections(), 2, "{strike:?}");
            });
        }
    }
}

/// Nothing is listening where it was.
#[test]
fn the_end_of_the_run_does_not_wait_long_for_a_worker_that_is_gone() {
    within("an end without a worker", || {
        let (_reserved, address) = reserve_port();
        let workers = WorkerPlan { address, ..WorkerPlan::new(Group::Server, 1) }.start();
        let (mut coordinators, id) = coordinate(Group::Server, vec![address]);
        run_repetition(&mut coordinators, id, 1);
        workers.stop_and_join();
        coordinators.finish().unwrap();
        assert!(!coordinators.get(id).peer(0).has_left, "nobody has confirmed it");
    });
}
