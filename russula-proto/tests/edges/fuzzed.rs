//! Bugs that fuzzing has found, each under its own name.

use crate::by_hand::{
    MEMORY, NOW, Peer, asks, at_ms, attached_worker, coordinator, drain, goal, report, welcome, worker,
};
use russula_proto::wire::{FrameReader, MAX_FRAME_LEN, Position, Target};
use russula_proto::worker::{Finish, Output};
use russula_proto::{Group, Milestone};
use std::time::Duration;

#[test]
fn the_buffer_of_a_frame_never_outgrows_the_frame() {
    let mut stream = u16::try_from(MAX_FRAME_LEN).expect("the limit fits").to_be_bytes().to_vec();
    stream.extend(vec![0; MAX_FRAME_LEN]);
    let mut reader = FrameReader::default();
    for mut piece in stream.chunks(1000) {
        reader.read(&mut piece).expect("a frame of the greatest length is one");
        assert!(reader.buffered() <= MAX_FRAME_LEN, "{} bytes held", reader.buffered());
    }
    assert!(!reader.is_mid_frame());
}

#[test]
fn a_probed_worker_that_is_told_to_end_is_at_rest_after_it() {
    let mut worker = worker(Group::Probe);
    worker.handle_shutdown(NOW);
    asks(&mut worker);
    worker.handle_timeout(NOW);
    assert_eq!(asks(&mut worker), []);
}

#[test]
fn a_probed_worker_that_falls_silent_does_not_hold_the_others_up() {
    let mut coordinator = coordinator(Group::Probe, 1);
    coordinator.begin(1, 0, NOW);
    coordinator.run_till(Milestone::Done, NOW);
    let mut silent = Peer::accept(&mut coordinator, 0, NOW);
    silent.say(&mut coordinator, &welcome(MEMORY), NOW);
    silent.say(&mut coordinator, &report(1, Position::Ready), NOW);
    drain(&mut coordinator);
    for seconds in [31, 62, 93] {
        coordinator.handle_timeout(NOW + Duration::from_secs(seconds));
        drain(&mut coordinator);
    }
    assert!(coordinator.failure().is_some());
    assert_eq!(coordinator.reached(), Some(Milestone::Done));
}

#[test]
fn a_worker_that_is_called_late_does_not_leave_its_program_behind() {
    let (mut worker, mut coordinator) = attached_worker(Group::Server);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_shutdown(NOW);
    asks(&mut worker);
    // Not `handle_timeout`, which would have been due long ago, but any other input.
    worker.handle_started(at_ms(60_000));
    let outputs = asks(&mut worker);
    assert!(outputs.ends_with(&[Output::Kill, Output::Finished(Finish::Requested)]), "{outputs:?}");
}
