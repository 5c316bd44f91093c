//! The model by itself: what it allows, and what it does not.

use super::*;
use russula_proto::{Ending, Exit, Outcome, Text};

const SERVER: HostId = HostId { group: Group::Server, index: 0 };
const CLIENT: HostId = HostId { group: Group::Client, index: 0 };

fn outcome(signal: i32) -> Outcome {
    Outcome {
        exit: Exit::Signal(signal),
        duration_us: 1,
        cpu_us: 1,
        max_rss_bytes: 1,
        voluntary_switches: 0,
        involuntary_switches: 0,
        stderr_tail: Text::default(),
    }
}

/// A repetition up to the moment when the server runs and the client may start.
fn served() -> Vec<Observation> {
    vec![
        Observation::Begun(1),
        Observation::Heard(SERVER, Stage::Ready),
        Observation::Heard(CLIENT, Stage::Ready),
        Observation::Reached(Group::Server, Milestone::Ready),
        Observation::Reached(Group::Client, Milestone::Ready),
        Observation::Phase(RepetitionPhase::StartingServers),
        Observation::Started(SERVER, 1),
        Observation::Running(SERVER),
        Observation::Heard(SERVER, Stage::Running),
        Observation::Reached(Group::Server, Milestone::WorkersRunning),
        Observation::Phase(RepetitionPhase::RunningClients),
    ]
}

/// What the model says to the last of `seen`; it allows everything before.
fn rule_broken_by(seen: &[Observation]) -> Option<&'static str> {
    let mut model = Model::new([SERVER, CLIENT]);
    let (last, before) = seen.split_last().unwrap();
    before.iter().for_each(|seen| model.observe(seen).unwrap());
    model.observe(last).err().map(|forbidden| forbidden.rule)
}

fn after_served(more: &[Observation]) -> Option<&'static str> {
    rule_broken_by(&[&served(), more].concat())
}

#[test]
fn a_repetition_that_goes_well_is_allowed_to_its_end() {
    let client_ends = Ending::Exited(outcome(0));
    let server_ends = Ending::Stopped(outcome(15));
    let rest = [
        Observation::Started(CLIENT, 1),
        Observation::Running(CLIENT),
        Observation::Heard(CLIENT, Stage::Running),
        Observation::Ended(CLIENT, Box::new(outcome(0))),
        Observation::Heard(CLIENT, Stage::Ended),
        Observation::Learnt(CLIENT, Box::new(client_ends)),
        Observation::Reached(Group::Client, Milestone::WorkersRunning),
        Observation::Reached(Group::Client, Milestone::Done),
        Observation::Phase(RepetitionPhase::StoppingServers),
        Observation::Terminated(SERVER),
        Observation::Ended(SERVER, Box::new(outcome(15))),
        Observation::Heard(SERVER, Stage::Ended),
        Observation::Learnt(SERVER, Box::new(server_ends)),
        Observation::Reached(Group::Server, Milestone::Done),
        Observation::Phase(RepetitionPhase::Over),
    ];
    let mut model = Model::new([SERVER, CLIENT]);
    served().iter().chain(&rest).for_each(|seen| model.observe(seen).unwrap());
    assert_eq!(model.end(), Ok(()));
}

#[test]
fn the_order_of_the_groups_is_kept() {
    let early = [Observation::Begun(1), Observation::Started(CLIENT, 1)];
    assert_eq!(rule_broken_by(&early), Some("no client starts before every server of its repetition runs"));
    let stopped = after_served(&[Observation::Started(CLIENT, 1), Observation::Terminated(SERVER)]);
    let rule = "no server is stopped before every client has ended, unless the repetition has failed";
    assert_eq!(stopped, Some(rule));
    let interrupted = [Observation::GivenUp, Observation::Terminated(SERVER)];
    assert_eq!(after_served(&interrupted), None);
}

#[test]
fn a_program_starts_once_in_a_repetition() {
    let again = [
        Observation::Started(CLIENT, 1),
        Observation::Ended(CLIENT, Box::new(outcome(9))),
        Observation::Started(CLIENT, 1),
    ];
    assert_eq!(after_served(&again), Some("each program starts at most once per repetition"));
    let ahead = [Observation::Started(CLIENT, 2)];
    assert_eq!(after_served(&ahead), Some("that repetition was not begun"));
}

#[test]
fn what_is_heard_has_to_be_true() {
    let never = [Observation::Heard(CLIENT, Stage::Running)];
    assert_eq!(after_served(&never), Some("it was never so"));
    let back = [Observation::Heard(SERVER, Stage::Ready)];
    assert_eq!(after_served(&back), Some("what is heard of a worker only goes forward"));
    let other = [
        Observation::Started(CLIENT, 1),
        Observation::Ended(CLIENT, Box::new(outcome(9))),
        Observation::Learnt(CLIENT, Box::new(Ending::Exited(outcome(11)))),
    ];
    assert_eq!(after_served(&other), Some("that is not what the worker saw"));
}

#[test]
fn nothing_is_left_behind() {
    let mut model = Model::new([SERVER, CLIENT]);
    served().iter().for_each(|seen| model.observe(seen).unwrap());
    assert_eq!(model.end(), Err("the program of server 0 is left".into()));
    let ended = [Observation::WorkerEnded(SERVER)];
    assert_eq!(after_served(&ended), Some("a worker does not end before its program"));
    assert_eq!(after_served(&[Observation::WorkerKilled(SERVER)]), None, "its program dies with it");
}

#[test]
fn another_process_hears_everything_again() {
    let again = [
        Observation::CoordinatorsGone,
        Observation::Heard(SERVER, Stage::Running),
        Observation::Heard(CLIENT, Stage::Ready),
        Observation::Reached(Group::Server, Milestone::Ready),
        Observation::Reached(Group::Server, Milestone::WorkersRunning),
        Observation::Started(SERVER, 1),
    ];
    assert_eq!(after_served(&again), Some("a program runs there already"));
}
