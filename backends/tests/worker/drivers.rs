//! Drivers for tests: this test program, started again.
//!
//! A worker starts a driver without arguments, so each one is a small script that runs the test `role` of this
//! program alone, with the variable `ROLE` set. Without the variable, as in the test run itself, `role` does nothing.

use crate::support::while_nothing_starts;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const ROLE: &str = "ROLE";

/// What the server says to everyone.
const GREETING: &[u8] = b"hello";

/// A server that listens where the contract of the drivers says, until it is stopped.
pub(crate) fn server() -> String {
    script_of("server")
}

/// A client that hears from every server of the scenario and ends.
pub(crate) fn client() -> String {
    script_of("client")
}

/// A server that ends after it has greeted one client.
pub(crate) fn brief_server() -> String {
    script_of("brief-server")
}

/// A client that hears from every server and then runs on.
pub(crate) fn lingering_client() -> String {
    format!("{} && exec sleep 1000", client().replace("exec ", ""))
}

/// What the test harness prints is no output of a driver.
fn script_of(role: &str) -> String {
    let own_path = std::env::current_exe().expect("a test program has a path");
    format!("{ROLE}={role} exec '{}' --exact role --nocapture > /dev/null", own_path.display())
}

/// Writes a shell script as an executable file.
pub(crate) fn write_script(path: &Path, script: &str) {
    // Nobody can execute a file that anybody has open for writing (`ETXTBSY`).
    while_nothing_starts(|| fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written"));
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
}

pub(crate) fn play() {
    match std::env::var(ROLE).as_deref() {
        Err(_) => {}
        Ok("server") => serve(usize::MAX),
        Ok("brief-server") => serve(1),
        Ok("client") => visit(),
        Ok(other) => panic!("there is no role {other}"),
    }
}

fn serve(clients: usize) {
    let at = format!("{}:{}", variable("LOCAL_IP"), variable("PORT"));
    let listener = TcpListener::bind(at).expect("the port is free");
    for client in listener.incoming().take(clients) {
        client.expect("accepted").write_all(GREETING).expect("sent");
    }
}

fn visit() {
    let servers = (0..).map_while(|index| std::env::var(format!("SERVER_{index}")).ok());
    for server in servers {
        let mut heard = Vec::new();
        TcpStream::connect(server).expect("connected").read_to_end(&mut heard).expect("received");
        assert_eq!(heard, GREETING);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}
