//! One run of several repetitions, drawn from a seed: first a phase with faults, then one in which everything
//! is mended and the run must come to its end.

mod faults;
mod options;

use crate::model::{HostId, Observation};
use crate::world::{Entry, GroupOptions, World};
use russula_proto::coordinator::Phase;
use russula_proto::{
    ClockOffset, Ending, Failure, Group, Outcome, QuietWindow, RepetitionPhase, Stage, Timestamp,
};
use std::ops::Range;
use std::time::Duration;

pub use faults::{Fault, TimedFault};
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
    /// How quiet the window was, by what the machines counted themselves.
    pub quiet: Option<QuietWindow>,
    /// When the clients were to start, on the coordinators' clock.
    pub start_at: Option<Timestamp>,
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
    /// How far its clock is ahead.
    pub clock: Option<ClockOffset>,
    /// When its program ran, on the coordinators' clock.
    pub started_at: Option<Timestamp>,
}

impl Run {
    /// Makes the run of these options.
    pub fn of(options: Options) -> Self {
        let world = World::new(options.seed);
        Self::make(options, world)
    }

    /// The same, with a trace in words, every line of which is shown to `reader` at once.
    pub fn traced(options: Options, reader: fn(&Entry)) -> Self {
        let mut world = World::traced(options.seed);
        world.reader = Some(reader);
        Self::make(options, world)
    }

    /// A run that another engine has made; `world` holds what was seen in it.
    pub(crate) fn recorded(options: Options, world: World, repetitions: Vec<Repetition>) -> Self {
        Self { options, world, repetitions, broken: vec![] }
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

    /// What the program of `host` produced that was started for `repetition`.
    pub fn outcome_in(&self, repetition: &Repetition, host: HostId) -> Option<&Outcome> {
        let started = Observation::Started(host, repetition.number);
        let mut seen = self.seen_in(repetition).skip_while(|seen| **seen != started);
        seen.find_map(|seen| seen.outcome_of(host))
    }

    fn make(options: Options, mut world: World) -> Self {
        prepare(&mut world, &options);
        let mut run = Self { world, options, repetitions: vec![], broken: vec![] };
        for number in 1..=run.options.repetitions {
            run.repetition(number, false);
            if !run.is_over() {
                return run;
            }
        }
        run.mend_everything();
        run.repetition(run.options.repetitions + 1, true);
        if run.is_over() {
            run.finish();
        }
        run
    }

    /// Whether the newest repetition came to its end, so that something may follow.
    fn is_over(&self) -> bool {
        self.repetitions.last().is_none_or(|repetition| repetition.is_over)
    }

    fn repetition(&mut self, number: u32, is_calm: bool) {
        let begins = self.world.history.len();
        for host in &self.options.hosts {
            let script = host.scripts[number as usize - 1].clone();
            self.world.host(host.id).scripts = vec![script];
        }
        self.world.begin_repetition(number, 0);
        let bound = self.options.bound(number);
        let is_over = self.play(number, bound, |world| world.phase() == Some(RepetitionPhase::Over));
        let mut known = vec![];
        for group in [Group::Server, Group::Client] {
            for (index, peer) in self.world.coordinator(group).peers().enumerate() {
                known.push(Known {
                    host: HostId { group, index },
                    ending: peer.ending.cloned(),
                    stage: peer.stage,
                    is_given_up: peer.is_given_up,
                    clock: peer.clock,
                    started_at: peer.started_at,
                });
            }
        }
        let (servers, clients) =
            (self.world.coordinator(Group::Server), self.world.coordinator(Group::Client));
        self.repetitions.push(Repetition {
            number,
            is_calm,
            history: begins..self.world.history.len(),
            is_over,
            gave_up: self.world.gave_up(),
            failure: self.world.failure().cloned(),
            quiet: russula_proto::Repetition::quiet(servers, clients),
            start_at: clients.start_at(),
            known,
        });
    }

    /// Goes on until `done` holds, but not beyond `limit`, and lets the faults of `number` strike meanwhile.
    /// Returns whether `done` holds.
    fn play(&mut self, number: u32, limit: Duration, done: fn(&World) -> bool) -> bool {
        let begins = self.world.now;
        let mut next = self.options.faults.partition_point(|timed| timed.repetition < number);
        loop {
            let timed = self.options.faults.get(next).filter(|timed| timed.repetition == number).copied();
            let strikes_at = timed.map(|timed| begins + timed.after);
            let mended_at = self.broken.last().map(|(at, _)| *at);
            let ends_at = begins + limit;
            let until = [strikes_at, mended_at].into_iter().flatten().min().unwrap_or(ends_at).min(ends_at);
            if self.world.run_until(until.since(self.world.now), done) {
                return true;
            }
            if !self.world.breaches.is_empty() || until == ends_at {
                return done(&self.world);
            }
            if mended_at == Some(until) {
                let (_, fault) = self.broken.pop().expect("it was there");
                fault.mend(&mut self.world);
            } else if let Some(timed) = timed {
                next += 1;
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
        self.world.finish();
        self.world.run_for(ORPHAN + Duration::from_secs(30));
    }
}

fn prepare(world: &mut World, options: &Options) {
    if options.is_encrypted {
        world.encrypt_in_earnest();
    }
    world.records = options.faults.iter().any(|timed| matches!(timed.fault, Fault::Strangers(..)));
    world.is_strict = options.is_strict;
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
