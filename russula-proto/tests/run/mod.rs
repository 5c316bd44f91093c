//! One run of several repetitions, drawn from a seed.

mod check;
mod options;

use crate::harness::{Fact, GroupOptions, HostId, World};
use russula_proto::{Failure, Group, RepetitionPhase, Timestamp};
use std::time::Duration;

pub(crate) use options::{Fault, Options};

/// A run that has been made.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) world: World,
    pub(crate) repetitions: Vec<Repetition>,
}

/// What became of a repetition.
pub(crate) struct Repetition {
    pub(crate) number: u32,
    /// Its part of the world's history.
    pub(crate) begins: usize,
    pub(crate) ends: usize,
    pub(crate) is_over: bool,
    pub(crate) gave_up: bool,
    pub(crate) failure: Option<Failure>,
    /// What the coordinators know of each host: its ending, and whether it is still in touch.
    pub(crate) known: Vec<(HostId, Option<russula_proto::Ending>, russula_proto::Stage)>,
}

impl Run {
    /// Makes the run of `seed`.
    pub(crate) fn of(seed: u64) -> Self {
        let options = Options::of(seed);
        let mut run = Self { seed, world: world(seed, &options), options, repetitions: vec![] };
        for number in 1..=run.options.repetitions {
            run.repetition(number);
        }
        run.finish();
        run
    }

    /// The kind of its last repetition, to see that the runs differ.
    pub(crate) fn kind(&self) -> &'static str {
        let Some(last) = self.repetitions.last() else { return "nothing" };
        match &last.failure {
            None if last.gave_up => "interrupted",
            None => "done",
            Some(Failure::Worker { .. }) => "program failed",
            Some(Failure::Lost { .. }) => "worker lost",
            Some(Failure::Restarted { .. }) => "worker restarted",
            Some(Failure::Refused { .. }) => "refused",
            Some(Failure::Protocol { .. } | Failure::OutOfOrder { .. }) => "protocol",
            Some(Failure::Deadline { phase, .. }) => match phase {
                russula_proto::coordinator::Phase::Ready => "deadline ready",
                russula_proto::coordinator::Phase::Start => "deadline start",
                russula_proto::coordinator::Phase::Run => "deadline run",
                russula_proto::coordinator::Phase::Stop => "deadline stop",
            },
        }
    }

    fn repetition(&mut self, number: u32) {
        let world = &mut self.world;
        let (begins, start) = (world.history.len(), world.now);
        for (host, scripts) in &self.options.scripts {
            world.host(*host).scripts = vec![scripts[number as usize - 1].clone()];
        }
        world.begin_repetition(number, 0);
        let over = |world: &World| world.phase() == Some(RepetitionPhase::Over);
        let mut gave_up = false;
        let faults: Vec<(Duration, Fault)> =
            self.options.faults.iter().filter(|f| f.0 == number).map(|f| (f.1, f.2)).collect();
        for (at, fault) in faults {
            let wait = (start + at).since(world.now);
            let is_over = world.run_until(wait, over);
            if !is_over || matches!(fault, Fault::Heal(_)) {
                gave_up |= fault == Fault::GiveUp;
                apply(world, fault);
            }
        }
        let is_over = world.run_until(self.options.bound(), over);
        let mut known = vec![];
        for group in [Group::Server, Group::Client] {
            for (index, peer) in world.coordinator(group).peers().enumerate() {
                known.push((HostId { group, index }, peer.ending.cloned(), peer.stage));
            }
        }
        let failure = world.failure().cloned();
        let ends = world.history.len();
        self.repetitions.push(Repetition { number, begins, ends, is_over, gave_up, failure, known });
    }

    /// The end of the run, and time enough for everybody to notice.
    fn finish(&mut self) {
        let hosts: Vec<HostId> = self.world.hosts().map(|host| host.id).collect();
        for host in hosts {
            apply(&mut self.world, Fault::Heal(host));
        }
        for group in [Group::Server, Group::Client] {
            self.world.with_coordinator(group, |c, now| c.finish(now));
        }
        self.world.run_for(Duration::from_secs(10));
        self.world.probe_connections();
        self.world.run_for(options::ORPHAN + Duration::from_secs(30));
    }

    /// The history of `repetition`.
    pub(crate) fn history(&self, repetition: &Repetition) -> &[(Timestamp, Fact)] {
        &self.world.history[repetition.begins..repetition.ends]
    }
}

fn world(seed: u64, options: &Options) -> World {
    let mut world = World::new(seed);
    world.network = options.network;
    for (group, workers) in [(Group::Server, options.servers), (Group::Client, options.clients)] {
        let (coordinator, worker) = (options.coordinator, options.worker);
        world.add_group(group, &GroupOptions { coordinator, worker, ..GroupOptions::of(workers) });
    }
    world
}

fn apply(world: &mut World, fault: Fault) {
    match fault {
        Fault::Cut(host) => world.cut(host),
        Fault::CutUnnoticed(host) => world.cut_unnoticed_by_worker(host),
        Fault::Hold(host) => world.hold(host),
        Fault::Refuse(host) => world.host(host).refuses = true,
        Fault::Stranger(host) => world.stranger(host, b"GET / HTTP/1.1\r\n\r\n"),
        Fault::Silence(host) => world.stranger(host, b""),
        Fault::Heal(host) => {
            world.host(host).refuses = false;
            world.release(host);
        }
        Fault::GiveUp => world.give_up(),
    }
}
