//! What a coordinator says.

use crate::{check, refuse};
use russula_proto::wire::{CoordinatorMessage, Goal, Hello, Target};
use russula_proto::{Digest, Timestamp, Work};

fn hello(session: u64, epoch: u64, ticket: u64, work: Option<Work>) -> CoordinatorMessage {
    CoordinatorMessage::Hello(Hello { session, epoch, ticket, work })
}

fn goal(repetition: u32, program: u16, target: Target, start_at_us: Option<u64>) -> CoordinatorMessage {
    let start_at = start_at_us.map(Timestamp::from_micros);
    CoordinatorMessage::Goal(Goal { repetition, program, target, start_at })
}

#[test]
fn hellos() {
    check(&hello(5, 6, 7, None), "00 05 06 07 00");
    check(&hello(u64::MAX, 1 << 32, 0, None), "00 ffffffffffffffffff01 8080808010 00 00");
    let work = Work { scenario: Digest([0x11; 32]), drivers: Digest([0x22; 32]) };
    let digests = format!("{} {}", "11".repeat(32), "22".repeat(32));
    check(&hello(5, 6, 7, Some(work)), &format!("00 05 06 07 01 {digests}"));
}

#[test]
fn goals() {
    check(&goal(1, 0, Target::Ready, None), "01 01 00 00 00");
    check(&goal(1, 0, Target::Run, None), "01 01 00 01 00");
    check(&goal(1, 0, Target::Run, Some(256)), "01 01 00 01 01 8002");
    check(&goal(1, 0, Target::Stop, None), "01 01 00 02 00");
    check(&goal(1, 0, Target::Release, None), "01 01 00 03 00");
    check(&goal(u32::MAX, u16::MAX, Target::Ready, None), "01 ffffffff0f ffff03 00 00");
}

#[test]
fn questions_for_the_clock() {
    check(&CoordinatorMessage::ReadClock(0), "02 00");
    check(&CoordinatorMessage::ReadClock(300), "02 ac02");
}

#[test]
fn finish() {
    check(&CoordinatorMessage::Finish, "03");
}

#[test]
fn what_is_no_message_is_refused() {
    let no_such_variant = ["04", "01 01 00 04 00", "01 01 00 01 02 00", "00 05 06 07 02"];
    let too_short = ["", "00 05 06 07", "01 01 00 01", "02"];
    let too_long = ["03 00", "01 01 00 00 00 00"];
    let too_large = ["01 ffffffff1f 00 00 00", "01 01 ffff07 00 00"];
    no_such_variant.iter().chain(&too_short).for_each(|text| refuse::<CoordinatorMessage>(text));
    too_long.iter().chain(&too_large).for_each(|text| refuse::<CoordinatorMessage>(text));
}
