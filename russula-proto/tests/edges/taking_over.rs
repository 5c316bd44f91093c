//! A coordinators' process that dies at any point, and another that takes the repetition over.

use crate::by_hand::Run;
use russula_proto::{Ending, Exit, Failure, Group, Milestone, RepetitionPhase, Stage};
use std::time::Duration;

/// What happens while nobody drives the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Every program that waits for nobody goes its way, to its end.
    ProgramsGoOn,
    /// This worker is restarted.
    Restart(Group, usize),
}

/// Brings a run of which nobody dies to its end: each client's program ends a second after it runs.
fn play(run: &mut Run) {
    for _ in 0..100 {
        if run.is_dead() || run.phase() == RepetitionPhase::Over {
            return;
        }
        run.pass(Duration::from_secs(1));
        end_programs(run);
    }
    panic!("it does not end: {:?}", run.phases);
}

fn end_programs(run: &mut Run) {
    for index in 0..run.clients.hosts.len() {
        if run.clients.hosts[index].has_program {
            run.ended(Group::Client, index, Exit::Code(0));
        }
    }
}

/// A run whose process dies after `outputs` outputs; `None` if it comes to its end before that.
fn run_that_dies_after(outputs: usize) -> Option<Run> {
    let mut run = Run::new(1, 2);
    run.dies_after = Some(outputs);
    run.begin(1);
    play(&mut run);
    run.is_dead().then_some(run)
}

fn pass_meanwhile(run: &mut Run, meanwhile: Meanwhile) {
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::ProgramsGoOn => {
            run.pass(Duration::from_secs(2));
            end_programs(run);
        }
        Meanwhile::Restart(group, index) => run.restart(group, index),
    }
}

/// The run with a process that dies at every point of it, one after the other.
fn at_every_point(check: impl Fn(usize, Run)) -> usize {
    let mut points = 0;
    while let Some(run) = run_that_dies_after(points + 1) {
        check(points + 1, run);
        points += 1;
    }
    assert!(points > 60, "only {points} points in a whole run");
    points
}

#[track_caller]
fn assert_well(run: &Run, what: &str) {
    for side in [&run.servers, &run.clients] {
        assert_eq!(side.coordinator.failure(), None, "{what}");
        assert_eq!(side.coordinator.reached(), Some(Milestone::Done), "{what}");
        for (peer, host) in side.coordinator.peers().zip(&side.hosts) {
            assert_eq!(host.starts.len(), 1, "{what}: nothing is started twice");
            assert!(!host.has_program && peer.stage == Stage::Released, "{what}");
            assert_eq!(peer.ending, host.worker.ending(), "{what}: the outcome is heard");
            let is_right = match side.coordinator.group() {
                Group::Server | Group::Probe => matches!(peer.ending, Some(Ending::Stopped(_))),
                Group::Client => matches!(peer.ending, Some(Ending::Exited(_))),
            };
            assert!(is_right, "{what}: {:?}", peer.ending);
        }
    }
}

#[test]
fn a_run_is_taken_over_at_any_point() {
    for meanwhile in [Meanwhile::Nothing, Meanwhile::ProgramsGoOn] {
        at_every_point(|point, mut run| {
            let record = run.record();
            let what = format!("died after {point} outputs in {:?}, {meanwhile:?}", record.phase);
            pass_meanwhile(&mut run, meanwhile);
            run.take_over(&record);
            play(&mut run);
            assert_well(&run, &what);
        });
    }
}

#[test]
fn a_run_is_taken_over_again_and_again() {
    for lives in [5, 11, 17] {
        let mut run = run_that_dies_after(lives).expect("it is not over so soon");
        // Each process lives a little longer than the one before.
        let mut processes = 1;
        while run.is_dead() {
            let record = run.record();
            run.take_over_for(&record, Some(lives + processes));
            play(&mut run);
            processes += 1;
        }
        assert!(processes > 5, "{processes} processes");
        assert_well(&run, &format!("the first process does {lives} things"));
    }
}

