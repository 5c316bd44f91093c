//! What the user sees while a run goes on: one status line on a terminal, plain lines otherwise.

use super::Plan;
use backends::layout::Turn;
use russula_proto::RepetitionPhase;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the status line is refreshed. The refresh is the only thing that wakes the orchestrator up while
/// the clients run, and there is none unless somebody looks.
const REFRESH: Duration = Duration::from_secs(1);

/// Where a run is, for whoever shows it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A repetition goes on.
    Repetition {
        /// The driver.
        driver: String,
        /// Its place among all repetitions of the run, from 1.
        number: u32,
        /// How many repetitions the run has.
        total: u64,
        /// Whether clients run, or are about to: whoever uses the network or the processor now may disturb them.
        is_measuring: bool,
    },
    /// Results are fetched from the hosts.
    Collecting,
    /// The hosts are given back.
    Releasing,
}

/// Whoever shows elsewhere where a run is. It is told in the middle of the run, and must not take its time.
pub trait Observer: std::fmt::Debug {
    /// The run has come to `stage`.
    fn handle_stage(&self, stage: Stage);
}

/// The progress of one run on stderr.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    is_terminal: bool,
    drivers: u16,
    repeat: u32,
    observer: Option<Arc<dyn Observer>>,
}

impl Progress {
    /// The progress of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let drivers = u16::try_from(plan.drivers.len()).unwrap_or(u16::MAX);
        let is_terminal = std::io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, drivers, repeat: plan.repeat, observer: None }
    }

    /// Tells `observer` as well.
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// A new phase of the run as a whole.
    pub fn phase(&self, what: &str) {
        self.line(what, true);
    }

    /// A new stage of the run, for the observer only.
    pub(super) fn stage(&self, stage: Stage) {
        if let Some(observer) = &self.observer {
            observer.handle_stage(stage);
        }
    }

    /// The stage that a phase of a repetition is.
    pub(super) fn repetition_stage(&self, turn: Turn, driver: &str, phase: RepetitionPhase) {
        self.stage(Stage::Repetition {
            driver: driver.to_owned(),
            number: turn.number(self.drivers),
            total: u64::from(self.drivers) * u64::from(self.repeat),
            is_measuring: phase == RepetitionPhase::RunningClients,
        });
    }

    /// A new phase of a repetition.
    pub(super) fn repetition(&self, turn: Turn, driver: &str, what: &str) {
        self.line(&format!("{} {what}", self.prefix(turn, driver)), true);
    }

    /// The same phase goes on.
    pub(super) fn refresh(&self, turn: Turn, driver: &str, what: &str) {
        if self.is_terminal {
            self.line(&format!("{} {what}", self.prefix(turn, driver)), false);
        }
    }

    /// Something that stays on the screen.
    pub fn message(&self, text: &str) {
        self.clear();
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Until when to wait before the next [`Self::refresh`].
    pub(super) fn refresh_interval(&self) -> Option<Duration> {
        self.is_terminal.then_some(REFRESH)
    }

    /// Takes the status line away.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    fn prefix(&self, turn: Turn, driver: &str) -> String {
        let number = turn.number(self.drivers);
        let total = u64::from(self.drivers) * u64::from(self.repeat);
        match (total, self.repeat) {
            (1, _) => driver.to_owned(),
            (_, 1) => format!("{number}/{total} {driver}"),
            (_, _) => format!("{number}/{total} {driver} round {}", turn.round),
        }
    }

    /// A line that nobody can see is no reason to fail.
    fn line(&self, text: &str, is_new: bool) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let mut stderr = std::io::stderr();
        if self.is_terminal {
            let _ = write!(stderr, "\r\x1b[2K[{elapsed:7.2} s] {text}");
            let _ = stderr.flush();
        } else if is_new {
            let _ = writeln!(stderr, "[{elapsed:7.2} s] {text}");
        }
    }
}
