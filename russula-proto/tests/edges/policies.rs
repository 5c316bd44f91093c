//! What one failure does to the others: the rest of the group is stopped, then the other group, and the next
//! repetition goes on if it can.

use crate::by_hand::Run;
use russula_proto::coordinator::Event;
use russula_proto::{
    Ending, Exit, Failure, Group, Milestone, PeerError, RepetitionPhase, Stage, StartFailure,
};
use std::time::Duration;

/// One server and two clients, of which the last does nothing by itself.
fn run_with_slow_client() -> Run {
    let mut run = Run::new(1, 2);
    run.host(Group::Client, 1).is_prompt = false;
    run.begin(1);
    run
}

/// Everything was stopped, in the right order, and the failure has a name.
#[track_caller]
fn assert_stopped(run: &Run, group: Group, expected: &Failure) {
    let (failed, other) = match group {
        Group::Server | Group::Probe => (&run.servers, &run.clients),
        Group::Client => (&run.clients, &run.servers),
    };
    assert_eq!(failed.coordinator.failure(), Some(expected));
    assert_eq!(other.coordinator.failure(), None, "the other group is not to blame");
    assert_eq!(run.phases.last(), Some(&RepetitionPhase::Over));
    assert!(run.phases.contains(&RepetitionPhase::StoppingClients), "{:?}", run.phases);
    for side in [&run.servers, &run.clients] {
        assert_eq!(side.coordinator.reached(), Some(Milestone::Done));
        assert!(side.hosts.iter().all(|host| !host.has_program), "nothing outlives the repetition");
        let failures = side.events.iter().filter(|event| matches!(event, Event::Failed(_))).count();
        assert!(failures <= 1, "a repetition fails once");
    }
}

fn failed(index: usize, ending: Ending) -> Failure {
    Failure::Worker { index, ending }
}

#[test]
fn a_client_that_fails_stops_the_other_clients_and_then_the_servers() {
    let mut run = Run::running();
    run.host(Group::Client, 1).is_prompt = false;
    run.ended(Group::Client, 0, Exit::Code(3));
    assert_eq!(run.phase(), RepetitionPhase::StoppingClients);
    assert!(run.clients.hosts[1].was_told_to_stop);
    run.pass(Duration::from_secs(1));
    assert!(!run.servers.hosts[0].was_told_to_stop, "not before every client has ended");
    run.ended(Group::Client, 1, Exit::Signal(15));
    let ending = run.clients.hosts[0].worker.ending().cloned().expect("it has ended");
    assert_stopped(&run, Group::Client, &failed(0, ending));
    let endings: Vec<_> = run.clients.coordinator.peers().map(|peer| peer.ending.cloned()).collect();
    assert!(matches!(endings[..], [Some(Ending::Exited(_)), Some(Ending::Stopped(_))]), "{endings:?}");
}

#[test]
fn a_server_that_ends_by_itself_stops_the_clients() {
    let mut run = Run::running();
    run.ended(Group::Server, 0, Exit::Code(0));
    let ending = run.servers.hosts[0].worker.ending().cloned().expect("it has ended");
    assert!(run.clients.hosts.iter().all(|host| host.was_told_to_stop));
    assert_stopped(&run, Group::Server, &failed(0, ending));
}

#[test]
fn a_client_that_cannot_be_started_stops_everything() {
    let mut run = run_with_slow_client();
    run.pass_until(|run| run.clients.hosts[1].has_program);
    run.start_failed(Group::Client, 1);
    let ending = Ending::StartFailed(StartFailure::spawn("no such file"));
    assert_stopped(&run, Group::Client, &failed(1, ending));
}

#[test]
fn a_server_that_cannot_be_started_lets_no_client_start() {
    let mut run = Run::new(2, 2);
    run.host(Group::Server, 1).is_prompt = false;
    run.begin(1);
    run.pass_until(|run| run.servers.hosts[1].has_program);
    run.start_failed(Group::Server, 1);
    let ending = Ending::StartFailed(StartFailure::spawn("no such file"));
    assert_stopped(&run, Group::Server, &failed(1, ending));
    assert!(run.clients.hosts.iter().all(|host| host.starts.is_empty()));
    assert!(run.servers.hosts[0].was_told_to_stop);
}

