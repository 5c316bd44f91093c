//! What the tests share: launches, waits with a deadline, and looks at the process table.

use crate::roles::{Role, guard_program, own_path, role_args};
pub(crate) use crate::waiting::{PATIENCE, eventually, within};
use backends::process::{GuardProgram, Launch, Process};
use russula_proto::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A directory for the logs of one test, and a mark in the environment of all its processes.
pub(crate) struct Bench {
    dir: TempDir,
    mark: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("BENCH_{}={}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir: tempfile::tempdir().expect("a temporary directory"), mark }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn guard(&self) -> GuardProgram {
        guard_program(&self.mark)
    }

    /// A launch of `program`, with its logs in the directory of the test.
    pub(crate) fn launch(&self, program: impl Into<PathBuf>, args: &[&str]) -> Launch {
        let (name, value) = self.mark.split_once('=').expect("a mark is an assignment");
        Launch {
            program: program.into(),
            args: args.iter().map(Into::into).collect(),
            env: vec![(name.into(), value.into())],
            env_remove: vec![],
            stdout: self.path("stdout"),
            stderr: self.path("stderr"),
            listen: None,
        }
    }

    pub(crate) fn shell(&self, script: &str) -> Launch {
        self.launch("sh", &["-c", script])
    }

    /// A shell script that runs in the directory of the test.
    pub(crate) fn shell_in_dir(&self, script: &str) -> Launch {
        self.shell(&format!("cd '{}' && {{ {script}; }}", self.path("").display()))
    }

    pub(crate) fn role(&self, role: &Role) -> Launch {
        let mut launch = self.launch(own_path(), &[]);
        launch.args = role_args();
        launch.env.extend(role.env());
        launch
    }

    pub(crate) fn spawn(&self, launch: &Launch) -> Process {
        Process::spawn(launch, &self.guard()).expect("spawned")
    }

    /// The processes of this test that are alive: guards, drivers, and what they started.
    pub(crate) fn alive(&self) -> Vec<u32> {
        let is_marked = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
        };
        processes().into_iter().filter(is_marked).filter(|pid| is_alive(*pid)).collect()
    }

    pub(crate) fn assert_nothing_alive(&self) {
        assert_eq!(self.alive(), [0_u32; 0], "processes are left");
    }
}

/// Blocks until the driver has ended, as its file descriptor tells, and reaps it.
pub(crate) fn end_of(process: &mut Process) -> Outcome {
    let mut fds = [PollFd::from_borrowed_fd(process.exit_fd(), PollFlags::IN)];
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "the driver does not end");
    process.try_reap().expect("reaped").expect("ended")
}

/// Writes a file that is either absent or complete for whoever looks at it.
pub(crate) fn write_file(path: &Path, text: &str) {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, text).expect("written");
    fs::rename(unfinished, path).expect("renamed");
}

pub(crate) fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

pub(crate) fn group_of(pid: u32) -> u32 {
    stat(pid).expect("the process exists")[2].parse().expect("a group")
}

pub(crate) fn members(group: u32) -> Vec<u32> {
    let is_member = |pid: &u32| stat(*pid).is_some_and(|fields| fields[2] == group.to_string());
    processes().into_iter().filter(is_member).collect()
}

/// The fields of `/proc/PID/stat` after the name: state, parent, group, ...
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(Into::into).collect())
}
