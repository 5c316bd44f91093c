//! A run whose directory is on a small file system: it ends, says what does not fit, and nothing is left.
//!
//! Mounting needs root; without it these tests only say that they were skipped.

use crate::bench::{Bench, Finished, LEFT_MAX};
use crate::processes::Kind;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file system in memory, mounted as long as this lives.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// At `path`, of `size` (as `mount(8)` has it for tmpfs); `None` if it may not be mounted here.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).expect("created");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            println!("skipped: a tmpfs cannot be mounted, which takes root");
        }
        mounted.then(|| Self { path: path.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what is left running after a test that failed may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

const NO_SPACE: &str = "No space left on device";

fn end(bench: &Bench, args: &[&str]) -> Finished {
    let mut all = vec!["--out", "disk"];
    all.extend(args);
    let finished = bench.local(&all).end();
    bench.expect_nothing_alive(LEFT_MAX);
    assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    finished
}

#[test]
fn no_room_for_the_run_directory() {
    let bench = Bench::new();
    for pages in 1..12 {
        let Some(disk) = SmallDisk::mount(&bench.path("disk"), &format!("{}k", 4 * pages)) else { return };
        let finished = end(&bench, &[]);
        let code = finished.status.code();
        assert!(matches!(code, Some(2..=4)), "{pages} pages: {code:?} {finished:#?}");
        finished.expect_stderr(&["error: ", NO_SPACE]);
        drop(disk);
    }
}

#[test]
fn no_room_for_the_report() {
    let bench = Bench::new();
    let Some(_disk) = SmallDisk::mount(&bench.path("disk"), "1m") else { return };
    let finished = end(&bench, &[]);
    finished.expect_code(3).expect_stderr(&["error: cannot write", "index.html", NO_SPACE]);
    assert!(finished.stdout.contains("embedded  1    ok"), "{}", finished.stdout);
    assert!(bench.path("disk/latest/summary.json").exists());
}

#[test]
fn a_driver_fills_the_disk() {
    let bench = Bench::new();
    let Some(_disk) = SmallDisk::mount(&bench.path("disk"), "2m") else { return };
    bench.fake("loud", "exec $SERVER", "head -c 4000000 /dev/zero; exec $CLIENT");
    let finished = end(&bench, &["--driver", "loud", "--driver", "embedded"]);
    finished.expect_stderr(&["error: ", NO_SPACE]);
    assert_ne!(finished.status.code(), Some(0));
    assert!(finished.stdout.contains("loud"), "what is known is shown: {}", finished.stdout);
}

#[test]
fn a_full_disk_and_a_worker_that_is_killed() {
    let bench = Bench::new();
    let Some(_disk) = SmallDisk::mount(&bench.path("disk"), "2m") else { return };
    let client = "head -c 4000000 /dev/zero; touch $BENCH/client-runs; sleep 1000 & wait";
    bench.fake("loud", "exec $SERVER", client);
    let running = bench.local(&["--out", "disk", "--driver", "loud"]);
    bench.expect_file("client-runs");
    let worker = bench.one(Kind::Worker("client"));
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).expect("killed");
    let finished = running.end();
    finished.expect_code(3).expect_stderr(&["client 127.0.101.1 is lost", NO_SPACE]);
}
