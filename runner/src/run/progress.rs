//! What the user sees while a run goes on: one status line on a terminal, plain lines otherwise.

use super::Plan;
use backends::layout::Turn;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the status line is refreshed. The refresh is the only thing that wakes the orchestrator up while
/// the clients run, and there is none unless somebody looks.
const REFRESH: Duration = Duration::from_secs(1);

/// The progress of one run on stderr.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    is_terminal: bool,
    drivers: u16,
    repeat: u32,
}

impl Progress {
    /// The progress of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let drivers = u16::try_from(plan.drivers.len()).unwrap_or(u16::MAX);
        let is_terminal = std::io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, drivers, repeat: plan.repeat }
    }

    /// A new phase of the run as a whole.
    pub fn phase(&self, what: &str) {
        self.line(what, true);
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
