//! The way to the goal: the repetition's workflow, its program, and when that is started.

use super::task::Task;
use super::{Event, Output, Worker};
use crate::outcome::{Ending, StartFailure};
use crate::time::Timestamp;
use crate::wire::{Stage, Target};
use crate::workflow::{WorkerInput, WorkerStep};

impl Worker {
    /// Follows the newest goal as far as it goes.
    pub(super) fn converge(&mut self, now: Timestamp) {
        if self.shutdown.is_some() {
            while self.apply(WorkerInput::Target(Target::Stop), now) {}
            return;
        }
        let newer = self.goal.is_some_and(|goal| goal.repetition > self.task.repetition);
        if newer || self.task.is_abandoned {
            if self.task.program_active {
                // What is left of an older repetition ends before the new one begins.
                self.apply(WorkerInput::Target(Target::Stop), now);
                return;
            }
            let repetition = self.goal.map_or(0, |goal| goal.repetition);
            self.task = Task::begin(repetition, self.config.identity.group);
            self.report_due = true;
        }
        let Some(goal) = self.goal else { return };
        let is_early = self.start_at().is_some_and(|at| at > now) || !self.is_goal_current;
        let target = if is_early && goal.target == Target::Run { Target::Ready } else { goal.target };
        while self.apply(WorkerInput::Target(target), now) {}
    }

    /// When the program is to be started, as long as it was not.
    pub(super) fn start_at(&self) -> Option<Timestamp> {
        let goal = self.goal.filter(|goal| goal.target == Target::Run && self.shutdown.is_none())?;
        let is_due = goal.repetition == self.task.repetition && self.task.workflow.stage() <= Stage::Ready;
        goal.start_at.filter(|_| is_due && self.is_goal_current)
    }

    /// Applies one input to the workflow; the only place where its state changes.
    pub(super) fn apply(&mut self, input: WorkerInput, now: Timestamp) -> bool {
        let (from, stage) = (self.task.workflow.name(), self.task.workflow.stage());
        let was_quiet = self.task.workflow.is_quiet();
        let Some(step) = self.task.workflow.handle(input) else { return false };
        let to = self.task.workflow.name();
        self.event(Event::State { repetition: self.task.repetition, from, to });
        // What is behind the last report would tell the coordinator nothing.
        if self.task.workflow.stage() > stage {
            self.report_due = true;
        }
        self.note_window(was_quiet);
        match step {
            WorkerStep::Enter => {}
            WorkerStep::Start => self.start(now),
            WorkerStep::Stop => {
                assert!(self.task.program_active, "only a program that was started is stopped");
                self.task.stop_asked = true;
                self.kill_at = Some(now + self.config.limits.kill_grace);
                self.outputs.push_back(Output::Terminate);
            }
        }
        true
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        assert!(!self.task.program_active, "one program at a time");
        self.task.program_active = true;
        let program = self.goal.map_or(0, |goal| goal.program);
        if program < self.config.programs {
            self.outputs.push_back(Output::Start { program, repetition: self.task.repetition });
        } else {
            let failure = StartFailure::UnknownProgram { index: program, count: self.config.programs };
            self.end_program(WorkerInput::StartFailed, Ending::StartFailed(failure), now);
        }
    }

    pub(super) fn end_program(&mut self, input: WorkerInput, ending: Ending, now: Timestamp) {
        self.task.program_active = false;
        self.task.ending = Some(ending);
        self.kill_at = None;
        self.apply(input, now);
        self.settle(now);
    }

    /// Opens and closes the quiet window, and has the kernel asked at both ends of it.
    pub(super) fn note_window(&mut self, was_quiet: bool) {
        let bytes = self.control_bytes();
        match (was_quiet, self.task.workflow.is_quiet()) {
            (false, true) => self.task.window.open(bytes),
            (true, false) => self.task.window.close(bytes.saturating_sub(self.message_len as u64)),
            (false, false) | (true, true) => return,
        }
        if let Some(connection) = self.connections.attached() {
            self.outputs.push_back(Output::CheckKernel(connection));
        }
    }
}
