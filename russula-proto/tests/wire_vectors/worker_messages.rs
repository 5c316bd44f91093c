//! What a worker says.

use crate::{check, refuse};
use russula_proto::wire::{ClockReading, Memory, Position, Refusal, Report, Welcome, WorkerMessage};
use russula_proto::{Digest, Ending, Exit, KernelCheck, Outcome, Quiet, StartFailure, Text, Timestamp};

fn at(position: Position) -> WorkerMessage {
    WorkerMessage::Report(Report { repetition: 1, started_at: None, quiet: None, position })
}

fn ended(ending: Ending) -> WorkerMessage {
    at(Position::Ended(ending))
}

fn outcome(exit: Exit) -> Outcome {
    Outcome {
        exit,
        duration_us: 1,
        cpu_us: 2,
        max_rss_bytes: 256,
        voluntary_switches: 3,
        involuntary_switches: 4,
        stderr_tail: Text::tail_of("oop"),
    }
}

#[test]
fn welcomes() {
    let welcome = |session, takeovers, programs, version| {
        let program_version = Text::tail_of(version);
        let memory = Memory { session, takeovers };
        WorkerMessage::Welcome(Welcome { memory, programs, program_version, kill_grace_ms: 2000 })
    };
    check(&welcome(7, 0, 1, "0.1"), "00 07 00 01 03 302e31 d00f");
    check(&welcome(u64::MAX, 1, 2, ""), "00 ffffffffffffffffff01 01 02 00 d00f");
}

#[test]
fn refusals() {
    let refused = WorkerMessage::Refused;
    check(&refused(Refusal::Stale), "01 00");
    let (expected, got) = (Digest([0x11; 32]), Digest([0x22; 32]));
    let digests = format!("{} {}", "11".repeat(32), "22".repeat(32));
    check(&refused(Refusal::Scenario { expected, got }), &format!("01 01 {digests}"));
    check(&refused(Refusal::Drivers { expected, got }), &format!("01 02 {digests}"));
}

#[test]
fn positions() {
    check(&at(Position::Idle), "02 01 00 00 00");
    check(&at(Position::Ready), "02 01 00 00 01");
    check(&at(Position::Starting), "02 01 00 00 02");
    check(&at(Position::Running), "02 01 00 00 03");
    check(&at(Position::Ended(Ending::NotStarted)), "02 01 00 00 04 00");
    check(&at(Position::Released(Ending::NotStarted)), "02 01 00 00 05 00");
}

#[test]
fn what_a_report_adds() {
    let report = |started_at_us: Option<u64>, quiet| {
        let started_at = started_at_us.map(Timestamp::from_micros);
        WorkerMessage::Report(Report { repetition: 1, started_at, quiet, position: Position::Running })
    };
    let quiet = |bytes, kernel| Some(Quiet { bytes, kernel });
    check(&report(Some(300), None), "02 01 01 ac02 00 03");
    check(&report(None, quiet(0, KernelCheck::NotChecked)), "02 01 00 01 00 00 03");
    check(&report(None, quiet(300, KernelCheck::Agrees)), "02 01 00 01 ac02 01 03");
    check(&report(Some(1), quiet(2, KernelCheck::Differs)), "02 01 01 01 01 02 02 03");
}

#[test]
fn endings() {
    let figures = "01 02 8002 03 04 03 6f6f70";
    let exited = |code| ended(Ending::Exited(outcome(Exit::Code(code))));
    check(&exited(0), &format!("02 01 00 00 04 02 00 00 {figures}"));
    check(&exited(-1), &format!("02 01 00 00 04 02 00 01 {figures}"));
    let stopped = Ending::Stopped(outcome(Exit::Signal(15)));
    check(&ended(stopped.clone()), &format!("02 01 00 00 04 03 01 1e {figures}"));
    check(&at(Position::Released(stopped)), &format!("02 01 00 00 05 03 01 1e {figures}"));
}

#[test]
fn start_failures() {
    let failed = |failure| ended(Ending::StartFailed(failure));
    let in_use = StartFailure::PortInUse { port: 4433, detail: Text::tail_of("pid 1") };
    check(&failed(in_use), "02 01 00 00 04 01 00 d122 05 7069642031");
    check(&failed(StartFailure::Spawn(Text::tail_of("no"))), "02 01 00 00 04 01 01 02 6e6f");
    let early = StartFailure::EndedBeforeListening { port: 80, outcome: outcome(Exit::Code(1)) };
    check(&failed(early), "02 01 00 00 04 01 02 50 00 02 01 02 8002 03 04 03 6f6f70");
    let unknown = StartFailure::UnknownProgram { index: 2, count: 1 };
    check(&failed(unknown), "02 01 00 00 04 01 03 02 01");
}

#[test]
fn readings_of_the_clock() {
    let reading = ClockReading { exchange: 300, at: Timestamp::from_micros(256) };
    check(&WorkerMessage::Clock(reading), "03 ac02 8002");
}

#[test]
fn farewell() {
    check(&WorkerMessage::Farewell, "04");
}

#[test]
fn what_is_no_message_is_refused() {
    let no_such_variant = ["05", "01 03", "02 01 00 00 06", "02 01 00 00 04 04", "02 01 00 01 00 03 03"];
    let too_short = ["", "02 01 00 00", "02 01 00 00 04", "03 00", "00 07 00 01 03 3030"];
    let too_long = ["04 00", "02 01 00 00 00 00"];
    no_such_variant.iter().chain(&too_short).for_each(|text| refuse::<WorkerMessage>(text));
    too_long.iter().for_each(|text| refuse::<WorkerMessage>(text));
}

#[test]
fn a_text_over_its_limit_is_refused() {
    // A version of 65 bytes, where 64 are allowed.
    refuse::<WorkerMessage>(&format!("00 07 00 01 41 {} d00f", "61".repeat(65)));
    // A stderr tail of 4097 bytes, where 4096 are allowed, and one that is no UTF-8.
    refuse::<WorkerMessage>(&format!("02 01 00 00 04 02 00 00 01 02 8002 03 04 8120 {}", "61".repeat(4097)));
    refuse::<WorkerMessage>("02 01 00 00 04 02 00 00 01 02 8002 03 04 01 ff");
}
