//! What a worker says on one connection.

use super::model::{Model, Part};
use super::{PROGRAMS, SESSION, VERSION};
use russula_proto::wire::{ClockReading, Position, Report, WorkerMessage};
use russula_proto::{Ending, Group, Stage, StartFailure, Timestamp};

#[derive(Default)]
pub(super) struct Words {
    has_answered: bool,
    was_refused: bool,
    /// Numbers that the coordinator has asked for the clock with, and when.
    pub(super) questions: Vec<(u32, Timestamp)>,
    last_report: Option<(u32, Stage)>,
}

impl Words {
    pub(super) fn hear(&mut self, model: &Model, era: u32, message: WorkerMessage) {
        assert!(!self.was_refused, "nothing follows a refusal");
        let is_answer = matches!(message, WorkerMessage::Welcome(_) | WorkerMessage::Refused(_));
        assert!(
            is_answer != self.has_answered,
            "the first word answers the coordinator's, no other does: {message:?}"
        );
        self.has_answered = true;
        match message {
            WorkerMessage::Welcome(welcome) => {
                assert_eq!((welcome.memory.session, welcome.memory.takeovers), (SESSION, era));
                assert_eq!((welcome.programs, welcome.program_version.as_str()), (PROGRAMS, VERSION));
            }
            WorkerMessage::Refused(_) => self.was_refused = true,
            WorkerMessage::Report(report) => self.hear_report(model, era, &report),
            WorkerMessage::Clock(ClockReading { exchange, at }) => {
                let place = self.questions.iter().position(|question| *question == (exchange, at));
                let place = place.expect("only what was asked is answered, with the time at which it was");
                self.questions.drain(..=place);
            }
            WorkerMessage::Farewell => {
                assert!(model.finish_asked && model.program.is_none(), "it leaves when it was told to");
            }
        }
    }

    fn hear_report(&mut self, model: &Model, era: u32, report: &Report) {
        let part = (era, report.repetition);
        let stage = report.position.stage();
        let is_newer = self.last_report.is_none_or(|last| last <= (report.repetition, stage));
        assert!(is_newer, "it goes back from {:?} to {report:?}", self.last_report);
        self.last_report = Some((report.repetition, stage));
        if let Some(at) = report.started_at {
            assert_eq!(model.ran.get(&part), Some(&at), "it never ran then: {report:?}");
        }
        match &report.position {
            Position::Idle | Position::Ready => assert_eq!((report.started_at, report.quiet), (None, None)),
            Position::Starting => assert!(was_started(model, part), "never started: {report:?}"),
            Position::Running => assert!(report.started_at.is_some(), "it never ran: {report:?}"),
            Position::Ended(ending) | Position::Released(ending) => check_ending(model, part, ending),
        }
        if let Some(quiet) = report.quiet
            && model.group == Group::Client
        {
            model.check_quiet(part, quiet);
        }
    }
}

fn was_started(model: &Model, part: Part) -> bool {
    model.endings.contains_key(&part) || model.program.as_ref().is_some_and(|program| program.part == part)
}

fn check_ending(model: &Model, part: Part, ending: &Ending) {
    match model.endings.get(&part) {
        Some(known) => assert_eq!(ending, known),
        None => {
            let is_unknown = matches!(ending, Ending::StartFailed(StartFailure::UnknownProgram { .. }));
            assert!(
                is_unknown || *ending == Ending::NotStarted,
                "no program of {part:?} has ended: {ending:?}"
            );
            assert!(!was_started(model, part), "the program of {part:?} has not ended: {ending:?}");
        }
    }
}
