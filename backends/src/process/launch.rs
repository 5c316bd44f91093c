//! What is started, and how: from a [`Launch`] to a child process, or to an error that says what to do.

use russula_proto::StartFailure;
use rustix::process::Pid;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A driver to start. It runs in the directory of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Path of the program: absolute, or a bare name that is looked up on PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set on top of the environment of the worker, which the driver inherits.
    pub env: Vec<(String, String)>,
    /// Variables that the driver must not see. They win over [`Launch::env`].
    pub env_remove: Vec<String>,
    /// The file that its stdout is appended to; created when missing, bounded by
    /// [`LOG_MAX_BYTES`](super::LOG_MAX_BYTES).
    pub stdout: PathBuf,
    /// The file that its stderr is appended to, likewise. The tail of an [`Outcome`](russula_proto::Outcome) comes
    /// from here.
    pub stderr: PathBuf,
    /// Where a server will listen. The port must be free when it is started. `None` for a client.
    pub listen: Option<Listen>,
}

/// Where a server listens, by TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; unspecified (`::`) stands for all of them, IPv4 ones too.
    pub address: IpAddr,
    /// The port, not 0.
    pub port: u16,
    /// Whether the server may bind its port at all addresses, whatever `address` is, as the drivers of netbench do.
    /// Then the port must be free at each of them.
    pub may_bind_everywhere: bool,
}

/// The files that a driver writes to.
#[derive(Debug)]
pub(super) struct LogFiles {
    pub(super) stdout: File,
    pub(super) stderr: File,
    /// Length of stderr before this start, in bytes: what was there before belongs to an earlier driver.
    pub(super) stderr_start: u64,
}

impl LogFiles {
    /// Opens both files of `launch` for appending.
    pub(super) fn open(launch: &Launch) -> Result<Self, StartFailure> {
        let stdout = open_log("stdout", &launch.stdout)?;
        let stderr = open_log("stderr", &launch.stderr)?;
        let stderr_start = stderr.metadata().map_err(StartFailure::spawn)?.len();
        Ok(Self { stdout, stderr, stderr_start })
    }

    /// Further handles of the same open files.
    pub(super) fn try_clone(&self) -> Result<(File, File), StartFailure> {
        let stdout = self.stdout.try_clone().map_err(StartFailure::spawn)?;
        let stderr = self.stderr.try_clone().map_err(StartFailure::spawn)?;
        Ok((stdout, stderr))
    }
}

/// Starts the program of `launch` as a member of `group`.
pub(super) fn spawn_into(group: Pid, launch: &Launch, logs: LogFiles) -> Result<Child, StartFailure> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .process_group(group.as_raw_nonzero().get())
        .stdin(Stdio::null())
        .stdout(logs.stdout)
        .stderr(logs.stderr);
    for name in &launch.env_remove {
        command.env_remove(name);
    }
    command.spawn().map_err(|error| {
        let cause = cause_of(&launch.program, &error);
        StartFailure::spawn(format_args!("{}: {cause}", launch.program.display()))
    })
}

fn open_log(name: &str, path: &Path) -> Result<File, StartFailure> {
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        StartFailure::spawn(format_args!("its {name} cannot be written to {}: {error}", path.display()))
    })
}

/// What `execve(2)` means by its error.
fn cause_of(program: &Path, error: &io::Error) -> String {
    let is_bare_name = program.components().count() == 1 && program.is_relative();
    let found = fs::metadata(program);
    match error.raw_os_error() {
        Some(libc::ENOENT) if is_bare_name => format!("there is no such program on PATH ({error})"),
        Some(libc::ENOENT) if found.is_ok() => {
            format!("the interpreter that it names, or its dynamic loader, does not exist ({error})")
        }
        Some(libc::ENOENT) => format!("there is no such file ({error})"),
        Some(libc::EACCES) => match found {
            Ok(metadata) if metadata.is_dir() => format!("it is a directory ({error})"),
            Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
                format!("it is not executable; chmod +x makes it so ({error})")
            }
            Ok(_) | Err(_) => {
                format!("this user may not execute it, or its file system is mounted noexec ({error})")
            }
        },
        Some(libc::ENOEXEC) => format!("it is no program for this kind of machine ({error})"),
        Some(libc::ETXTBSY) => format!("it is still being written ({error})"),
        Some(_) | None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(program: &str, errno: i32) -> String {
        cause_of(Path::new(program), &io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn every_cause_is_told_apart() {
        assert!(cause("no-such-driver", libc::ENOENT).contains("on PATH"));
        assert!(cause("/no/such/driver", libc::ENOENT).contains("no such file"));
        assert!(cause("/etc/hostname", libc::ENOENT).contains("interpreter"));
        assert!(cause("/etc", libc::EACCES).contains("directory"));
        assert!(cause("/etc/passwd", libc::EACCES).contains("chmod"));
        assert!(cause("/bin/sh", libc::EACCES).contains("noexec"));
        assert!(cause("/bin/sh", libc::ENOEXEC).contains("kind of machine"));
        assert!(cause("/bin/sh", libc::ENOMEM).contains("memory"));
    }
}
