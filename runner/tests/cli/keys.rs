//! The key of a run: how it is made and refused, and that it shows nowhere.

use crate::bench::{Bench, scenario};
use crate::workers::{KEY_FILE, Workers};
use rustix::process::Pid;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Hex digits of a key.
const DIGITS_LEN: usize = 64;

#[test]
fn a_key_is_made_for_its_owner_alone() {
    let bench = Bench::new();
    // Whatever others may do with files by default.
    let script = format!("umask 000; exec {} key run.key", env!("CARGO_BIN_EXE_runner"));
    let finished = bench.start(bench.mark(Command::new("sh"), &["-c", &script])).end();
    finished.expect_code(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""), "nobody sees it");
    let path = bench.path("run.key");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o600);
    let key = fs::read_to_string(&path).expect("read");
    let digits = key.strip_suffix('\n').expect("a line");
    assert_eq!((digits.len(), longest_hex(digits.as_bytes())), (DIGITS_LEN, DIGITS_LEN));
    bench.run(&["key", "another.key"]).expect_code(0);
    assert_ne!(fs::read_to_string(bench.path("another.key")).expect("read"), key);
}

#[test]
fn a_key_takes_the_place_of_nothing() {
    let bench = Bench::new();
    bench.write("run.key", "mine");
    bench.run(&["key", "run.key"]).expect_code(2).expect_stderr(&["run.key exists already"]);
    assert_eq!(fs::read_to_string(bench.path("run.key")).expect("read"), "mine");
    bench.run(&["key", "nowhere/run.key"]).expect_code(2).expect_stderr(&["nowhere/run.key"]);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::planned(&bench, &["mine"], &[]);
    fs::set_permissions(bench.path(KEY_FILE), Permissions::from_mode(0o644)).expect("it is ours");
    let refused = workers.attach(&[]).end();
    refused.expect_code(2).expect_stderr(&["0644", "; chmod 600 ", "run.key"]);
    assert!(!bench.out().exists(), "nothing was begun");
    let tiny = scenario("tiny").display().to_string();
    let driver = format!("mine={}", bench.drivers().join("s2n-netbench-driver-server-mine").display());
    let args = ["worker", "server", "--listen", "127.0.0.1:0", "--scenario", &tiny, "--driver", &driver];
    let refused = bench.run(&[&args[..], &["--key-file", KEY_FILE]].concat());
    refused.expect_code(2).expect_stderr(&["0644", "chmod 600 run.key"]);
    assert_eq!(refused.stdout, "", "it does not listen");
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let workers = Workers::planned(&bench, &["mine"], &[]);
    let cut = fs::read_to_string(bench.path(KEY_FILE)).expect("read")[..60].to_owned();
    fs::write(bench.path(KEY_FILE), &cut).expect("written");
    let refused = workers.attach(&[]).end();
    refused.expect_code(2).expect_stderr(&["run.key"]);
    assert!(!refused.stderr.contains(&cut[..8]), "{refused:#?}");
}

#[test]
fn the_key_of_an_attached_run_shows_nowhere() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "gate client-runs; $CLIENT");
    let workers = Workers::start(&bench, &["mine"], &[]);
    let key = fs::read_to_string(bench.path(KEY_FILE)).expect("read").trim().to_owned();
    let raw: Vec<u8> = (0..DIGITS_LEN).step_by(2).map(|at| byte(&key[at..at + 2])).collect();
    let secrets = [key.clone().into_bytes(), key.to_uppercase().into_bytes(), raw];
    let has_secret =
        |bytes: &[u8]| secrets.iter().any(|secret| bytes.windows(secret.len()).any(|w| w == secret));
    // The search finds what is there.
    assert!(has_secret(&fs::read(bench.path(KEY_FILE)).expect("read")));

    let mut command = workers.attach_command(&["-vv", "--repeat", "2"]);
    command.env("RUST_LOG", "trace");
    let running = bench.start(command);
    bench.expect_at_gate("client-runs-mine");
    let processes = bench.alive();
    assert!(processes.len() >= 7, "orchestrator, workers, guards and drivers: {processes:#?}");
    for (pid, line) in &processes {
        assert!(!has_secret(&seen_by_others(*pid)), "{line}");
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut open = open.filter_map(|fd| fs::read_link(fd.path()).ok());
        assert!(!open.any(|file| file == bench.path(KEY_FILE)), "{line} has the key file open");
    }
    bench.open_gate("client-runs");
    running.end().expect_code(0);
    workers.expect_dismissed();
    let files = files_below(&bench.path(""));
    assert!(files.len() > 20, "{files:#?}");
    for file in files.iter().filter(|file| **file != bench.path(KEY_FILE)) {
        assert!(!has_secret(&fs::read(file).expect("read")), "{}", file.display());
    }
}

/// Nobody outside knows the key of a local run, so whatever looks like one is too much.
#[test]
fn the_key_of_a_local_run_shows_nowhere() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "gate client-runs; $CLIENT");
    let mut command = bench.command(&["-vv", "local", "--driver-dir", "drivers", "--driver", "mine"]);
    command.arg("--scenario").arg(scenario("tiny")).env("RUST_LOG", "trace");
    let running = bench.start(command);
    bench.expect_at_gate("client-runs-mine");
    for (pid, line) in bench.alive() {
        assert!(longest_hex(&seen_by_others(pid)) < DIGITS_LEN, "{line}");
    }
    bench.open_gate("client-runs");
    running.end().expect_code(0);
    let report = bench.run_directory().join("report");
    for file in files_below(&bench.path("")) {
        // The library for the plots has long words; a key would be a line.
        let is_report = fs::canonicalize(&report).is_ok_and(|report| file.starts_with(report));
        let bytes = fs::read(&file).expect("read");
        let is_key = |line: &[u8]| line.len() == DIGITS_LEN && longest_hex(line) == DIGITS_LEN;
        let shows = bytes.split(|byte| *byte == b'\n').any(is_key);
        assert!(!shows && (is_report || longest_hex(&bytes) < DIGITS_LEN), "{}", file.display());
    }
}

/// Its arguments and its environment (`proc(5)`).
fn seen_by_others(pid: Pid) -> Vec<u8> {
    ["cmdline", "environ"]
        .iter()
        .flat_map(|name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default())
        .collect()
}

/// All files below a directory; links are not followed.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut left) = (vec![], vec![directory.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let kind = entry.file_type().expect("it is there");
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files
}

/// Length of the longest sequence of hex digits.
fn longest_hex(bytes: &[u8]) -> usize {
    bytes.split(|byte| !byte.is_ascii_hexdigit()).map(<[u8]>::len).max().unwrap_or_default()
}

fn byte(digits: &str) -> u8 {
    u8::from_str_radix(digits, 16).expect("hex digits")
}
