//! A worker whose coordinator is replaced, and a coordinator that is not the worker's.

use crate::common::{NoOp, WorkerPlan, coordinator_config, run_id, within};
use crate::{coordinate, finish, reserve_port, run_repetition};
use backends::tcp::{Coordinators, RunTillError};
use russula_proto::worker::Finish;
use russula_proto::{Ending, Failure, Group, Milestone, Refusal, WorkerLimits};
use std::time::Duration;

#[test]
fn a_coordinator_of_another_run_is_refused_and_both_sides_say_so() {
    within("a coordinator of another run", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let mut config = coordinator_config(Group::Server, 1);
        config.run = "another".parse().unwrap();
        let failure = refused(config, &workers.addresses());
        let (expected, got) = (run_id(), "another".parse().unwrap());
        let words = format!("this worker belongs to run {expected}, the coordinator asked for run {got}");
        assert_eq!(failure, Failure::Refused { index: 0, refusal: Refusal::Run { expected, got } });
        assert_eq!(failure.to_string(), format!("worker 0 refuses: {words}"));
        assert_serves_its_own(&workers);
        assert!(workers.log(0).contains(&format!("refused: {words}")), "{}", workers.log(0));
    });
}

#[test]
fn a_coordinator_of_another_group_is_refused() {
    within("a coordinator of another group", || {
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let failure = refused(coordinator_config(Group::Client, 1), &workers.addresses());
        let refusal = Refusal::Group { expected: Group::Server, got: Group::Client };
        assert_eq!(failure, Failure::Refused { index: 0, refusal });
        assert_serves_its_own(&workers);
    });
}

#[test]
fn workers_in_another_order_are_refused() {
    within("workers in another order", || {
        let workers = WorkerPlan::new(Group::Server, 2).start();
        let mut addresses = workers.addresses();
        addresses.reverse();
        let failure = refused(coordinator_config(Group::Server, 2), &addresses);
        let Failure::Refused { index, refusal: Refusal::Index { expected, got } } = failure else {
            panic!("expected a refused index, got {failure}")
        };
        assert_eq!((usize::from(got), usize::from(expected)), (index, 1 - index));
        workers.stop_and_join();
    });
}

/// The failure of a repetition with a coordinator that is not the workers'.
fn refused(config: russula_proto::CoordinatorConfig, addresses: &[std::net::SocketAddr]) -> Failure {
    let mut coordinators = Coordinators::new().unwrap();
    let id = coordinators.add(config, addresses.to_vec());
    coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
    match coordinators.run_till(id, Milestone::Ready) {
        Err(RunTillError::Failed(failure)) => failure,
        Err(RunTillError::Poll(error)) => panic!("{error}"),
        Ok(()) => panic!("the workers belong to somebody else"),
    }
}

/// The worker is as good as before for the coordinator that it belongs to.
fn assert_serves_its_own(workers: &crate::common::Workers) {
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