#[test]
fn a_client_that_does_not_come_to_run_in_time_stops_everything() {
    let mut run = run_with_slow_client();
    run.pass(Duration::from_secs(40));
    let Some(Failure::Deadline { phase, waiting, .. }) = run.clients.coordinator.failure().cloned() else {
        panic!("the start has a deadline: {:?}", run.clients.coordinator.failure());
    };
    assert_eq!((phase.to_string().as_str(), waiting.first), ("programs running", vec![(1, None)]));
    // It ignores the signal, and is killed.
    assert_eq!(run.phase(), RepetitionPhase::Over);
    assert!(run.hosts().all(|host| !host.has_program));
}

#[test]
fn a_host_that_is_lost_is_not_waited_for_and_no_repetition_can_follow() {
    let mut run = Run::running();
    run.host(Group::Client, 0).is_reachable = false;
    let now = run.now;
    run.clients.coordinator.handle_host_lost(0, "the instance was terminated", now);
    run.settle();
    let error = PeerError::Host("the instance was terminated".into());
    let coordinator = &run.clients.coordinator;
    assert_eq!(coordinator.failure(), Some(&Failure::Lost { index: 0, error }));
    assert_eq!(run.phase(), RepetitionPhase::Over);
    assert!(run.clients.coordinator.peer(0).is_given_up && run.clients.hosts[1].was_told_to_stop);
    run.begin(2);
    assert_eq!(run.clients.coordinator.failure().and_then(Failure::worker), Some(0));
    run.pass_until(|run| run.phase() == RepetitionPhase::Over);
    let starts = |host: &crate::by_hand::Host| host.starts.iter().filter(|(number, _)| *number == 2).count();
    assert!(run.hosts().all(|host| starts(host) == 0), "a repetition that cannot succeed starts nothing");
}

#[test]
fn after_a_failed_repetition_the_next_one_goes_on() {
    let mut run = Run::running();
    run.ended(Group::Client, 0, Exit::Code(3));
    run.pass_until(|run| run.phase() == RepetitionPhase::Over);
    run.begin(2);
    run.pass_until(|run| run.clients.has_all_at(Stage::Running));
    for index in [0, 1] {
        run.ended(Group::Client, index, Exit::Code(0));
    }
    assert_eq!(run.phase(), RepetitionPhase::Over);
    for side in [&run.servers, &run.clients] {
        assert_eq!((side.coordinator.failure(), side.coordinator.reached()), (None, Some(Milestone::Done)));
    }
    assert!(run.hosts().all(|host| host.starts.iter().map(|(number, _)| *number).eq([1, 2])));
}

#[test]
fn a_user_who_gives_up_stops_the_clients_first_and_nothing_has_failed() {
    let mut run = Run::running();
    run.host(Group::Client, 1).is_prompt = false;
    run.repetition.as_mut().expect("it was begun").give_up();
    run.settle();
    assert_eq!(run.phase(), RepetitionPhase::StoppingClients);
    assert!(!run.servers.hosts[0].was_told_to_stop);
    run.ended(Group::Client, 1, Exit::Signal(15));
    assert_eq!(run.phase(), RepetitionPhase::Over);
    assert!(run.servers.coordinator.failure().is_none() && run.clients.coordinator.failure().is_none());
}

#[test]
fn a_client_that_cannot_be_stopped_is_left_to_its_host_and_named() {
    let mut run = Run::running();
    run.host(Group::Client, 1).is_prompt = false;
    run.ended(Group::Client, 0, Exit::Code(3));
    run.host(Group::Client, 1).cannot_be_killed = true;
    run.pass_until(|run| run.phase() == RepetitionPhase::Over);
    let coordinator = &run.clients.coordinator;
    assert!(coordinator.peer(1).is_given_up);
    assert_eq!(coordinator.peer(1).last_error, Some(&PeerError::NotStopped));
    assert_eq!(coordinator.failure().and_then(Failure::worker), Some(0), "the first failure counts");
    assert!(run.servers.hosts[0].was_told_to_stop);
}
