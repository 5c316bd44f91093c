//! How a driver ends, and what is told of it.

use crate::roles::Role;
use crate::support::{Bench, end_of, eventually, exists, group_of, is_alive, members, write_file};
use mio::unix::SourceFd;
use russula_proto::Exit;
use russula_proto::outcome::STDERR_TAIL_MAX;
use std::os::fd::AsRawFd;
use std::time::Duration;

#[test]
fn the_exit_status_is_told() {
    for code in [0, 7, 255] {
        let bench = Bench::new();
        let mut process = bench.spawn(&bench.shell(&format!("exit {code}")));
        let outcome = end_of(&mut process);
        assert_eq!(outcome.exit, Exit::Code(code));
        assert_eq!(process.try_reap().expect("reaped"), Some(outcome), "asked again, the same is told");
    }
}

#[test]
fn the_signal_is_told() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.shell("kill -KILL $$"));
    assert_eq!(end_of(&mut process).exit, Exit::Signal(9));
}

#[test]
fn the_end_arrives_as_an_event_of_mio() {
    let bench = Bench::new();
    let mut process =
        bench.spawn(&bench.shell_in_dir("sleep 0.2; until [ -e go ]; do sleep 0.01; done; exit 3"));
    let mut poll = mio::Poll::new().expect("a poll");
    let fd = process.exit_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), mio::Token(5), mio::Interest::READABLE).expect("registered");
    assert_eq!(process.try_reap().expect("asked"), None, "it still runs");
    write_file(&bench.path("go"), "");
    let mut events = mio::Events::with_capacity(4);
    poll.poll(&mut events, Some(crate::support::PATIENCE)).expect("polled");
    assert_eq!(events.iter().map(mio::event::Event::token).collect::<Vec<_>>(), [mio::Token(5)]);
    let outcome = process.try_reap().expect("reaped").expect("ended");
    assert_eq!(outcome.exit, Exit::Code(3));
    assert!(outcome.duration_us >= 200_000, "{} us", outcome.duration_us);
}

#[test]
fn term_ends_a_driver_and_its_children() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.shell("sleep 1000 & echo started; wait"));
    eventually("the driver has a child", || bench.read("stdout").contains("started"));
    process.terminate().expect("terminated");
    assert_eq!(end_of(&mut process).exit, Exit::Signal(15));
    bench.assert_nothing_alive();
}

#[test]
fn a_driver_that_ignores_term_is_killed() {
    let bench = Bench::new();
    let mut process =
        bench.spawn(&bench.shell("trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done"));
    eventually("the driver ignores TERM", || bench.read("stdout").contains("ready"));
    process.terminate().expect("terminated");
    eventually("TERM has arrived", || bench.read("stdout").contains("no"));
    assert_eq!(process.try_reap().expect("asked"), None);
    assert!(is_alive(group_of(process.pid())), "the guard ignores TERM");
    process.kill().expect("killed");
    assert_eq!(end_of(&mut process).exit, Exit::Signal(9));
    bench.assert_nothing_alive();
}

#[test]
fn a_driver_that_left_its_group_is_killed_all_the_same() {
    let bench = Bench::new();
    let launch = bench.shell("exec setsid sh -c 'echo away; exec sleep 1000'");
    let mut process = bench.spawn(&launch);
    eventually("the driver has left", || bench.read("stdout").contains("away"));
    process.kill().expect("killed");
    assert_eq!(end_of(&mut process).exit, Exit::Signal(9));

    let process = bench.spawn(&launch);
    eventually("the driver has left", || bench.read("stdout").matches("away").count() == 2);
    let pid = process.pid();
    drop(process);
    assert!(!exists(pid));
}

#[test]
fn what_a_driver_leaves_behind_ends_with_it() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.shell("(trap '' TERM HUP; sleep 1000) & echo child $!"));
    let outcome = end_of(&mut process);
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!(bench.read("stdout").contains("child "));
    bench.assert_nothing_alive();
}

#[test]
fn nothing_of_a_reaped_driver_is_left_in_the_process_table() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.shell("exit 0"));
    let (pid, group) = (process.pid(), group_of(process.pid()));
    assert_ne!(pid, group, "the guard leads the group");
    end_of(&mut process);
    assert!(!exists(pid) && !exists(group));
    process.terminate().expect("nothing to do");
    process.kill().expect("nothing to do");
}

#[test]
fn dropping_ends_and_reaps_everything() {
    let bench = Bench::new();
    let process = bench.spawn(&bench.shell("trap '' TERM; sleep 1000 & echo started; wait"));
    eventually("the driver has a child", || bench.read("stdout").contains("started"));
    let (pid, group) = (process.pid(), group_of(process.pid()));
    assert!(members(group).len() >= 3);
    drop(process);
    assert!(!exists(pid) && !exists(group));
    bench.assert_nothing_alive();
}

#[test]
fn the_end_of_stderr_is_told() {
    let bench = Bench::new();
    std::fs::write(bench.path("stderr"), "of an earlier driver\n").expect("written");
    let mut process = bench.spawn(&bench.shell(
        "echo one >&2; echo '0:00:01.001923 throughput: rx=998Bps tx=526.05MBps' >&2; echo two >&2; exit 1",
    ));
    assert_eq!(end_of(&mut process).stderr_tail.as_str(), "one\ntwo\n");
}

#[test]
fn a_long_stderr_is_cut_at_a_character_boundary() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 3000 ]; do printf 'é'; i=$((i+1)); done >&2; printf x >&2";
    let mut process = bench.spawn(&bench.shell(script));
    let tail = end_of(&mut process).stderr_tail;
    // 4096 bytes would start in the middle of a character of two bytes.
    assert_eq!(tail.as_str(), format!("{}x", "é".repeat((STDERR_TAIL_MAX - 1) / 2)));
}

#[test]
fn resources_are_those_of_the_driver() {
    const BYTES: usize = 50_000_000;
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.role(&Role::Memory { bytes: BYTES }));
    let outcome = end_of(&mut process);
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!((BYTES as u64..200_000_000).contains(&outcome.max_rss_bytes), "{} bytes", outcome.max_rss_bytes);
    assert!((1..=outcome.duration_us * 4).contains(&outcome.cpu_us), "{outcome:?}");
    assert!(outcome.voluntary_switches > 0, "{outcome:?}");
}

/// Linux makes the peak of whoever starts a program the first peak of that program.
#[test]
fn the_peak_of_a_small_driver_is_its_own_after_the_worker_had_a_large_one() {
    const BYTES: usize = 100_000_000;
    let block = vec![1_u8; BYTES];
    assert_eq!(std::hint::black_box(block).len(), BYTES);
    let bench = Bench::new();
    for (program, args) in [("sleep", &["0"][..]), ("sh", &["-c", "exit 0"])] {
        let mut process = bench.spawn(&bench.launch(program, args));
        let peak_bytes = end_of(&mut process).max_rss_bytes;
        assert!((100_000..BYTES as u64 / 2).contains(&peak_bytes), "{program}: {peak_bytes} bytes");
    }
}

#[test]
fn sleep_costs_no_cpu_but_time() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.launch("sleep", &["0.3"]));
    let started = process.started();
    let outcome = end_of(&mut process);
    assert!(started.elapsed() >= Duration::from_micros(outcome.duration_us));
    assert!(outcome.duration_us >= 300_000 && outcome.cpu_us < 100_000, "{outcome:?}");
}
