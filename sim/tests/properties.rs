//! What holds whatever the bytes are split into and however often an input is repeated.
//!
//! The rest of the caller's contract (`Wait` is repeated, an early timeout does nothing, queues are bounded,
//! bytes that wait are announced) is checked by the harness after every single input, so that every test in
//! this folder checks it.

use russula_proto::{Exit, Group, RepetitionPhase, Stage, StartFailure};
use sim::HostId;
use sim::model::{End, Observation};
use sim::world::{GroupOptions, Kind, Script, Split, Starts, World};
use std::time::Duration;

const SERVER: HostId = HostId { group: Group::Server, index: 0 };
const CLIENT: HostId = HostId { group: Group::Client, index: 1 };

/// What goes wrong in a run, and its name.
type Story = (&'static str, fn(&mut World));

const STORIES: [Story; 6] = [
    ("nothing goes wrong", |_| {}),
    ("a client fails", |world| {
        let stderr = "error: broken pipe\n".repeat(40);
        let script = Script { exit: Exit::Code(1), stderr, ..Script::running(Duration::from_millis(300)) };
        world.host(CLIENT).scripts[0] = script;
    }),
    ("a server does not start", |world| {
        let starts = Starts::Fails(StartFailure::spawn("Permission denied"));
        world.host(SERVER).scripts[0] = Script { starts, ..Script::for_ever() };
    }),
    ("a server ignores TERM", |world| {
        world.host(SERVER).scripts[0].ignores_term = true;
    }),
    ("connections break", |world| {
        world.run_for(Duration::from_millis(200));
        world.cut(CLIENT);
        world.cut_noticed_by(SERVER, End::Dialer);
    }),
    ("the user interrupts", |world| {
        world.run_for(Duration::from_millis(200));
        world.give_up();
    }),
];

#[test]
fn the_split_of_the_bytes_makes_no_difference() {
    for (name, story) in STORIES {
        let whole = tell(story, Split::Whole, 0, 1);
        assert_eq!(by_speaker(&tell(story, Split::Bytes, 0, 1)), by_speaker(&whole), "{name}, byte by byte");
        for seed in 0..20 {
            let random = tell(story, Split::UpTo(40), seed, 1);
            assert_eq!(by_speaker(&random), by_speaker(&whole), "{name}, seed {seed}");
        }
    }
}

#[test]
fn every_input_may_be_repeated() {
    for (name, story) in STORIES {
        let once = tell(story, Split::Whole, 0, 1);
        for times in 2..4 {
            assert_eq!(tell(story, Split::Whole, 0, times).text(), once.text(), "{name}, {times} times");
        }
    }
}

#[test]
fn the_connections_are_silent_while_all_clients_run() {
    for split in [Split::Whole, Split::Bytes] {
        let world = tell(|_| {}, split, 0, 1);
        let runs = |fact: &Observation| matches!(fact, Observation::Heard(host, Stage::Running) if host.group == Group::Client);
        let opens = world.history.iter().rposition(|(_, fact)| runs(fact)).unwrap();
        let closes =
            world.history.iter().position(|(_, fact)| matches!(fact, Observation::Ended(..))).unwrap();
        let (from, to) = (world.history[opens].0, world.history[closes].0);
        assert!(to.since(from) > Duration::from_millis(400), "the window is a real one: {from} to {to}");
        let carries = |fact: &Observation| matches!(fact, Observation::Sent(..) | Observation::Arrived(..));
        let carried = world.history[opens..closes].iter().filter(|(_, fact)| carries(fact)).count();
        assert_eq!(carried, 0, "{split:?}");
    }
}

/// A world of two servers and two clients in which `story` happens, up to the end of the run.
fn tell(story: impl Fn(&mut World), split: Split, seed: u64, times: usize) -> World {
    let mut world = World::traced(seed);
    (world.network.split, world.times) = (split, times);
    for group in [Group::Server, Group::Client] {
        world.add_group(group, &GroupOptions::of(2));
    }
    for index in 0..2 {
        world.host(HostId { group: Group::Client, index }).scripts[0].run = Some(Duration::from_millis(500));
    }
    world.begin_repetition(1, 0);
    story(&mut world);
    let over = |world: &World| world.phase() == Some(RepetitionPhase::Over);
    assert!(world.run_until(Duration::from_secs(60), over), "{}", world.text());
    world.finish();
    world.run_until_idle();
    assert!(world.breaches.is_empty(), "{:?}", world.breaches);
    world
}

/// The log, sorted by who speaks: pieces that arrive in the same moment may make machines take turns in
/// another order, and a machine tells of what it has taken only when a piece is at its end.
fn by_speaker(world: &World) -> Vec<String> {
    let mut entries: Vec<_> = world.trace.iter().filter(|entry| entry.kind != Kind::Message).collect();
    entries.sort_by_key(|entry| (entry.who, entry.at));
    entries.into_iter().map(|entry| entry.to_string()).collect()
}
