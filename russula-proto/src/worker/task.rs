//! One repetition as a worker lives through it.

use crate::outcome::Ending;
use crate::quiet::{KernelCheck, Quiet};
use crate::time::Timestamp;
use crate::wire::{Position, Report, Stage};
use crate::workflow::{Group, WorkerWorkflow};
use alloc::boxed::Box;

#[derive(Debug)]
pub(super) struct Task {
    pub(super) repetition: u32,
    pub(super) workflow: Box<dyn WorkerWorkflow>,
    /// A program was asked for and its end was not heard of yet.
    pub(super) program_active: bool,
    pub(super) stop_asked: bool,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ending: Option<Ending>,
    /// It was begun for a coordinator that another one has replaced.
    pub(super) is_abandoned: bool,
    pub(super) window: Window,
}

impl Task {
    pub(super) fn begin(repetition: u32, group: Group) -> Self {
        Self {
            repetition,
            workflow: group.worker(),
            program_active: false,
            stop_asked: false,
            started_at: None,
            ending: None,
            is_abandoned: false,
            window: Window::default(),
        }
    }

    pub(super) fn report(&self) -> Report {
        let ending = || self.ending.clone().unwrap_or(Ending::NotStarted);
        let position = match self.workflow.stage() {
            Stage::Idle => Position::Idle,
            Stage::Ready => Position::Ready,
            Stage::Starting => Position::Starting,
            Stage::Running => Position::Running,
            Stage::Ended => Position::Ended(ending()),
            Stage::Released => Position::Released(ending()),
        };
        let (started_at, quiet) = (self.started_at, self.window.quiet());
        Report { repetition: self.repetition, started_at, quiet, position }
    }
}

/// The part of a repetition in which this worker has nothing to say or to hear.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The count of control bytes when it began.
    from_bytes: Option<u64>,
    bytes: Option<u64>,
    checks: [KernelCheck; 2],
}

impl Window {
    pub(super) fn open(&mut self, control_bytes: u64) {
        self.from_bytes.get_or_insert(control_bytes);
    }

    /// Ends the window; `control_bytes` does not contain the message that ends it.
    pub(super) fn close(&mut self, control_bytes: u64) {
        if let Some(from) = self.from_bytes {
            self.bytes.get_or_insert(control_bytes.saturating_sub(from));
        }
    }

    /// The kernel's word at the window's beginning, or at its end.
    pub(super) fn check(&mut self, agrees: bool) {
        let end = usize::from(self.bytes.is_some());
        self.checks[end] = if agrees { KernelCheck::Agrees } else { KernelCheck::Differs };
    }

    fn quiet(&self) -> Option<Quiet> {
        let [begin, end] = self.checks;
        Some(Quiet { bytes: self.bytes?, kernel: begin.and(end) })
    }
}
