//! One run of several repetitions, drawn from a seed: first a phase with faults, then one in which everything
//! is mended and the run must come to its end.

mod faults;
mod options;

use crate::model::{HostId, Observation};
use crate::world::{GroupOptions, World};
use russula_proto::coordinator::Phase;
use russula_proto::{Ending, Failure, Group, Outcome, RepetitionPhase, Stage, Timestamp};
use std::ops::Range;
use std::time::Duration;

pub use faults::{Fault, Stranger, TimedFault};
pub use options::{HostOptions, ORPHAN, Options, Sizes};

/// A run that has been made.
#[derive(Debug)]
pub struct Run {
    /// What it was made of.
    pub options: Options,
    /// The world at its end.
    pub world: World,
    /// What became of each repetition.
    pub repetitions: Vec<Repetition>,
    /// What is still to be mended, latest first.
    broken: Vec<(Timestamp, Fault)>,
}

/// What became of a repetition.
#[derive(Debug)]
pub struct Repetition {
    /// Which, from 1.
    pub number: u32,
    /// Everything was mended before it began.
    pub is_calm: bool,
    /// Its part of the world's history.
    pub history: Range<usize>,
    /// It came to its end.
    pub is_over: bool,
    /// The user interrupted it.
    pub gave_up: bool,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What the coordinators know of each host.
    pub known: Vec<Known>,
}

/// What a coordinator knows of a host at the end of a repetition.
#[derive(Debug)]
pub struct Known {
    /// The host.
    pub host: HostId,
    /// How its part ended.
    pub ending: Option<Ending>,
    /// How far it was.
    pub stage: Stage,
    /// It is not dialed any more.
    pub is_given_up: bool,
}

impl Run {
    /// Makes the run of these options.
    pub fn of(options: Options) -> Self {
        let world = World::new(options.seed);
        Self::make(options, world)
    }

    /// The same, with a trace in words.
    pub fn traced(options: Options) -> Self {
        let world = World::traced(options.seed);
        Self::make(options, world)
    }

    /// What kind of end a repetition had.
    pub fn kind(repetition: &Repetition) -> &'static str {
        match &repetition.failure {
            None if repetition.gave_up => "interrupted",
            None => "done",
            Some(Failure::Worker { .. }) => "program failed",
            Some(Failure::Lost { .. }) => "worker lost",
            Some(Failure::Restarted { .. }) => "worker restarted",
            Some(Failure::Refused { .. }) => "refused",
            Some(Failure::Protocol { .. } | Failure::OutOfOrder { .. }) => "protocol",
            Some(Failure::Deadline { phase: Phase::Ready, .. }) => "deadline ready",
            Some(Failure::Deadline { phase: Phase::Start, .. }) => "deadline start",
            Some(Failure::Deadline { phase: Phase::Run, .. }) => "deadline run",
            Some(Failure::Deadline { phase: Phase::Stop, .. }) => "deadline stop",
        }
    }

    /// What was seen from the beginning of `repetition` to its end.
    pub fn seen_in(&self, repetition: &Repetition) -> impl Iterator<Item = &Observation> + Clone {
        self.world.history[repetition.history.clone()].iter().map(|(_, seen)| seen)
    }

    /// What the program of `host` produced in `repetition`.
    pub fn outcome_in(&self, repetition: &Repetition, host: HostId) -> Option<&Outcome> {
        self.seen_in(repetition).find_map(|seen| seen.outcome_of(host))
    }

    fn make(options: Options, mut world: World) -> Self {
        prepare(&mut world, &options);
        let mut run = Self { world, options, repetitions: vec![], broken: vec![] };
        for number in 1..=run.options.repetitions {
            run.repetition(number, false);
        }
        run.mend_everything();
        run.repetition(run.options.repetitions + 1, true);
        run.finish();
        run
    }

    fn repetition(&mut self, number: u32, is_calm: bool) {
        let begins = self.world.history.len();
        for host in &self.options.hosts {
            let script = host.scripts[number as usize - 1].clone();
            self.world.host(host.id).scripts = vec![script];
        }
        self.world.begin_repetition(number, 0);
        let (is_over, gave_up) =
            self.play(number, self.options.bound(), |world| world.phase() == Some(RepetitionPhase::Over));
        let mut known = vec![];
        for group in [Group::Server, Group::Client] {
            for (index, peer) in self.world.coordinator(group).peers().enumerate() {
                let host = HostId { group, index };
                let (stage, is_given_up) = (peer.stage, peer.is_given_up);
                known.push(Known { host, ending: peer.ending.cloned(), stage, is_given_up });
            }
        }
        let failure = self.world.failure().cloned();
        let history = begins..self.world.history.len();
        self.repetitions.push(Repetition { number, is_calm, history, is_over, gave_up, failure, known });
    }

    /// Goes on until `done` holds, but not beyond `limit`, and lets the faults of `number` strike meanwhile.
    /// Returns whether `done` holds, and whether the user interrupted.
    fn play(&mut self, number: u32, limit: Duration, done: fn(&World) -> bool) -> (bool, bool) {
        let begins = self.world.now;
        let mut gave_up = false;
        let mut next = self.options.faults.partition_point(|timed| timed.repetition < number);
        loop {
            let timed = self.options.faults.get(next).filter(|timed| timed.repetition == number).copied();
            let strikes_at = timed.map(|timed| begins + timed.after);
            let mended_at = self.broken.last().map(|(at, _)| *at);
            let ends_at = begins + limit;
            let until = [strikes_at, mended_at].into_iter().flatten().min().unwrap_or(ends_at).min(ends_at);
            if self.world.run_until(until.since(self.world.now), done) {
                return (true, gave_up);
            }
            if !self.world.breaches.is_empty() || until == ends_at {
                return (done(&self.world), gave_up);
            }
            if mended_at == Some(until) {
                let (_, fault) = self.broken.pop().expect("it was there");
                fault.mend(&mut self.world);
            } else if let Some(timed) = timed {
                next += 1;
                gave_up |= timed.fault == Fault::GiveUp;
                self.strike(timed);
            }
        }
    }

    fn strike(&mut self, timed: TimedFault) {
        timed.fault.strike(&mut self.world);
        if !timed.lasts.is_zero() {
            let at = self.world.now + timed.lasts;
            let place = self.broken.partition_point(|(other, _)| *other > at);
            self.broken.insert(place, (at, timed.fault));
        }
    }

    fn mend_everything(&mut self) {
        while let Some((_, fault)) = self.broken.pop() {
            fault.mend(&mut self.world);
        }
        self.world.probe_connections();
    }

    /// The end of the run, which may be disturbed too, and time enough for everybody to notice.
    fn finish(&mut self) {
        self.world.finish();
        self.play(self.options.repetitions + 2, Duration::from_secs(10), |_| false);
        self.mend_everything();
        self.world.run_for(ORPHAN + Duration::from_secs(30));
    }
}

fn prepare(world: &mut World, options: &Options) {
    world.network = options.network;
    world.orchestrator = options.orchestrator;
    for (group, workers) in [(Group::Server, options.servers), (Group::Client, options.clients)] {
        let (coordinator, worker) = (options.coordinator, options.worker);
        world.add_group(group, &GroupOptions { coordinator, worker, ..GroupOptions::of(workers) });
    }
    for host in &options.hosts {
        world.host(host.id).clock = host.clock;
    }
}
