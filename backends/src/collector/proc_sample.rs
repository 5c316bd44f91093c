//! Processor time, memory and context switches of a process, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// What a process used: rates and differences since the last sample, gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcSample {
    /// Processor time over real time since the last sample, in percent of one processor; 0 in the first sample.
    pub cpu_percent: f32,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Virtual memory in bytes.
    pub virtual_bytes: u64,
    /// Voluntary and involuntary switches of all threads since the last sample; 0 in the first sample.
    pub context_switches: u64,
}

/// Samples one process. The caller makes sure that the process id still names the process it means: an id is not
/// given to another process before the one that has it is reaped.
#[derive(Debug)]
pub struct ProcSampler {
    directory: PathBuf,
    last: Option<Last>,
}

/// What the next sample is compared with.
#[derive(Debug)]
struct Last {
    at: Instant,
    cpu_ticks: u64,
    switches: BTreeMap<u32, u64>,
}

impl ProcSampler {
    /// A sampler for the process with this id.
    pub fn new(pid: u32) -> Self {
        Self { directory: PathBuf::from(format!("/proc/{pid}")), last: None }
    }

    /// Reads the figures of the process at `now`, which must not lie before the `now` of the last call.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the process has ended, reaped or not; [`io::ErrorKind::Unsupported`] where
    /// there is no `/proc`; otherwise what the file system says.
    pub fn sample(&mut self, now: Instant) -> io::Result<ProcSample> {
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "processes are sampled on Linux only"));
        }
        let cpu_ticks = self.read("stat", parse_cpu_ticks)?;
        let (virtual_bytes, resident_bytes) = self.read("statm", parse_memory)?;
        let switches = self.switches_by_thread()?;

        let mut sample = ProcSample { resident_bytes, virtual_bytes, ..ProcSample::default() };
        if let Some(last) = &self.last {
            let elapsed_s = now.saturating_duration_since(last.at).as_secs_f64();
            let cpu_s = cpu_ticks.saturating_sub(last.cpu_ticks) as f64 / ticks_per_second();
            if elapsed_s > 0.0 {
                sample.cpu_percent = (100.0 * cpu_s / elapsed_s) as f32;
            }
            sample.context_switches = new_switches(&last.switches, &switches);
        }
        self.last = Some(Last { at: now, cpu_ticks, switches });
        Ok(sample)
    }

    fn read<T>(&self, file: &str, parse: fn(&str) -> Option<T>) -> io::Result<T> {
        // Bytes, since a process may give itself a name that is no text.
        let bytes = fs::read(self.directory.join(file)).map_err(ended)?;
        parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{}/{file}: the process has ended", self.directory.display()),
            )
        })
    }

    fn switches_by_thread(&self) -> io::Result<BTreeMap<u32, u64>> {
        let mut switches = BTreeMap::new();
        for entry in fs::read_dir(self.directory.join("task")).map_err(ended)? {
            let entry = entry.map_err(ended)?;
            let thread = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // A thread may end between the listing and the reading; its last switches are lost then.
            let status = fs::read(entry.path().join("status"));
            if let (Some(thread), Ok(status)) = (thread, status) {
                switches.insert(thread, parse_switches(&String::from_utf8_lossy(&status)));
            }
        }
        Ok(switches)
    }
}

/// `/proc/PID/*` of a process that is gone says ESRCH once it is open, ENOENT before.
fn ended(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::SRCH.raw_os_error() => {
            io::Error::new(io::ErrorKind::NotFound, error)
        }
        Some(_) | None => error,
    }
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second().max(1) as f64
}

