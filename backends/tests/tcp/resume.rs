//! A coordinator that is killed at any point of a run, and another one that takes the run over.

use crate::assert_usual_endings_of;
use crate::common::{NoOp, within};
use crate::proxy::{Path, Proxy, Strike};
use crate::two_groups::{Hosts, TwoGroups};
use russula_proto::{Ending, Failure, Group, Milestone, RepetitionPhase};
use std::time::Duration;

/// What the test does between two notices: the clients' programs end once all of them run.
fn step(groups: &mut TwoGroups, hosts: &Hosts) {
    groups.coordinators.wait(Some(Duration::from_millis(10))).unwrap();
    groups.advance();
    let all_run = groups.coordinators.get(groups.clients).reached() >= Some(Milestone::WorkersRunning);
    if all_run && groups.phase() == RepetitionPhase::RunningClients {
        hosts.gate.open();
    }
}

/// A run whose coordinator dies each time after so many steps, until one of them brings it to its end; returns how many
/// there were.
fn run_with_deaths_after(steps: u32) -> u32 {
    let hosts = Hosts::start(2, 2, |plan| plan);
    let mut groups = TwoGroups::begin(hosts.servers.addresses(), hosts.clients.addresses());
    let mut coordinators = 1;
    loop {
        let mut left = steps;
        while left > 0 && groups.phase() != RepetitionPhase::Over {
            step(&mut groups, &hosts);
            left -= 1;
        }
        if groups.phase() == RepetitionPhase::Over {
            break;
        }
        groups = groups.die_and_be_replaced();
        coordinators += 1;
        if coordinators > 3 {
            // It has been shown that a successor can die as well; this one may live.
            while groups.phase() != RepetitionPhase::Over {
                step(&mut groups, &hosts);
            }
        }
    }
    groups.assert_well();
    hosts.assert_starts(1);
    let servers = groups.coordinators.get(groups.servers);
    assert_usual_endings_of(servers, 0);
    let outcome = NoOp::usual_outcome(Group::Client, 0);
    for peer in groups.coordinators.get(groups.clients).peers() {
        assert_eq!(peer.ending, Some(&Ending::Exited(outcome.clone())));
    }
    groups.finish(&hosts);
    coordinators
}

#[test]
fn a_coordinator_that_dies_after_any_step_is_replaced_and_every_program_is_started_once() {
    let mut steps = 1;
    while within("a run whose coordinators die", move || run_with_deaths_after(steps)) > 1 {
        steps += 1;
    }
    println!("a run has at most {steps} steps");
    assert!(steps > 20, "a run has more than {steps} steps");
}

/// As its host's death looks to the workers: no end of the stream, no reset.
#[test]
fn a_successor_replaces_connections_that_are_half_open() {
    within("half-open connections of a dead coordinator", || {
        let hosts = Hosts::start(1, 1, |plan| plan);
        let workers = [&hosts.servers, &hosts.clients];
        let paths = workers.map(|workers| Proxy::start(workers.addresses()[0], Path::sound()));
        let [servers, clients] = paths.each_ref().map(|path| vec![path.address]);
        let mut groups = TwoGroups::begin(servers, clients);
        groups.advance_to_window();
        for path in &paths {
            path.strike(Strike::Stall);
            path.wait_for_stall();
        }
        let mut groups = groups.die_and_be_replaced();
        groups.catch_up_in_window();
        for workers in workers {
            assert_eq!(workers.log(0).matches("coordinator attached").count(), 2, "{}", workers.log(0));
        }
        // What the dead one may still have said comes too late.
        paths.iter().for_each(Proxy::release);
        hosts.gate.open();
        groups.advance_to(RepetitionPhase::Over);
        groups.assert_well();
        hosts.assert_starts(1);
        groups.finish(&hosts);
    });
}

/// It does not know that it was replaced, and dials again and again.
#[test]
fn a_predecessor_that_is_not_dead_does_not_come_back() {
    within("a coordinator that was replaced", || {
        let hosts = Hosts::start(1, 1, |plan| plan);
        let mut older = TwoGroups::begin(hosts.servers.addresses(), hosts.clients.addresses());
        older.advance_to_window();
        let mut newer = older.be_replaced();
        newer.catch_up_in_window();
        let id = older.servers;
        for _ in 0..5 {
            crate::wait_for(&mut older.coordinators, id, "a refusal", |event| {
                matches!(event, russula_proto::coordinator::Event::Disconnected(0, error)
                    if *error == russula_proto::PeerError::Refused(russula_proto::Refusal::Stale))
            });
        }
        hosts.gate.open();
        newer.advance_to(RepetitionPhase::Over);
        newer.assert_well();
        hosts.assert_starts(1);
        drop(older);
        newer.finish(&hosts);
    });
}

#[test]
fn a_worker_that_was_restarted_meanwhile_fails_the_repetition_by_name() {
    within("a worker without a memory", || {
        let mut hosts = Hosts::start(1, 1, |plan| plan);
        let (_reserved, address) = crate::reserve_port();
        let plan = |hosts: &Hosts| crate::common::WorkerPlan {
            address,
            life: crate::common::Life::UntilOpen(hosts.gate.clone()),
            ..crate::common::WorkerPlan::new(Group::Client, 1)
        };
        hosts.clients.stop_and_join();
        hosts.clients = plan(&hosts).start();
        let mut groups = TwoGroups::begin(hosts.servers.addresses(), vec![address]);
        groups.advance_to_window();
        let successor = groups.successor();
        drop(groups);
        hosts.clients.stop_and_join();
        hosts.clients = plan(&hosts).start();
        let mut groups = successor.begin();
        groups.advance_to(RepetitionPhase::Over);
        let failure = groups.coordinators.get(groups.clients).failure();
        assert_eq!(failure, Some(&Failure::Restarted { index: 0 }));
        assert_eq!(hosts.clients.starts(), [0], "the new process has started nothing");
        groups.finish(&hosts);
    });
}
