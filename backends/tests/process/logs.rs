//! Logs: bounded, and no trouble when the disk is full.

use crate::support::{Bench, end_of, eventually, group_of, is_alive, within};
use backends::process::{LOG_KEPT_BYTES, LOG_MAX_BYTES, tail};
use russula_proto::Exit;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

#[test]
fn a_flood_is_cut_while_the_driver_runs_and_when_it_has_ended() {
    let bench = Bench::new();
    let flood = 4 * LOG_MAX_BYTES;
    let script =
        format!("head -c {flood} /dev/zero; echo last; while [ ! -e go ]; do sleep 0.01; done; echo end");
    let mut process = bench.spawn(&bench.shell_in_dir(&script));
    // A quarter of a gigabyte, to a disk that others use as well.
    within(Duration::from_secs(60), "the flood is over", || {
        tail(&bench.path("stdout"), 100).is_ok_and(|tail| tail.contains("last"))
    });
    eventually("the disk got its blocks back", || {
        fs::metadata(bench.path("stdout")).is_ok_and(|log| log.blocks() * 512 <= LOG_MAX_BYTES)
    });
    fs::write(bench.path("go"), "").expect("written");
    assert_eq!(end_of(&mut process).exit, Exit::Code(0));
    let log = fs::read(bench.path("stdout")).expect("readable");
    assert!(log.len() as u64 <= LOG_KEPT_BYTES + 200, "{} bytes", log.len());
    assert!(log.starts_with(b"[the first "));
    assert!(log.ends_with(b"last\nend\n"));
}

#[test]
fn a_full_disk_is_the_trouble_of_the_driver_alone() {
    let bench = Bench::new();
    let mut launch = bench.shell("echo y >&2 && exit 1; exit 5");
    // Not stdout as well: the guard is this program here, whose test harness insists on printing a line.
    launch.stderr = "/dev/full".into();
    let mut process = bench.spawn(&launch);
    let outcome = end_of(&mut process);
    assert_eq!(outcome.exit, Exit::Code(5));
    assert!(outcome.stderr_tail.is_empty());
    bench.assert_nothing_alive();
}

#[test]
fn a_log_that_is_gone_is_told_in_its_place() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.shell_in_dir("rm stderr; exit 6"));
    let outcome = end_of(&mut process);
    assert_eq!(outcome.exit, Exit::Code(6));
    assert!(outcome.stderr_tail.as_str().contains("stderr cannot be read"), "{}", outcome.stderr_tail);
}

#[test]
fn the_guard_of_a_quiet_driver_is_not_scheduled() {
    let bench = Bench::new();
    let mut process = bench.spawn(&bench.launch("sleep", &["0.5"]));
    let guard = group_of(process.pid());
    eventually("the guard sleeps", || threads(guard).iter().all(|status| status.contains("State:\tS")));
    let before = switches(guard);
    assert!(before > 0);
    let outcome = {
        use rustix::event::{PollFd, PollFlags, poll};
        poll(&mut [PollFd::from_borrowed_fd(process.exit_fd(), PollFlags::IN)], None).expect("polled");
        assert!(is_alive(guard));
        assert_eq!(switches(guard), before);
        end_of(&mut process)
    };
    assert_eq!(outcome.exit, Exit::Code(0));
}

fn switches(pid: u32) -> u64 {
    let lines: String = threads(pid).concat();
    let counts = lines.lines().filter(|line| line.contains("ctxt_switches:"));
    counts
        .map(|line| line.split_whitespace().nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0))
        .sum()
}

fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the guard runs");
    tasks
        .map(|task| fs::read_to_string(task.expect("listed").path().join("status")).expect("readable"))
        .collect()
}
