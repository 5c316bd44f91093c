//! A driver by its name alone: where a worker looks for it.

use crate::drivers;
use crate::support::{Site, WORKER, Worker, coordinate, while_nothing_starts};
use russula_proto::{Group, Milestone};
use std::fs;
use std::path::Path;
use std::process::Command;

const PLACES: [&str; 3] = ["driver-dir", "cache/drivers/bin", "path"];

/// A directory with both programs of a driver, which say on stderr where they are.
fn place_driver(dir: &Path, name: &str) {
    fs::create_dir_all(dir).expect("made");
    for role in ["server", "client"] {
        let script = format!("echo {role} of {} >&2", dir.display());
        drivers::write_script(&dir.join(format!("s2n-netbench-driver-{role}-{name}")), &script);
    }
}

/// What the driver that a client's worker finds says when it runs.
fn found_by(worker: &Path, site: &Site, driver: &str) -> String {
    let mut command = Command::new(worker);
    command.args(["client", "--listen", "127.0.0.1:0", "--driver", driver]);
    command.arg("--key-file").arg(site.path("run.key"));
    command.args(["127.0.0.1:1"; 4].iter().flat_map(|server| ["--server", server]));
    if site.path("driver-dir").exists() {
        command.arg("--driver-dir").arg(site.path("driver-dir"));
    }
    command.arg("--scenario").arg(site.path("demo.json")).arg("--out").arg(site.path("out"));
    let path = std::env::join_paths([site.path("path"), "/usr/bin".into(), "/bin".into()]).expect("no ':'");
    command.env("RUNNER_CACHE_DIR", site.path("cache")).env("PATH", path);
    let worker = Worker::start(command, site.path("log"));
    let (mut coordinators, group) = coordinate(Group::Client, &[&worker]);
    coordinators.run_till(group, Milestone::Done).expect("it exits with 0");
    let ending = coordinators.get(group).peer(0).ending.cloned().expect("it is done");
    ending.outcome().expect("it ran").stderr_tail.to_string()
}

#[test]
fn the_driver_directory_goes_before_the_cache_and_the_cache_before_path() {
    let site = Site::new();
    for place in PLACES {
        place_driver(&site.path(place), "tcp");
    }
    for place in PLACES {
        let dir = site.path(place);
        assert_eq!(found_by(Path::new(WORKER), &site, "tcp"), format!("client of {}\n", dir.display()));
        fs::remove_dir_all(dir).expect("removed");
    }
}

#[test]
fn the_embedded_driver_is_found_beside_the_worker() {
    let site = Site::new();
    let dir = site.path("installed");
    place_driver(&dir, "embedded");
    let copy = dir.join("russula-worker");
    while_nothing_starts(|| fs::copy(WORKER, &copy)).expect("copied");
    assert_eq!(found_by(&copy, &site, "embedded"), format!("client of {}\n", dir.display()));
}

#[test]
fn a_program_by_its_bare_name_is_found_on_path() {
    let site = Site::new();
    assert_eq!(found_by(Path::new(WORKER), &site, "anything=true"), "");
}
