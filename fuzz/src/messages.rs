//! Any message, by the decisions of an input.

use crate::input::Input;
use russula_proto::wire::{ClockReading, CoordinatorMessage, Goal, Hello, Position, Report, WorkerMessage};
use russula_proto::{
    Digest, Ending, Exit, KernelCheck, Memory, Outcome, Quiet, Refusal, StartFailure, Target, Text,
    Timestamp, Welcome, Work,
};

pub(crate) fn coordinator_message(input: &mut Input) -> CoordinatorMessage {
    match input.below(4) {
        0 => CoordinatorMessage::Goal(goal(input)),
        1 => CoordinatorMessage::Hello(Hello {
            session: input.number(),
            epoch: input.number(),
            ticket: input.number(),
            work: input.maybe(work),
        }),
        2 => CoordinatorMessage::ReadClock(input.narrow(u32::MAX)),
        _ => CoordinatorMessage::Finish,
    }
}

pub(crate) fn worker_message(input: &mut Input) -> WorkerMessage {
    match input.below(5) {
        0 => WorkerMessage::Report(report(input)),
        1 => WorkerMessage::Welcome(welcome(input)),
        2 => WorkerMessage::Refused(refusal(input)),
        3 => WorkerMessage::Clock(ClockReading {
            exchange: input.narrow(u32::MAX),
            at: Timestamp::from_micros(input.number()),
        }),
        _ => WorkerMessage::Farewell,
    }
}

pub(crate) fn goal(input: &mut Input) -> Goal {
    Goal {
        repetition: input.narrow(u32::MAX),
        program: input.narrow(u16::MAX),
        target: input.one_of(&Target::ALL),
        start_at: input.maybe(|input| Timestamp::from_micros(input.number())),
    }
}

pub(crate) fn work(input: &mut Input) -> Work {
    Work { scenario: Digest([input.byte(); 32]), drivers: Digest([input.byte(); 32]) }
}

pub(crate) fn welcome(input: &mut Input) -> Welcome {
    Welcome {
        memory: Memory { session: input.number(), takeovers: input.narrow(u32::MAX) },
        programs: input.narrow(u16::MAX),
        program_version: text(input),
        kill_grace_ms: input.narrow(u32::MAX),
    }
}

pub(crate) fn refusal(input: &mut Input) -> Refusal {
    let (expected, got) = (Digest([input.byte(); 32]), Digest([input.byte(); 32]));
    match input.below(3) {
        0 => Refusal::Stale,
        1 => Refusal::Scenario { expected, got },
        _ => Refusal::Drivers { expected, got },
    }
}

pub(crate) fn report(input: &mut Input) -> Report {
    Report {
        repetition: input.narrow(u32::MAX),
        started_at: input.maybe(|input| Timestamp::from_micros(input.number())),
        quiet: input.maybe(|input| Quiet { bytes: input.number(), kernel: kernel_check(input) }),
        position: position(input),
    }
}

pub(crate) fn position(input: &mut Input) -> Position {
    match input.below(6) {
        0 => Position::Idle,
        1 => Position::Ready,
        2 => Position::Starting,
        3 => Position::Running,
        4 => Position::Ended(ending(input)),
        _ => Position::Released(ending(input)),
    }
}

pub(crate) fn ending(input: &mut Input) -> Ending {
    match input.below(4) {
        0 => Ending::Exited(outcome(input)),
        1 => Ending::Stopped(outcome(input)),
        2 => Ending::StartFailed(start_failure(input)),
        _ => Ending::NotStarted,
    }
}

pub(crate) fn outcome(input: &mut Input) -> Outcome {
    let number = input.narrow(i64::MAX);
    let number = i32::try_from(number).unwrap_or(i32::MIN);
    Outcome {
        exit: if input.flag() { Exit::Signal(number) } else { Exit::Code(number) },
        duration_us: input.number(),
        cpu_us: input.number(),
        max_rss_bytes: input.number(),
        voluntary_switches: input.number(),
        involuntary_switches: input.number(),
        stderr_tail: text(input),
    }
}

pub(crate) fn start_failure(input: &mut Input) -> StartFailure {
    match input.below(4) {
        0 => StartFailure::PortInUse { port: input.narrow(u16::MAX), detail: text(input) },
        1 => StartFailure::Spawn(text(input)),
        2 => StartFailure::EndedBeforeListening { port: input.narrow(u16::MAX), outcome: outcome(input) },
        _ => StartFailure::UnknownProgram { index: input.narrow(u16::MAX), count: input.narrow(u16::MAX) },
    }
}

fn kernel_check(input: &mut Input) -> KernelCheck {
    input.one_of(&[KernelCheck::NotChecked, KernelCheck::Agrees, KernelCheck::Differs])
}

/// One character so often as the input says; longer texts are cut.
fn text<const MAX: usize>(input: &mut Input) -> Text<MAX> {
    let times = input.len();
    let character = input.one_of(&["a", "é", "€", "😀", "\0", "\n"]);
    Text::tail_of(&character.repeat(times.min(MAX + 1)))
}
