//! The end of one child, with the resources that it used.
//!
//! `wait4` is called here because neither `std` (exit status only) nor `rustix` (`waitid`, without `rusage`)
//! tells the resource usage of one child. It is the only unsafe code of the project.

use russula_proto::Exit;
use rustix::process::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child ended and what the kernel counted for it *and for the descendants that it waited for itself*.
///
/// See `getrusage(2)` for the fields. One caveat: Linux carries the peak of the image that called `exec` over into
/// `ru_maxrss` (`exec_mmap` in `fs/exec.c`), and `posix_spawn` calls it while it shares the memory of its parent. So
/// [`Ended::max_rss_bytes`] is never below the peak of the worker since [`forget_own_peak`]: what the worker held when
/// it started the child, which is a few MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// User and system time, in microseconds.
    pub(super) cpu_us: u64,
    /// Peak resident memory in bytes.
    pub(super) max_rss_bytes: u64,
    pub(super) voluntary_switches: u64,
    pub(super) involuntary_switches: u64,
}

/// Reaps the child `pid` if it has ended; returns at once with `None` if it has not.
///
/// # Errors
/// `ECHILD` when `pid` is not a child of this process or has been reaped already. This is also the case when the
/// process was started with `SIGCHLD` ignored: the kernel then reaps children by itself and their status is lost.
pub(super) fn try_wait(pid: Pid) -> io::Result<Option<Ended>> {
    let Some((status, usage)) = wait4_no_hang(pid)? else {
        return Ok(None);
    };
    let status = ExitStatus::from_raw(status);
    // Without WUNTRACED and WCONTINUED a child is reported only once it exited or a signal killed it.
    let exit = match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => return Err(io::Error::other(format!("wait4 told an unknown status {status:?}"))),
    };
    Ok(Some(Ended {
        exit,
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        // Linux counts ru_maxrss in KiB.
        max_rss_bytes: count(usage.ru_maxrss) * 1024,
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
    }))
}

/// Lowers the peak of this process to what it holds now, so that a child that is started next does not get an earlier
/// one as its own. To be called right before.
///
/// `5` is the command for it (`/proc/PID/clear_refs` in `proc(5)`). Where it
/// is not possible, on a kernel without `CONFIG_PROC_PAGE_MONITOR` or with `/proc` read-only, the peak stays, and is
/// the lower bound for that of every child.
pub(super) fn forget_own_peak() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        tracing::debug!("the own peak of memory cannot be lowered: {error}");
    }
}

#[allow(unsafe_code)]
fn wait4_no_hang(pid: Pid) -> io::Result<Option<(libc::c_int, libc::rusage)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes of their types for the duration of the call, and a `rusage` is
    // made of integers only, for which all zeros are a valid value even if the kernel writes nothing.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(pid.as_raw_nonzero().get(), &mut status, libc::WNOHANG, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    match reaped {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        _ => Ok(Some((status, usage))),
    }
}

fn micros(time: libc::timeval) -> u64 {
    count(time.tv_sec) * 1_000_000 + count(time.tv_usec)
}

/// The kernel never counts below zero; the C types are signed all the same.
fn count(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_child_is_an_error() {
        let error = try_wait(Pid::INIT).expect_err("init is not a child of a test");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    }
}
