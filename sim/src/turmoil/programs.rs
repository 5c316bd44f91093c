//! The program of a host: what a worker asks of it, and what becomes of it, by its script.

use crate::world::{Script, Starts};
use russula_proto::{Exit, Outcome, StartFailure, Text, Timestamp};
use std::time::Duration;

/// From a signal to the end of a program.
const DYING: Duration = Duration::from_millis(1);

/// At most one program.
#[derive(Debug, Default)]
pub(super) struct Programs {
    program: Option<Program>,
}

#[derive(Debug)]
struct Program {
    script: Script,
    started_at: Timestamp,
    runs: bool,
    /// What is going to happen to it.
    coming: Vec<(Timestamp, Coming)>,
}

#[derive(Debug)]
enum Coming {
    Runs,
    FailsToStart(StartFailure),
    Exits(Exit),
}

/// What has become of the program.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// It runs; a server listens.
    Runs,
    /// It could not be started.
    StartFailed(StartFailure),
    /// It has ended.
    Ended {
        outcome: Outcome,
        /// It was to listen, and ended by itself before it did.
        before_listening: bool,
    },
}

impl Programs {
    /// Whether there is one.
    pub(super) fn is_any(&self) -> bool {
        self.program.is_some()
    }

    /// Starts one.
    pub(super) fn start(&mut self, script: Script, now: Timestamp) {
        let started = now + script.start;
        let mut coming = match &script.starts {
            Starts::Listens => vec![(started, Coming::Runs)],
            Starts::NeverListens => vec![],
            Starts::Fails(failure) => vec![(started, Coming::FailsToStart(failure.clone()))],
        };
        coming.extend(script.run.map(|run| (started + run, Coming::Exits(script.exit))));
        self.program = Some(Program { script, started_at: now, runs: false, coming });
    }

    /// Asks it to end; whether it listens to that.
    pub(super) fn terminate(&mut self, now: Timestamp) -> bool {
        let heeds = self.program.as_ref().is_some_and(|program| !program.script.ignores_term);
        if heeds {
            self.signal(15, now);
        }
        heeds
    }

    /// Sends it a signal that it dies of.
    pub(super) fn signal(&mut self, signal: i32, now: Timestamp) {
        if let Some(program) = &mut self.program {
            program.coming.push((now + DYING, Coming::Exits(Exit::Signal(signal))));
        }
    }

    /// When something is going to happen to it.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.program.as_ref()?.coming.iter().map(|(at, _)| *at).min()
    }

    /// What has happened to it until now.
    pub(super) fn change(&mut self, now: Timestamp) -> Option<Change> {
        let program = self.program.as_mut()?;
        let first = program.coming.iter().enumerate().min_by_key(|(place, (at, _))| (*at, *place));
        let (place, _) = first.filter(|(_, (at, _))| *at <= now)?;
        let (_, coming) = program.coming.remove(place);
        match coming {
            Coming::Runs => {
                program.runs = true;
                Some(Change::Runs)
            }
            Coming::FailsToStart(failure) => {
                self.program = None;
                Some(Change::StartFailed(failure))
            }
            Coming::Exits(exit) => {
                let outcome = program.outcome(exit, now);
                let is_early = !program.runs && program.script.starts == Starts::Listens;
                let before_listening = is_early && matches!(exit, Exit::Code(_));
                self.program = None;
                Some(Change::Ended { outcome, before_listening })
            }
        }
    }
}

impl Program {
    fn outcome(&self, exit: Exit, now: Timestamp) -> Outcome {
        let duration = now.since(self.started_at);
        let duration_us = u64::try_from(duration.as_micros()).expect("the times of a run are short");
        Outcome {
            exit,
            duration_us,
            cpu_us: duration_us / 2,
            max_rss_bytes: 4 << 20,
            voluntary_switches: 3,
            involuntary_switches: 1,
            stderr_tail: Text::tail_of(&self.script.stderr),
        }
    }
}
