//! What machine this is, for the report.

use crate::summary::Machine;
use std::thread;

/// What the system says about the machine; what it does not say is left empty.
pub(super) fn describe() -> Machine {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Machine {
        name: text(uname.nodename()),
        kernel: format!("{} {}", text(uname.sysname()), text(uname.release())),
        cpu: value_of("/proc/cpuinfo", "model name").unwrap_or_default(),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: memory_bytes().unwrap_or_default(),
    }
}

fn memory_bytes() -> Option<u64> {
    let total = value_of("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = total.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The value of the first line `key : value` of a file.
fn value_of(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
