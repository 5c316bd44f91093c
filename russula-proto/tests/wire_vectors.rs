//! The bytes of the wire, pinned: the preamble, and every variant of everything that a message is made of.
//!
//! A vector that changes means another protocol: raise `PROTOCOL_VERSION` in the same commit. The hex text is
//! a whole frame, length first; blanks in it count for nothing.

use russula_proto::wire::{
    self, CoordinatorMessage, Decoder, Goal, Position, Refusal, Report, Target, Welcome, WorkerMessage,
    encode_frame,
};
use russula_proto::{Digest, Ending, Exit, Group, Identity, Outcome, RunId, StartFailure, Text, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Write as _};

#[test]
fn preamble() {
    assert_eq!(hex(&wire::preamble()), "52555353554c4101");
}

#[test]
fn coordinator_messages() {
    use CoordinatorMessage::{Finish, Goal as GoalMessage, Hello};
    let hello = |group, index, work| {
        let worker = Identity { run: run("run-1"), group, index };
        Hello(wire::Hello { worker, session: 5, work })
    };
    let goal = |repetition, program, target| GoalMessage(Goal { repetition, program, target });
    check(&hello(Group::Server, 0, None), "0000000b 00 05 72756e2d31 00 00 05 00");
    check(&hello(Group::Client, 1, None), "0000000b 00 05 72756e2d31 01 01 05 00");
    check(&hello(Group::Probe, 300, None), "0000000c 00 05 72756e2d31 02 ac02 05 00");
    let work = Work { scenario: Digest([0x11; 32]), drivers: Digest([0x22; 32]) };
    let digests = format!("{} {}", "11".repeat(32), "22".repeat(32));
    let frame = format!("0000004b 00 05 72756e2d31 00 00 05 01 {digests}");
    check(&hello(Group::Server, 0, Some(work)), &frame);
    check(&goal(1, 0, Target::Ready), "00000004 01 01 00 00");
    check(&goal(1, 0, Target::Run), "00000004 01 01 00 01");
    check(&goal(1, 0, Target::Stop), "00000004 01 01 00 02");
    check(&goal(1, 0, Target::Release), "00000004 01 01 00 03");
    check(&goal(u32::MAX, u16::MAX, Target::Ready), "0000000a 01 ffffffff0f ffff03 00");
    check(&Finish, "00000001 02");
}

#[test]
fn opening_of_a_worker() {
    let welcome = |session, programs, version| {
        let program_version = Text::tail_of(version);
        WorkerMessage::Welcome(Welcome { session, programs, program_version, kill_grace_ms: 2000 })
    };
    check(&welcome(7, 1, "0.1"), "00000009 00 07 01 03 302e31 d00f");
    check(&welcome(u64::MAX, 2, ""), "0000000f 00 ffffffffffffffffff01 02 00 d00f");

    let refused = WorkerMessage::Refused;
    let runs = Refusal::Run { expected: run("a"), got: run("b") };
    check(&refused(runs), "00000006 01 00 01 61 01 62");
    let groups = Refusal::Group { expected: Group::Server, got: Group::Client };
    check(&refused(groups), "00000004 01 01 00 01");
    check(&refused(Refusal::Index { expected: 2, got: 3 }), "00000004 01 02 02 03");
    let (expected, got) = (Digest([0x11; 32]), Digest([0x22; 32]));
    let digests = format!("{} {}", "11".repeat(32), "22".repeat(32));
    check(&refused(Refusal::Scenario { expected, got }), &format!("00000042 01 03 {digests}"));
    check(&refused(Refusal::Drivers { expected, got }), &format!("00000042 01 04 {digests}"));
}

#[test]
fn positions() {
    check(&at(Position::Idle), "00000003 02 01 00");
    check(&at(Position::Ready), "00000003 02 01 01");
    check(&at(Position::Starting), "00000003 02 01 02");
    check(&at(Position::Running), "00000003 02 01 03");
    check(&at(Position::Ended(Ending::NotStarted)), "00000004 02 01 04 00");
    check(&at(Position::Released), "00000003 02 01 05");
}

#[test]
fn endings() {
    check(
        &ended(Ending::Exited(outcome(Exit::Code(0)))),
        "00000010 02 01 04 02 00 00 01 02 8002 03 04 03 6f6f70",
    );
    check(
        &ended(Ending::Exited(outcome(Exit::Code(-1)))),
        "00000010 02 01 04 02 00 01 01 02 8002 03 04 03 6f6f70",
    );
    check(
        &ended(Ending::Stopped(outcome(Exit::Signal(15)))),
        "00000010 02 01 04 03 01 1e 01 02 8002 03 04 03 6f6f70",
    );
}

#[test]
fn start_failures() {
    let failed = |failure| ended(Ending::StartFailed(failure));
    let in_use = StartFailure::PortInUse { port: 4433, detail: Text::tail_of("pid 1") };
    check(&failed(in_use), "0000000d 02 01 04 01 00 d122 05 7069642031");
    check(&failed(StartFailure::Spawn(Text::tail_of("no"))), "00000008 02 01 04 01 01 02 6e6f");
    let early = StartFailure::EndedBeforeListening { port: 80, outcome: outcome(Exit::Code(1)) };
    check(&failed(early), "00000012 02 01 04 01 02 50 00 02 01 02 8002 03 04 03 6f6f70");
    let unknown = StartFailure::UnknownProgram { index: 2, count: 1 };
    check(&failed(unknown), "00000007 02 01 04 01 03 02 01");
}

#[test]
fn a_variant_that_does_not_exist_is_refused() {
    for frame in ["00000001 03", "00000004 01 01 00 04", "0000000b 00 05 72756e2d31 03 00 05 00"] {
        let error = Decoder::default().decode::<CoordinatorMessage>(&mut &unhex(frame)[..]);
        assert!(error.is_err(), "{frame}");
    }
    for frame in ["00000001 03", "00000003 02 01 06", "00000004 02 01 04 04", "00000004 01 05 00 00"] {
        let error = Decoder::default().decode::<WorkerMessage>(&mut &unhex(frame)[..]);
        assert!(error.is_err(), "{frame}");
    }
}

#[test]
fn a_run_id_that_is_none_is_refused() {
    let frame = unhex("0000000a 00 04 2e2e2f78 00 00 05 00");
    assert!(Decoder::default().decode::<CoordinatorMessage>(&mut &frame[..]).is_err());
}

fn check<M: Serialize + DeserializeOwned + Debug + PartialEq>(message: &M, frame: &str) {
    let mut encoded = vec![];
    encode_frame(message, &mut encoded);
    assert_eq!(hex(&encoded), frame.replace(' ', ""), "{message:?}");
    let mut input = &encoded[..];
    let decoded = Decoder::default().decode::<M>(&mut input).expect("our own bytes can be decoded");
    assert_eq!(decoded.as_ref(), Some(message));
    assert!(input.is_empty());
}

fn at(position: Position) -> WorkerMessage {
    WorkerMessage::Report(Report { repetition: 1, position })
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

fn run(name: &str) -> RunId {
    name.parse().expect("a valid name")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    let value = |c: &char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).expect("a hex digit");
    digits.chunks(2).map(|pair| value(&pair[0]) << 4 | value(&pair[1])).collect()
}
