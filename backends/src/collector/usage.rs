//! Adds up what the threads of a process use.
//!
//! Processor time is what the scheduler has measured for each thread, in nanoseconds. The clock ticks of
//! `/proc/PID/stat` are too coarse: at ten samples a second, one tick of 10 ms is 10 %.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a thread has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thread {
    /// By the scheduler; zero where the kernel does not tell it.
    cpu: Duration,
    switches: u64,
}

impl Thread {
    /// Reads `/proc/PID/task/TID`; `None` if the thread has ended.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        // The kernel may be built without it. The status is read after it: where there is one, the thread has not
        // ended before, so that it does not look like a new thread without processor time.
        let schedstat = fs::read(directory.join("schedstat")).unwrap_or_default();
        let status = fs::read(directory.join("status")).ok()?;
        Some(Self {
            cpu: parse_schedstat(&String::from_utf8_lossy(&schedstat)).unwrap_or_default(),
            switches: parse_switches(&String::from_utf8_lossy(&status)),
        })
    }

    /// What it has used since it was `before`. Less than before means another thread with the same id.
    fn since(self, before: Option<&Self>) -> Self {
        match before {
            Some(before) if before.cpu <= self.cpu && before.switches <= self.switches => {
                Self { cpu: self.cpu - before.cpu, switches: self.switches - before.switches }
            }
            Some(_) | None => self,
        }
    }
}

/// What a process has used since it began, including its threads that have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// Context switches, voluntary and involuntary.
    pub(super) switches: u64,
    /// The threads that were alive.
    threads: BTreeMap<u32, Thread>,
}

impl Usage {
    /// The usage when these are the threads and the clock ticks of the process add up to `by_ticks`.
    ///
    /// Counted per thread, since a thread that ends takes its figures out of a plain sum. What a thread used between
    /// the last look at it and its end is seen in the ticks only: they count it, and are the same measurement
    /// rounded down (`cputime_adjust` in `kernel/sched/cputime.c`). So the usage is never less than the ticks, which
    /// also serves kernels that tell nothing else.
    pub(super) fn advanced(&self, threads: BTreeMap<u32, Thread>, by_ticks: Duration) -> Self {
        let (mut cpu, mut switches) = (self.cpu, self.switches);
        for (id, thread) in &threads {
            let used = thread.since(self.threads.get(id));
            cpu = cpu.saturating_add(used.cpu);
            switches = switches.saturating_add(used.switches);
        }
        Self { cpu: cpu.max(by_ticks), switches, threads }
    }
}

/// Sum of the two `ctxt_switches` lines of `/proc/PID/task/TID/status` (proc_pid_status(5)).
fn parse_switches(status: &str) -> u64 {
    let counts = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        if !matches!(name, "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches") {
            return None;
        }
        value.trim().parse::<u64>().ok()
    });
    counts.fold(0, u64::saturating_add)
}

/// Time on the processor, the first field of `/proc/PID/task/TID/schedstat` in nanoseconds
/// (`Documentation/scheduler/sched-stats.rst` of Linux).
fn parse_schedstat(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_those_of_both_kinds() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(parse_switches(status), 695);
        assert_eq!(parse_switches("voluntary_ctxt_switches: x\n\u{fffd}"), 0);
    }

    #[test]
    fn time_on_the_processor_is_the_first_field() {
        assert_eq!(parse_schedstat("1234567 89 10\n"), Some(Duration::from_nanos(1_234_567)));
        for garbage in ["", "x 1 2", "-1 0 0", "18446744073709551616 0 0"] {
            assert_eq!(parse_schedstat(garbage), None, "{garbage}");
        }
    }

    fn thread(cpu_ms: u64, switches: u64) -> Thread {
        Thread { cpu: Duration::from_millis(cpu_ms), switches }
    }

    fn used_ms(usage: &Usage) -> (u128, u64) {
        (usage.cpu.as_millis(), usage.switches)
    }

    #[test]
    fn usage_is_summed_over_threads_that_come_and_go() {
        let first = Usage::default()
            .advanced(BTreeMap::from([(1, thread(10, 10)), (2, thread(1000, 1000))]), Duration::ZERO);
        assert_eq!(used_ms(&first), (1010, 1010));
        // Thread 2 has ended, which takes nothing away; thread 3 is new and counts from zero.
        let second = first.advanced(BTreeMap::from([(1, thread(15, 15)), (3, thread(4, 4))]), Duration::ZERO);
        assert_eq!(used_ms(&second), (1019, 1019));
        // Thread 3 has ended, and a new thread has got its id.
        let third = second.advanced(BTreeMap::from([(1, thread(15, 15)), (3, thread(1, 9))]), Duration::ZERO);
        assert_eq!(used_ms(&third), (1020, 1028));
        assert_eq!(used_ms(&third.advanced(BTreeMap::new(), Duration::ZERO)), (1020, 1028));
    }

    #[test]
    fn the_ticks_tell_what_ended_threads_used_unseen() {
        let ms = Duration::from_millis;
        let first =
            Usage::default().advanced(BTreeMap::from([(1, thread(18, 0)), (2, thread(5, 0))]), ms(20));
        assert_eq!(first.cpu, ms(23), "finer than the ticks");
        // Thread 2 used 85 ms more before it ended.
        let second = first.advanced(BTreeMap::from([(1, thread(18, 0))]), ms(100));
        assert_eq!(second.cpu, ms(100));
        let third = second.advanced(BTreeMap::from([(1, thread(25, 0))]), ms(110));
        assert_eq!(third.cpu, ms(110));
    }

    #[test]
    fn cpu_falls_back_to_ticks_where_the_scheduler_tells_nothing() {
        let mut usage = Usage::default();
        for by_ticks_ms in [0, 10, 10, 30] {
            let threads = BTreeMap::from([(1, thread(0, 1)), (2, thread(0, 2))]);
            usage = usage.advanced(threads, Duration::from_millis(by_ticks_ms));
            assert_eq!(usage.cpu, Duration::from_millis(by_ticks_ms));
        }
    }
}
