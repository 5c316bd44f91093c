//! The processor time of this process: what a machine that is busy with other things does not distort.

use std::fs;
use std::time::Duration;

/// User and system time so far; `None` where the system does not say (only Linux does, in `/proc`).
pub fn cpu_time() -> Option<Duration> {
    of_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 of proc_pid_stat(5), in ticks; the name in field 2 may contain anything but ends with the
/// last parenthesis.
fn of_stat(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let ticks = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
}

/// `sysconf(_SC_CLK_TCK)`, which is the same on every Linux that this is built for.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_confuses_nobody() {
        let stat = "71 (a) 1 (b) S 1 71 71 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 1 1 1";
        assert_eq!(of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(of_stat("71 (a) S 1"), None);
    }
}
