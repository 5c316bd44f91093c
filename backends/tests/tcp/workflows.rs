//! The workflows to their ends, with nothing in the way.

use crate::common::{WorkerPlan, coordinator_config, within};
use crate::{assert_usual_endings, coordinate, finish, reserve_port, run_repetition, wait_for};
use backends::tcp::{Coordinators, RunTillError};
use russula_proto::coordinator::{Event, Phase};
use russula_proto::{Failure, Group, Milestone, PeerError, Repetition, RepetitionPhase, Stage};
use std::time::Duration;

fn runs_to_done(group: Group, workers: u16) {
    within("a workflow to done", move || {
        let workers = WorkerPlan::new(group, workers).start();
        let (mut coordinators, id) = coordinate(group, workers.addresses());
        run_repetition(&mut coordinators, id, 1);
        assert!(workers.starts().into_iter().all(|starts| starts == 1));
        finish(coordinators, &workers);
    });
}

#[test]
fn one_server_worker() {
    runs_to_done(Group::Server, 1);
}

#[test]
fn twenty_server_workers() {
    runs_to_done(Group::Server, 20);
}

#[test]
fn one_client_worker() {
    runs_to_done(Group::Client, 1);
}

#[test]
fn twenty_client_workers() {
    runs_to_done(Group::Client, 20);
}

#[test]
fn a_workflow_with_read_buffers_of_one_byte_on_both_sides() {
    for group in [Group::Server, Group::Client] {
        within("a workflow, byte by byte", move || {
            let plan =
                WorkerPlan { read_buffer_len: Some(1), stderr_tail_len: 4096, ..WorkerPlan::new(group, 3) };
            let workers = plan.start();
            let mut coordinators = Coordinators::new().unwrap().with_read_buffer(1);
            let id = coordinators.add(coordinator_config(group, 3), workers.addresses());
            coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
            coordinators.run_till(id, Milestone::WorkersRunning).unwrap();
            coordinators.run_till(id, Milestone::Done).unwrap();
            assert_usual_endings(&coordinators, id, 4096);
            finish(coordinators, &workers);
        });
    }
}

#[test]
fn many_repetitions_over_the_same_connections() {
    for group in [Group::Server, Group::Client] {
        within("many repetitions", move || {
            let workers = WorkerPlan { is_logged: false, ..WorkerPlan::new(group, 5) }.start();
            let (mut coordinators, id) = coordinate(group, workers.addresses());
            for repetition in 1..=200 {
                run_repetition(&mut coordinators, id, repetition);
            }
            assert!(workers.starts().into_iter().all(|starts| starts == 200));
            finish(coordinators, &workers);
        });
    }
}

#[test]
fn both_groups_of_a_repetition_on_one_thread() {
    within("repetitions of two groups", || {
        let servers = WorkerPlan::new(Group::Server, 3).start();
        let clients = WorkerPlan::new(Group::Client, 2).start();
        let mut coordinators = Coordinators::new().unwrap();
        let server_group = coordinators.add(coordinator_config(Group::Server, 3), servers.addresses());
        let client_group = coordinators.add(coordinator_config(Group::Client, 2), clients.addresses());
        let groups = (server_group, client_group);
        for number in 1..=3 {
            let mut repetition = coordinators.with_both(groups, |servers, clients, now| {
                Repetition::begin(number, 0, servers, clients, now)
            });
            while repetition.phase() != RepetitionPhase::Over {
                if repetition.phase() == RepetitionPhase::Preparing {
                    assert!(clients.starts().into_iter().all(|starts| starts == number - 1));
                }
                coordinators.wait(None).unwrap();
                let _ = coordinators.with_both(groups, |servers, clients, now| {
                    repetition.advance(servers, clients, now).count()
                });
            }
            assert_usual_endings(&coordinators, server_group, 0);
            assert_usual_endings(&coordinators, client_group, 0);
        }
        coordinators.finish().unwrap();
        servers.join();
        clients.join();
    });
}

#[test]
fn a_worker_that_listens_only_after_it_was_dialed_is_reached() {
    within("a late worker", || {
        let (reserved, address) = reserve_port();
        let (mut coordinators, id) = coordinate(Group::Server, vec![address]);
        coordinators.with(id, |coordinator, now| coordinator.begin(1, 0, now));
        for _ in 0..3 {
            wait_for(&mut coordinators, id, "a refused attempt", |event| {
                matches!(event, Event::Disconnected(0, PeerError::Connection(_)))
            });
        }
        let workers = WorkerPlan { address, ..WorkerPlan::new(Group::Server, 1) }.start();
        drop(reserved);
        for milestone in Milestone::ALL {
            coordinators.run_till(id, milestone).unwrap();
        }
        assert_usual_endings(&coordinators, id, 0);
        finish(coordinators, &workers);
    });
}

#[test]
fn a_worker_that_never_comes_is_named_when_the_deadline_passes() {
    within("a worker that never comes", || {
        let (_reserved, nobody) = reserve_port();
        let workers = WorkerPlan::new(Group::Server, 1).start();
        let mut config = coordinator_config(Group::Server, 2);
        config.limits.ready = Duration::from_millis(200);
        let mut coordinators = Coordinators::new().unwrap();
        let id = coordinators.add(config, vec![workers.addresses()[0], nobody]);
        coordinators.begin(id, 1, 0);
        let is_ready = |event: &Event| *event == Event::Worker(0, Stage::Ready);
        wait_for(&mut coordinators, id, "the worker that is there", is_ready);
        let Err(RunTillError::Failed(failure)) = coordinators.run_till(id, Milestone::Ready) else {
            panic!("worker 1 was never started")
        };
        let Failure::Deadline { phase: Phase::Ready, waiting, .. } = &failure else {
            panic!("expected the deadline for workers to be ready, got {failure}")
        };
        assert_eq!(waiting.first.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
        let text = failure.to_string();
        assert!(text.contains("'workers ready' passed after 0.2 s"), "{text}");
        assert!(text.contains(&format!("worker 1 (cannot connect to {nobody}")), "{text}");
        assert_eq!(coordinators.get(id).peer(0).stage, Stage::Released);
        finish(coordinators, &workers);
    });
}
