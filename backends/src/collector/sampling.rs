//! The samples of one process on their way into its result file.

use super::held_samples::HeldSamples;
use super::proc_sample::ProcSampler;
use super::result_file::Sample;
use super::result_writer::ResultWriter;
use super::throughput_log::ThroughputLog;
use std::io;
use std::time::{Duration, Instant};

/// Reads of the throughput log after the end of the driver; a driver that flooded it loses the rest of the curve.
const FINAL_READS_MAX: usize = 16;

/// A process that is being sampled.
#[derive(Debug)]
pub(super) struct Sampling {
    writer: ResultWriter,
    sampler: ProcSampler,
    throughput: Option<ThroughputLog>,
    /// Samples that wait for the throughput line that tells what went through in them.
    held: HeldSamples,
    started: Instant,
    interval: Option<Duration>,
    next_tick: u32,
}

impl Sampling {
    /// Samples what `sampler` looks at, which was started at `started`, every `interval`; never without one, or with
    /// zero.
    pub(super) fn new(
        writer: ResultWriter,
        sampler: ProcSampler,
        throughput: Option<ThroughputLog>,
        interval: Option<Duration>,
        started: Instant,
    ) -> Self {
        let interval = interval.filter(|interval| !interval.is_zero());
        Self { writer, sampler, throughput, held: HeldSamples::default(), started, interval, next_tick: 1 }
    }

    /// When the next sample is due; `None` if never.
    pub(super) fn next_sample(&self) -> Option<Instant> {
        self.started.checked_add(self.interval?.checked_mul(self.next_tick)?)
    }

    /// Takes a sample, and writes those that are complete.
    pub(super) fn sample(&mut self, now: Instant) -> io::Result<()> {
        let Some(interval) = self.interval else { return Ok(()) };
        let elapsed = now.saturating_duration_since(self.started);
        let ticks_passed = elapsed.as_nanos() / interval.as_nanos();
        self.next_tick =
            u32::try_from(ticks_passed).unwrap_or(u32::MAX).saturating_add(1).max(self.next_tick);

        let process = match self.sampler.sample(now) {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.held.push(Sample {
            t: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            cpu: process.cpu_percent,
            context_switches: process.context_switches,
            memory: process.resident_bytes,
            virtual_memory: process.virtual_bytes,
            ..Sample::default()
        });
        self.read_throughput(elapsed);
        while let Some(sample) = self.next_complete() {
            self.writer.write(&sample)?;
        }
        Ok(())
    }

    /// Writes everything, with `last` at the end. `duration` is that of the process.
    pub(super) fn finish(&mut self, last: Sample, duration: Duration) -> io::Result<()> {
        self.held.push(last);
        for _ in 0..FINAL_READS_MAX {
            if !self.read_throughput(duration) {
                break;
            }
        }
        self.write_held()
    }

    /// Spreads what one bounded read of the throughput log tells; whether there may be more to read.
    fn read_throughput(&mut self, now: Duration) -> bool {
        let Some(log) = &mut self.throughput else { return false };
        let (windows, more) = log.read(now);
        for window in &windows {
            self.held.spread(window);
        }
        more
    }

    fn next_complete(&mut self) -> Option<Sample> {
        // Without a log there is nothing to wait for.
        if self.throughput.is_some() { self.held.pop_settled() } else { self.held.pop() }
    }

    fn write_held(&mut self) -> io::Result<()> {
        while let Some(sample) = self.held.pop() {
            self.writer.write(&sample)?;
        }
        Ok(())
    }
}

impl Drop for Sampling {
    /// Keeps what was sampled when the collector is given up without an outcome.
    fn drop(&mut self) {
        // There is nobody left to tell; the file then lacks its last seconds.
        let _ = self.write_held();
    }
}
