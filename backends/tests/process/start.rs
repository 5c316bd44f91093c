//! Starts that fail: each is a named error and leaves nothing behind.

use crate::support::{Bench, PATIENCE, end_of};
use backends::process::{GuardProgram, Launch, Listen, Process};
use russula_proto::{Exit, StartFailure};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

fn failure(bench: &Bench, launch: &Launch) -> String {
    let failure = Process::spawn(launch, &bench.guard()).expect_err("it cannot start");
    bench.assert_nothing_alive();
    assert!(matches!(failure, StartFailure::Spawn(_)), "{failure:?}");
    failure.to_string()
}

/// Writes a file by a shell: while this process has a file open for writing, a child that another test has just forked
/// has so too, and a file that is written to cannot be executed.
fn file(bench: &Bench, name: &str, content: &str, mode: &str) -> PathBuf {
    let path = bench.path(name);
    let write = r#"printf '%s' "$1" > "$0" && chmod "$2" "$0""#;
    let status =
        Command::new("sh").args(["-c", write]).arg(&path).args([content, mode]).status().expect("ran");
    assert!(status.success());
    path
}

#[test]
fn a_program_that_cannot_be_executed_is_named_with_the_cause() {
    let bench = Bench::new();
    let cases = [
        (Path::new("/no/such/driver").to_owned(), "no such file"),
        ("no-such-driver-on-path".into(), "no such program on PATH"),
        (file(&bench, "plain", "#!/bin/sh\n", "644"), "not executable"),
        (file(&bench, "alien", "\x7fELF, but not really", "755"), "no program for this kind of machine"),
        (file(&bench, "orphan", "#!/no/such/interpreter\n", "755"), "interpreter"),
        (bench.path(""), "directory"),
    ];
    for (program, cause) in cases {
        let text = failure(&bench, &bench.launch(&program, &[]));
        assert!(text.contains(cause), "{text}");
        assert!(text.contains(program.to_str().expect("UTF-8")), "{text}");
    }
}

#[test]
fn a_log_in_a_place_that_does_not_exist_is_named() {
    let bench = Bench::new();
    let mut launch = bench.shell("exit 0");
    launch.stderr = "/no/such/directory/stderr".into();
    assert!(failure(&bench, &launch).contains("its stderr cannot be written to /no/such/directory/stderr"));
}

#[test]
fn an_argument_that_no_program_can_get_is_an_error() {
    let bench = Bench::new();
    assert!(failure(&bench, &bench.launch("sh", &["a\0b"])).contains("nul byte"));
}

#[test]
fn a_guard_that_is_none_is_an_error() {
    let bench = Bench::new();
    let start = Instant::now();
    for (path, args, cause) in [
        ("/no/such/guard", vec![], "/no/such/guard cannot be started"),
        ("true", vec![], "is no guard"),
        ("sh", vec!["-c".into(), "echo hello >&0; sleep 1000".into()], "is no guard"),
    ] {
        let guard = GuardProgram { path: path.into(), args };
        let failure =
            Process::spawn(&bench.shell("exit 0"), &guard).expect_err("it has no guard").to_string();
        assert!(failure.contains(cause), "{failure}");
    }
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_port_in_use_is_an_error_before_anything_is_started() {
    let bench = Bench::new();
    let tcp = |address: &str| TcpListener::bind(address).expect("a free port");
    let (wildcard, specific) = (tcp("0.0.0.0:0"), tcp("127.0.0.1:0"));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let ports =
        [wildcard.local_addr(), specific.local_addr(), udp.local_addr()].map(|a| a.expect("bound").port());
    for (port, kind) in ports.into_iter().zip(["TCP listener", "TCP listener", "UDP socket"]) {
        let mut launch = bench.shell("exit 0");
        launch.listen = Some(Listen {
            address: "127.0.0.1".parse().expect("an address"),
            port,
            may_bind_everywhere: false,
        });
        let failure = Process::spawn(&launch, &bench.guard()).expect_err("the port is in use");
        assert!(matches!(failure, StartFailure::PortInUse { port: named, .. } if named == port), "{failure}");
        let text = failure.to_string();
        assert!(text.contains(kind) && text.contains(&std::process::id().to_string()), "{text}");
    }
    assert!(!bench.path("stdout").exists());
    bench.assert_nothing_alive();
}

#[test]
fn a_driver_gets_what_its_launch_says() {
    let bench = Bench::new();
    let mut launch =
        bench.shell(r#"printf '%s|%s|%s|' "$GIVEN" "${PATH:+inherited}" "${HOME-removed}"; pwd; cat"#);
    launch.env.push(("GIVEN".into(), "given".into()));
    launch.env_remove.push("HOME".into());
    let mut process = bench.spawn(&launch);
    assert_eq!(end_of(&mut process).exit, Exit::Code(0), "its stdin is empty");
    let stdout = bench.read("stdout");
    let own_dir = std::env::current_dir().expect("a test program runs somewhere");
    assert!(stdout.ends_with(&format!("given|inherited|removed|{}\n", own_dir.display())), "{stdout}");
}