/// The last process had not come as far as to know who was there, or had not written it down.
#[test]
fn a_record_without_memories_is_enough_as_long_as_nothing_is_lost() {
    at_every_point(|point, mut run| {
        let mut record = run.record();
        record.servers.fill(None);
        record.clients.fill(None);
        run.take_over(&record);
        play(&mut run);
        assert_well(&run, &format!("died after {point} outputs"));
    });
}

#[test]
fn a_worker_that_was_restarted_meanwhile_fails_the_repetition_by_name_and_starts_nothing_again() {
    for (group, index) in [(Group::Server, 0), (Group::Client, 1)] {
        at_every_point(|point, mut run| {
            let record = run.record();
            let what = format!("{group} {index} restarted after {point} outputs, in {:?}", record.phase);
            let memories = if group == Group::Server { &record.servers } else { &record.clients };
            let was_met = memories[index].is_some();
            let first_start = match group {
                Group::Server | Group::Probe => RepetitionPhase::StartingServers,
                Group::Client => RepetitionPhase::RunningClients,
            };
            let may_have_started = record.phase >= first_start;
            let was_started = run.host(group, index).starts.len();
            pass_meanwhile(&mut run, Meanwhile::Restart(group, index));
            run.take_over(&record);
            play(&mut run);
            let host = run.host(group, index);
            assert!(!host.has_program && host.starts.len() <= 1, "{what}: {:?}", host.starts);
            let host_starts = host.starts.len();
            let failure = run.side(group).coordinator.failure();
            if may_have_started {
                assert!(was_met, "{what}");
                assert_eq!(failure, Some(&Failure::Restarted { index }), "{what}");
                assert_eq!(run.host(group, index).starts.len(), was_started, "{what}");
            } else {
                assert_eq!((failure, host_starts), (None, 1), "{what}");
            }
            assert!(run.hosts().all(|host| !host.has_program), "{what}: nothing outlives the repetition");
        });
    }
}

/// Found by the model check: the process that died had met the new worker already, and handed that one's memory over.
#[test]
fn a_worker_that_was_restarted_after_its_end_does_not_start_for_whoever_takes_over() {
    let mut run = Run::running();
    run.ended(Group::Client, 0, Exit::Code(0));
    run.restart(Group::Client, 0);
    run.pass(Duration::from_secs(1));
    let peer = run.clients.coordinator.peer(0);
    assert!(peer.is_connected && peer.stage >= Stage::Ended, "it had ended before, and is there again");
    let record = run.record();
    assert_eq!(record.phase, RepetitionPhase::RunningClients, "the other clients go on");
    run.take_over(&record);
    play(&mut run);
    assert_eq!(run.host(Group::Client, 0).starts.len(), 1);
    assert_eq!(run.clients.coordinator.failure(), Some(&Failure::Restarted { index: 0 }));
}

#[test]
fn a_run_that_had_failed_is_stopped_by_whoever_takes_it_over() {
    let mut stopped = 0;
    at_every_point(|_, mut run| {
        let mut record = run.record();
        record.has_failed = true;
        let starts: Vec<usize> = run.hosts().map(|host| host.starts.len()).collect();
        run.take_over(&record);
        run.pass_until(|run| run.phase() == RepetitionPhase::Over);
        assert!(run.hosts().all(|host| !host.has_program));
        let after: Vec<usize> = run.hosts().map(|host| host.starts.len()).collect();
        assert_eq!(after, starts, "what has failed starts nothing more");
    });
    // The last process may also have died in the middle of stopping everything.
    for outputs in 1..40 {
        let mut run = Run::running();
        run.dies_after = Some(outputs);
        run.repetition.as_mut().expect("it was begun").give_up();
        run.settle();
        if !run.is_dead() {
            break;
        }
        let record = run.record();
        assert!(record.phase >= RepetitionPhase::StoppingClients, "{record:?}");
        run.take_over(&record);
        run.pass_until(|run| run.phase() == RepetitionPhase::Over);
        assert!(run.hosts().all(|host| !host.has_program && host.starts.len() == 1));
        stopped += 1;
    }
    assert!(stopped > 5, "{stopped}");
}
