//! What may be seen of one host.

use russula_proto::{Ending, Exit, Outcome, Stage, StartFailure};

/// What was seen of a host so far.
#[derive(Clone, Debug)]
pub(super) struct HostModel {
    worker_is_up: bool,
    shut_down: bool,
    /// Another coordinator has taken it over since its newest program was started.
    is_taken_over: bool,
    program: Program,
    /// The repetition of the newest program, of the newest that ran, and of the newest that ended or was lost.
    pub(super) started_in: u32,
    pub(super) ran_in: u32,
    pub(super) ended_in: u32,
    /// What became of the newest program.
    result: Option<Result>,
    /// Its worker has been begun anew since then, and knows nothing of it.
    is_forgotten: bool,
    was_told_to_end: bool,
    /// New workers, each of which begins from the start; the coordinator may still hear of the one before.
    may_go_back: u32,
    /// What the coordinator has heard of it in this repetition.
    pub(super) heard: Stage,
    pub(super) is_dismissed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    None,
    Starting(u32),
    Running(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Result {
    StartFailed,
    Ended(Outcome),
    /// Its worker was killed.
    Lost,
}

impl Default for HostModel {
    fn default() -> Self {
        Self {
            worker_is_up: true,
            shut_down: false,
            is_taken_over: false,
            program: Program::None,
            started_in: 0,
            ran_in: 0,
            ended_in: 0,
            result: None,
            is_forgotten: false,
            may_go_back: 0,
            was_told_to_end: false,
            heard: Stage::Idle,
            is_dismissed: false,
        }
    }
}

impl HostModel {
    pub(super) fn begin(&mut self) {
        self.heard = Stage::Idle;
        self.is_dismissed = false;
    }

    pub(super) fn is_program_alive(&self) -> bool {
        self.program != Program::None
    }

    /// Whether its worker may stop the program whatever the others do.
    pub(super) fn may_stop(&self, repetition: u32) -> bool {
        self.shut_down || self.is_taken_over || self.is_dismissed || self.started_in < repetition
    }

    // --- its program ---

    pub(super) fn start(&mut self, repetition: u32) -> Option<&'static str> {
        if !self.worker_is_up {
            return Some("its worker is gone");
        }
        if self.is_program_alive() {
            return Some("a program runs there already");
        }
        if repetition <= self.started_in {
            return Some("each program starts at most once per repetition");
        }
        self.program = Program::Starting(repetition);
        self.started_in = repetition;
        self.result = None;
        self.is_forgotten = false;
        self.is_taken_over = false;
        self.was_told_to_end = false;
        None
    }

    pub(super) fn run(&mut self) -> Option<&'static str> {
        let Program::Starting(repetition) = self.program else {
            return Some("no program is being started there");
        };
        self.program = Program::Running(repetition);
        self.ran_in = repetition;
        None
    }

    pub(super) fn start_failed(&mut self) -> Option<&'static str> {
        let Program::Starting(_) = self.program else { return Some("no program is being started there") };
        self.program_is_gone(Result::StartFailed);
        None
    }

    pub(super) fn terminate(&mut self) -> Option<&'static str> {
        if !self.is_program_alive() {
            return Some("no program runs there");
        }
        let told_before = std::mem::replace(&mut self.was_told_to_end, true);
        told_before.then_some("a program is told to end once")
    }

    pub(super) fn ended(&mut self, outcome: &Outcome) -> Option<&'static str> {
        if !self.is_program_alive() {
            return Some("no program runs there");
        }
        self.program_is_gone(Result::Ended(outcome.clone()));
        None
    }

    fn program_is_gone(&mut self, result: Result) {
        self.program = Program::None;
        self.ended_in = self.started_in;
        self.result = Some(result);
    }

    // --- its worker ---

    pub(super) fn worker_up(&mut self) -> Option<&'static str> {
        self.shut_down = false;
        self.is_forgotten = true;
        self.may_go_back += 1;
        let was_up = std::mem::replace(&mut self.worker_is_up, true);
        was_up.then_some("a worker runs there already")
    }

    pub(super) fn worker_killed(&mut self) -> Option<&'static str> {
        if self.is_program_alive() {
            self.program_is_gone(Result::Lost);
        }
        let was_up = std::mem::replace(&mut self.worker_is_up, false);
        (!was_up).then_some("no worker runs there")
    }

    pub(super) fn worker_ended(&mut self) -> Option<&'static str> {
        let was_up = std::mem::replace(&mut self.worker_is_up, false);
        if !was_up {
            return Some("no worker runs there");
        }
        self.is_program_alive().then_some("a worker does not end before its program")
    }

    pub(super) fn shut_down(&mut self) -> Option<&'static str> {
        self.shut_down = true;
        None
    }

    /// It gives up what it was doing, and says nothing of it to whoever comes next.
    pub(super) fn taken_over(&mut self) -> Option<&'static str> {
        self.is_taken_over = true;
        self.is_forgotten = true;
        self.may_go_back += 1;
        None
    }

    // --- what the coordinator hears ---

    pub(super) fn heard(&mut self, stage: Stage, repetition: u32) -> Option<&'static str> {
        if stage <= self.heard {
            let Some(left) = self.may_go_back.checked_sub(1) else {
                return Some("what is heard of a worker only goes forward");
            };
            self.may_go_back = left;
        }
        self.heard = stage;
        let is_over = !self.is_program_alive() || self.started_in < repetition;
        let is_true = match stage {
            Stage::Idle | Stage::Ready => true,
            Stage::Starting => self.started_in == repetition,
            Stage::Running => self.ran_in == repetition,
            Stage::Ended | Stage::Released => is_over,
        };
        (!is_true).then_some("it was never so")
    }

    pub(super) fn learnt(&mut self, ending: &Ending, repetition: u32) -> Option<&'static str> {
        let result = self.result.as_ref().filter(|_| self.started_in == repetition);
        let is_true = match (ending, result) {
            (Ending::NotStarted, result) => result.is_none() || self.is_forgotten,
            (Ending::Exited(known), Some(Result::Ended(outcome))) => {
                known == outcome && !self.was_told_to_end
            }
            (Ending::Stopped(known), Some(Result::Ended(outcome))) => {
                known == outcome && self.was_told_to_end
            }
            (
                Ending::StartFailed(StartFailure::EndedBeforeListening { outcome: known, .. }),
                Some(Result::Ended(outcome)),
            ) => known == outcome && matches!(known.exit, Exit::Code(_)),
            (Ending::StartFailed(_), result) => result == Some(&Result::StartFailed),
            (Ending::Exited(_) | Ending::Stopped(_), _) => false,
        };
        (!is_true).then_some("that is not what the worker saw")
    }
}
