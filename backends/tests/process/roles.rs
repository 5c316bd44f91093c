//! This test program, started again as a guard, a worker or a driver.
//!
//! The tests need no helper program to be built first: a process runs the test `role` of this program alone, and the
//! variable `ROLE` says what it is. Without the variable, as in the test run itself, `role` does nothing.

use crate::support::{eventually, write_file};
use backends::process::{GuardProgram, Launch, Process, guard_main};
use std::ffi::OsString;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

const ROLE: &str = "ROLE";

/// What a process of this program can be besides a guard, with what it needs to know.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Starts a shell script as its driver, writes the id of the driver to `started`, and then does `then`.
    Worker { script: String, dir: PathBuf, then: &'static str },
    /// Binds this port when the file `go` appears, then makes the file `go.bound`.
    Server { transport: &'static str, address: String, go: PathBuf },
    /// Uses this much memory, then ends.
    Memory { bytes: usize },
}

impl Role {
    /// The environment that makes a process play this role.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let text = |path: &PathBuf| path.to_str().expect("temporary paths are UTF-8").to_owned();
        let fields = match self {
            Self::Worker { script, dir, then } => vec![
                (ROLE, "worker".into()),
                ("SCRIPT", script.clone()),
                ("DIR", text(dir)),
                ("THEN", then.to_string()),
            ],
            Self::Server { transport, address, go } => {
                vec![(ROLE, transport.to_string()), ("ADDRESS", address.clone()), ("GO", text(go))]
            }
            Self::Memory { bytes } => vec![(ROLE, "memory".into()), ("BYTES", bytes.to_string())],
        };
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// This program as a guard; `mark`, an assignment of a variable, marks the process for tests that look for it.
pub(crate) fn guard_program(mark: &str) -> GuardProgram {
    let mut args: Vec<OsString> = vec![format!("{ROLE}=guard").into(), mark.into(), own_path().into()];
    args.extend(role_args());
    GuardProgram { path: "/usr/bin/env".into(), args }
}

pub(crate) fn own_path() -> PathBuf {
    std::env::current_exe().expect("a test program has a path")
}

/// The arguments that make this program run `role` only.
pub(crate) fn role_args() -> Vec<OsString> {
    ["--exact", "role", "--nocapture"].map(OsString::from).into()
}

pub(crate) fn play() {
    match std::env::var(ROLE).as_deref() {
        Err(_) => {}
        Ok("guard") => panic!("a guard returned: {:?}", guard_main()),
        Ok("worker") => worker(),
        Ok("memory") => memory(),
        Ok("tcp") => server(TcpListener::bind::<String>),
        Ok("udp") => server(UdpSocket::bind::<String>),
        Ok(other) => panic!("no such role: {other}"),
    }
}

fn worker() {
    let dir = PathBuf::from(variable("DIR"));
    let script = format!("cd '{}' && {{ {}; }}", dir.display(), variable("SCRIPT"));
    let launch = Launch {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![],
        env_remove: vec![],
        stdout: dir.join("stdout"),
        stderr: dir.join("stderr"),
        listen: None,
    };
    let process = Process::spawn(&launch, &guard_program("UNUSED=1")).expect("spawned");
    match variable("THEN").as_str() {
        "rest" => {}
        "terminate" => process.terminate().expect("terminated"),
        other => panic!("a worker cannot {other}"),
    }
    write_file(&dir.join("started"), &process.pid().to_string());
    rest();
}

fn memory() {
    let bytes = variable("BYTES").parse().expect("a number");
    let block = vec![1_u8; bytes];
    assert_eq!(std::hint::black_box(block).len(), bytes);
}

fn server<T>(bind: fn(String) -> io::Result<T>) {
    let go = PathBuf::from(variable("GO"));
    eventually("the server may bind its port", || go.exists());
    let mut socket = None;
    // The test that chose the port had it bound, and a child that another test was about to start may hold it still.
    eventually("the port is free", || {
        socket = bind(variable("ADDRESS")).ok();
        socket.is_some()
    });
    write_file(&go.with_extension("bound"), "");
    rest();
}

/// Until somebody kills this process; not for ever, so that a failed test leaves nothing behind.
fn rest() {
    std::thread::sleep(Duration::from_secs(60));
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("a role gets what it needs")
}
