//! A worker whose coordinator is replaced, and a coordinator that is not the worker's.

use crate::common::{NoOp, WorkerPlan, Workers, coordinator_config, rejected, within};
use crate::{coordinate, finish, reserve_port, run_repetition, wait_for, wait_for_log};
use backends::tcp::{Coordinators, GroupId, RunTillError};
use russula_proto::coordinator::{Event, Phase, Waiting};
use russula_proto::worker::Finish;
use russula_proto::{
    CoordinatorConfig, Ending, Failure, Group, Key, LinkError, Milestone, PeerError, Stage, WorkerLimits,
};
use std::time::Duration;

#[test]
fn a_coordinator_of_another_run_does_not_get_in_and_both_sides_say_so() {
    within("a coordinator of another run", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let mut config = coordinator_config(Group::Server, 1);
        config.run = "another".parse().unwrap();
        assert_never_ready(config, &workers);
        assert_serves_its_own(&workers);
        let log = workers.log(0);
        assert!(
            log.contains("closed (handshake 2): the handshake does not verify: key, run, group"),
            "{log}"
        );
    });
}

#[test]
fn a_coordinator_of_another_group_does_not_get_in() {
    within("a coordinator of another group", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        assert_never_ready(coordinator_config(Group::Client, 1), &workers);
        assert_serves_its_own(&workers);
    });
}

#[test]
fn a_coordinator_with_another_key_does_not_get_in() {
    within("a coordinator with another key", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let mut config = coordinator_config(Group::Server, 1);
        config.key = Key::from_bytes([1; Key::LEN]);
        assert_never_ready(config, &workers);
        assert_serves_its_own(&workers);
    });
}

#[test]
fn workers_in_another_order_do_not_let_their_coordinator_in() {
    within("workers in another order", || {
        let workers = WorkerPlan::new(Group::Server, 3).start();
        let mut addresses = workers.addresses();
        addresses.swap(1, 2);
        let mut config = coordinator_config(Group::Server, 3);
        config.limits.ready = READY_LIMIT;
        let mut coordinators = Coordinators::new().unwrap();
        let id = coordinators.add(config, addresses);
        coordinators.begin(id, 1, 0);
        let is_ready = |event: &Event| *event == Event::Worker(0, Stage::Ready);
        wait_for(&mut coordinators, id, "the worker in its place", is_ready);
        let waiting = not_ready(&mut coordinators, id);
        assert_eq!(waiting.first.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
        assert!(coordinators.get(id).peer(0).is_connected, "it is in its place");
        workers.stop_and_join();
    });
}

/// What is to happen before this passes has happened before it begins.
const READY_LIMIT: Duration = Duration::from_millis(200);

/// The coordinator goes on dialing until its deadline, which names the worker and what was wrong with it.
fn assert_never_ready(mut config: CoordinatorConfig, workers: &Workers) {
    config.limits.ready = READY_LIMIT;
    let mut coordinators = Coordinators::new().unwrap();
    let id = coordinators.add(config, workers.addresses());
    coordinators.begin(id, 1, 0);
    let error = PeerError::Protocol(LinkError::HandshakeEnded);
    for _ in 0..2 {
        let is_refused = |event: &Event| *event == Event::Disconnected(0, error.clone());
        wait_for(&mut coordinators, id, "a handshake that is refused", is_refused);
    }
    let waiting = not_ready(&mut coordinators, id);
    assert_eq!(waiting.first, [(0, Some(error))]);
    assert_eq!(
        waiting.to_string(),
        "waiting for worker 0 (it closed the connection during the handshake: key, run, group, index and version must \
         be the same on both sides)"
    );
    wait_for_log(workers, "two were refused", |log| rejected(log, "handshake") >= 2);
}

/// Whom a group that has begun waited for, since it never became ready.
fn not_ready(coordinators: &mut Coordinators, id: GroupId) -> Waiting {
    match coordinators.run_till(id, Milestone::Ready) {
        Err(RunTillError::Failed(Failure::Deadline { phase: Phase::Ready, waiting, .. })) => waiting,
        Err(error) => panic!("{error}"),
        Ok(()) => panic!("the workers belong to somebody else"),
    }
}

/// The worker is as good as before for the coordinator that it belongs to.
fn assert_serves_its_own(workers: &Workers) {
    let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
    run_repetition(&mut coordinators, id, 1);
    finish(coordinators, workers);
}

#[test]
fn a_new_coordinator_takes_over_from_one_that_vanished_while_the_program_ran() {
    within("a takeover", || {
        let workers = WorkerPlan::new(Group::Server, 2).start();
        let (mut vanishing, id) = coordinate(Group::Server, workers.addresses());
        vanishing.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        vanishing.run_till(id, Milestone::WorkersRunning).unwrap();
        drop(vanishing);
        // What is left of the first repetition ends before the second one begins.
        let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
        run_repetition(&mut coordinators, id, 2);
        assert_eq!(workers.starts(), [2, 2]);
        finish(coordinators, &workers);
    });
}

#[test]
fn a_new_coordinator_replaces_one_that_is_still_connected() {
    within("a replacement", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let (mut older, id) = coordinate(Group::Server, workers.addresses());
        older.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        older.run_till(id, Milestone::WorkersRunning).unwrap();
        let (mut newer, id) = coordinate(Group::Server, workers.addresses());
        run_repetition(&mut newer, id, 2);
        drop(older);
        assert_eq!(workers.starts(), [2]);
        finish(newer, &workers);
    });
}

#[test]
fn a_worker_whose_coordinator_does_not_come_back_stops_its_program_and_ends() {
    within("an orphan", || {
        let limits = WorkerLimits { orphan: Duration::from_millis(50), ..WorkerLimits::default() };
        let workers = WorkerPlan { limits, ..WorkerPlan::new(Group::Server, 1) }.start();
        let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
        drop(coordinators);
        assert_eq!(workers.join(), [Finish::Orphaned]);
        assert!(workers.log(0).contains("-> Stopped"), "{}", workers.log(0));
    });
}

#[test]
fn a_worker_that_is_told_to_end_by_its_host_says_how_its_program_ended() {
    within("a worker told to end", || {
        // Nobody else listens there when the coordinator dials again.
        let (_reserved, address) = reserve_port();
        let workers = WorkerPlan { address, ..WorkerPlan::new(Group::Server, 1) }.start();
        let (mut coordinators, id) = coordinate(Group::Server, workers.addresses());
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
        workers.stop();
        assert_eq!(workers.join(), [Finish::Requested]);
        // Its ending is known, so nobody waits for it to come back.
        coordinators.run_till(id, Milestone::Done).unwrap();
        let ending = Ending::Stopped(NoOp::usual_outcome(Group::Server, 0));
        assert_eq!(coordinators.get(id).peer(0).ending, Some(&ending));
    });
}
