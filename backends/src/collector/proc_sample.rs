//! Processor time, memory and context switches of a process, from `/proc`.

use super::usage::{Thread, Usage};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a process used: rates and differences since the last sample, gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcSample {
    /// Processor time over real time since the last sample, in percent of one processor.
    pub cpu_percent: f32,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Virtual memory in bytes.
    pub virtual_bytes: u64,
    /// Voluntary and involuntary switches of all threads since the last sample.
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
    usage: Usage,
}

impl ProcSampler {
    /// A sampler for the process with this id. Its first sample is the baseline of the second one and has no rates
    /// and differences itself: they are 0.
    pub fn new(pid: u32) -> Self {
        Self { directory: PathBuf::from(format!("/proc/{pid}")), last: None }
    }

    /// A sampler for the process with this id that was started at `started`: its first sample is about the time
    /// since then.
    pub fn from_start(pid: u32, started: Instant) -> Self {
        Self { last: Some(Last { at: started, usage: Usage::default() }), ..Self::new(pid) }
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
        // Before the threads, so that the ticks cannot be ahead of what the scheduler has measured.
        let ticks = self.read("stat", parse_cpu_ticks)?;
        let (virtual_bytes, resident_bytes) = self.read("statm", parse_memory)?;
        let threads = self.threads()?;

        let baseline = Usage::default();
        let before = self.last.as_ref().map_or(&baseline, |last| &last.usage);
        let usage = before.advanced(threads, duration_of_ticks(ticks));
        let mut sample = ProcSample { resident_bytes, virtual_bytes, ..ProcSample::default() };
        if let Some(last) = &self.last {
            let elapsed_s = now.saturating_duration_since(last.at).as_secs_f64();
            let cpu_s = usage.cpu.saturating_sub(last.usage.cpu).as_secs_f64();
            if elapsed_s > 0.0 {
                sample.cpu_percent = (100.0 * cpu_s / elapsed_s) as f32;
            }
            sample.context_switches = usage.switches.saturating_sub(last.usage.switches);
        }
        self.last = Some(Last { at: now, usage });
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

    fn threads(&self) -> io::Result<BTreeMap<u32, Thread>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(self.directory.join("task")).map_err(ended)? {
            let entry = entry.map_err(ended)?;
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // A thread may end between the listing and the reading.
            if let (Some(id), Some(thread)) = (id, Thread::read(&entry.path())) {
                threads.insert(id, thread);
            }
        }
        Ok(threads)
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

fn duration_of_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use super::*;
        use std::process::{Child, Command, Stdio};

        /// A shell that does not outlive its test.
        struct Shell(Child);

        impl Shell {
            fn start(script: &str) -> Self {
                let mut command = Command::new("sh");
                command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::null());
                Self(command.spawn().unwrap())
            }

            fn id(&self) -> u32 {
                self.0.id()
            }
        }

        impl Drop for Shell {
            fn drop(&mut self) {
                // Both fail only after the test has reaped it.
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }

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
            let mut child = Shell::start("while :; do :; done");
            let mut sampler = ProcSampler::new(child.id());
            let start = Instant::now();
            sampler.sample(start).unwrap();
            let mut cpu_percent = 0.0;
            while cpu_percent < 1.0 && start.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
                cpu_percent = sampler.sample(Instant::now()).unwrap().cpu_percent;
            }
            // One thread cannot use more than one processor. The scheduler updates its figures at its own ticks, at
            // least every 10 ms.
            assert!((1.0..130.0).contains(&cpu_percent), "{cpu_percent}");

            child.0.kill().unwrap();
            let ended_by = Instant::now() + Duration::from_secs(10);
            let zombie = loop {
                match sampler.sample(Instant::now()) {
                    Err(error) => break error,
                    Ok(_) => assert!(Instant::now() < ended_by, "the process does not end"),
                }
            };
            assert_eq!(zombie.kind(), io::ErrorKind::NotFound);
            child.0.wait().unwrap();
            assert_eq!(sampler.sample(Instant::now()).unwrap_err().kind(), io::ErrorKind::NotFound);
        }

        #[test]
        fn cpu_is_finer_than_a_clock_tick() {
            if !std::path::Path::new("/proc/self/schedstat").exists() {
                eprintln!("this kernel tells nothing finer");
                return;
            }
            // A process that uses much less than a tick between two samples: by ticks, nearly all of them tell 0.
            let script = "while :; do i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; sleep 0.01; done";
            let child = Shell::start(script);
            let start = Instant::now();
            let mut sampler = ProcSampler::from_start(child.id(), start);
            let (mut fractions, mut at) = (0, start);
            while fractions < 5 {
                assert!(start.elapsed() < Duration::from_secs(20), "only {fractions} samples");
                std::thread::sleep(Duration::from_millis(20));
                let now = Instant::now();
                let cpu_percent = f64::from(sampler.sample(now).unwrap().cpu_percent);
                let ticks = cpu_percent / 100.0 * (now - at).as_secs_f64() / 0.01;
                fractions += u32::from((ticks - ticks.round()).abs() > 0.05);
                at = now;
            }
        }

        #[test]
        fn the_first_sample_is_about_the_time_since_the_start() {
            // What a process used before it was looked at for the first time belongs to the first sample.
            let started = Instant::now();
            let mut child =
                Shell::start("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; exec sleep 60");
            io::Read::read_exact(child.0.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            let used = duration_of_ticks(parse_cpu_ticks(&stat).unwrap());
            let mut sampler = ProcSampler::from_start(child.id(), started);
            let now = Instant::now();
            let sample = sampler.sample(now).unwrap();

            let by_sample_s = f64::from(sample.cpu_percent) / 100.0 * (now - started).as_secs_f64();
            // The ticks of user and system time are rounded down, each by up to a tick.
            let coarse_s = used.as_secs_f64();
            assert!(coarse_s > 0.02, "used {coarse_s} s only");
            assert!(
                (coarse_s - 0.001..coarse_s + 0.03).contains(&by_sample_s),
                "{by_sample_s} of {coarse_s}"
            );
            assert!(sample.context_switches > 0);
        }

        #[test]
        fn the_clock_tick_is_that_of_this_system() {
            let out = Command::new("getconf").arg("CLK_TCK").output().unwrap();
            let ticks: u64 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
            assert_eq!(duration_of_ticks(3 * ticks), Duration::from_secs(3));
        }
    }
}