/// User plus system time, fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)); `None` for a zombie.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, which itself may hold blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    let user: u64 = fields.nth(10)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Virtual and resident bytes, fields 1 and 2 of `/proc/PID/statm` (proc_pid_statm(5)), which counts pages.
fn parse_memory(statm: &str) -> Option<(u64, u64)> {
    let page_bytes = rustix::param::page_size() as u64;
    let mut pages = statm.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let virtual_bytes = pages.next()??.checked_mul(page_bytes)?;
    let resident_bytes = pages.next()??.checked_mul(page_bytes)?;
    Some((virtual_bytes, resident_bytes))
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

/// Per thread, since a thread that ends takes its count out of a plain sum.
fn new_switches(before: &BTreeMap<u32, u64>, now: &BTreeMap<u32, u64>) -> u64 {
    let differences =
        now.iter().map(|(thread, count)| count.saturating_sub(before.get(thread).copied().unwrap_or(0)));
    differences.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_name_of_the_program_does_not_confuse_the_parser() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 70 30 0 0";
        assert_eq!(parse_cpu_ticks(&format!("1 (a) Z (b)) {rest}")), Some(100));
        assert_eq!(parse_cpu_ticks("1 (a) Z 1 2 3 4 5 6 7 8 9 10 70 30 0 0"), None);
    }

    #[test]
    fn garbage_is_no_sample() {
        for garbage in ["", ")", "1 (x) S 1 2", "1 (x) S a b c d e f g h i j k l m n"] {
            assert_eq!(parse_cpu_ticks(garbage), None, "{garbage}");
        }
        for garbage in ["", "1", "x y", "18446744073709551615 1"] {
            assert_eq!(parse_memory(garbage), None, "{garbage}");
        }
        assert_eq!(parse_switches("voluntary_ctxt_switches: x\n\u{fffd}"), 0);
    }

    #[test]
    fn switches_are_summed_over_threads_that_come_and_go() {
        let before = BTreeMap::from([(1, 10), (2, 1000)]);
        let now = BTreeMap::from([(1, 15), (3, 4)]);
        assert_eq!(new_switches(&before, &now), 9);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(parse_switches(status), 695);
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use super::*;

        #[test]
        fn memory_is_in_bytes() {
            // Touched memory of a known size must show up as that size, whatever else the process holds.
            const TOUCHED_BYTES: u64 = 64 * 1024 * 1024;
            let mut sampler = ProcSampler::new(std::process::id());
            let before = sampler.sample(Instant::now()).unwrap();
            let touched = vec![1_u8; TOUCHED_BYTES as usize];
            let after = sampler.sample(Instant::now()).unwrap();
            std::hint::black_box(&touched);
            let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
            assert!((TOUCHED_BYTES / 2..TOUCHED_BYTES * 2).contains(&grown), "grown by {grown}");
            assert!(after.virtual_bytes >= after.resident_bytes);

            let statm = fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
            let expected = pages * rustix::param::page_size() as u64;
            assert!(after.resident_bytes.abs_diff(expected) < TOUCHED_BYTES, "{after:?} against {expected}");
        }

        #[test]
        fn a_busy_process_uses_processor_time_and_an_ended_one_is_not_found() {
            let mut child =
                std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
            let mut sampler = ProcSampler::new(child.id());
            let start = Instant::now();
            sampler.sample(start).unwrap();
            let mut cpu_percent = 0.0;
            while cpu_percent < 1.0 && start.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
                cpu_percent = sampler.sample(Instant::now()).unwrap().cpu_percent;
            }
            // One thread cannot use more than one processor; the clock tick adds some coarseness.
            assert!((1.0..250.0).contains(&cpu_percent), "{cpu_percent}");

            child.kill().unwrap();
            let ended_by = Instant::now() + Duration::from_secs(10);
            let zombie = loop {
                match sampler.sample(Instant::now()) {
                    Err(error) => break error,
                    Ok(_) => assert!(Instant::now() < ended_by, "the process does not end"),
                }
            };
            assert_eq!(zombie.kind(), io::ErrorKind::NotFound);
            child.wait().unwrap();
            assert_eq!(sampler.sample(Instant::now()).unwrap_err().kind(), io::ErrorKind::NotFound);
        }

        #[test]
        fn the_clock_tick_is_that_of_this_system() {
            let out = std::process::Command::new("getconf").arg("CLK_TCK").output().unwrap();
            let expected: f64 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
            assert_eq!(ticks_per_second(), expected);
        }
    }
}
