//! What the report shows beyond the summary: the content of all result files, bounded for the page.

use super::{histogram::MergedHistogram, samples::Sample, series::Series};
use crate::{
    facts::{self, HostFacts},
    hosts::{self, NamedHost, Role},
    summary::{DriverSummary, RepetitionSummary, Summary},
    units,
};
use backends::collector::{Stat, Totals};
use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

/// Most points of one line, enough for every pixel of a wide screen.
const MAX_POINTS_PER_LINE: usize = 2_000;

/// Most points of all lines of the page together, for a page of some ten megabytes.
const MAX_POINTS_PER_PAGE: usize = 400_000;

/// A line has at least this many points, however many lines there are.
const MIN_POINTS_PER_LINE: usize = 20;

/// Lines that one host has: received, sent, cpu and memory.
const LINES_PER_HOST: usize = 4;

/// Bytes in a file and bytes from the kernel that are further apart than this factor do not mean the same.
const IMPLAUSIBLE_MEMORY_FACTOR: u64 = 100;

/// The content of all result files of a run.
pub(crate) struct RunData {
    /// In the order of the summary.
    pub(crate) drivers: Vec<DriverData>,
    /// Names of the scenario's trace ids.
    pub(crate) traces: Vec<String>,
    /// What is missing or could not be read.
    pub(crate) notes: Vec<Note>,
    /// What the hosts said about themselves.
    pub(crate) facts: Vec<HostFacts>,
}

/// The content of all result files of a driver.
pub(crate) struct DriverData {
    /// In the order of the summary.
    pub(crate) repetitions: Vec<Vec<HostData>>,
    /// Durations of profiled operations by trace id, over all hosts and repetitions.
    pub(crate) profiles: BTreeMap<u64, MergedHistogram>,
    /// Time to open a connection in microseconds, over all hosts and repetitions.
    pub(crate) connect_time: Stat,
}

/// The content of one result file.
pub(crate) struct HostData {
    /// Name that no other host of the repetition has.
    pub(crate) name: String,
    /// Group of the host.
    pub(crate) role: Role,
    /// Position of the host in its group.
    pub(crate) index: usize,
    /// When the host's measurement began, in seconds after the first one of the repetition.
    pub(crate) offset_s: f64,
    /// Measurements in the order of time.
    pub(crate) samples: Vec<Sample>,
    /// Whether the bytes of `samples` are known.
    pub(crate) has_throughput: bool,
    /// What the kernel counted for the whole process.
    pub(crate) totals: Totals,
}

/// Something that the reader of the report has to know about its data.
pub(crate) struct Note {
    /// Which driver, repetition and host.
    pub(crate) about: String,
    /// What is the matter.
    pub(crate) text: String,
}

impl RunData {
    /// Reads every result file that `summary` names. What cannot be read becomes a note.
    pub(crate) fn read(run_dir: &Path, summary: &Summary) -> Self {
        let repetitions = || summary.drivers.iter().flat_map(|driver| &driver.repetitions);
        let hosts: usize = repetitions().map(|r| r.servers.len() + r.clients.len()).sum();
        let mut reader = Reader {
            run_dir,
            max_points: points_per_line(hosts * LINES_PER_HOST),
            traces: summary.traces.clone(),
            notes: Vec::new(),
        };
        let drivers = summary.drivers.iter().map(|driver| reader.read_driver(driver)).collect();
        Self { drivers, traces: reader.traces, notes: reader.notes, facts: facts::read(run_dir) }
    }

    /// Name of a trace id; a number if the scenario does not name it.
    pub(crate) fn trace_name(&self, id: u64) -> String {
        let name = usize::try_from(id).ok().and_then(|index| self.traces.get(index));
        name.cloned().unwrap_or_else(|| format!("trace {id}"))
    }
}

struct Reader<'a> {
    run_dir: &'a Path,
    max_points: usize,
    traces: Vec<String>,
    notes: Vec<Note>,
}

impl Reader<'_> {
    fn read_driver(&mut self, driver: &DriverSummary) -> DriverData {
        let mut data =
            DriverData { repetitions: Vec::new(), profiles: BTreeMap::new(), connect_time: Stat::default() };
        for (index, repetition) in driver.repetitions.iter().enumerate() {
            let about = format!("{}, repetition {}", driver.driver, index + 1);
            let hosts = self.read_repetition(&about, repetition, &mut data);
            data.repetitions.push(hosts);
        }
        data
    }

    fn read_repetition(
        &mut self,
        about: &str,
        repetition: &RepetitionSummary,
        driver: &mut DriverData,
    ) -> Vec<HostData> {
        let mut series = Vec::new();
        for host in hosts::named_hosts(repetition) {
            let about = format!("{about}, {}", host.name);
            let Some(content) = self.read_host(&about, &host) else { continue };
            driver.connect_time.add_all(content.connect_time);
            for (id, histogram) in &content.profiles {
                driver.profiles.entry(*id).or_default().merge(histogram);
            }
            series.push((about, host, content));
        }
        let first_s = series.iter().filter_map(|(_, _, s)| s.start_s).fold(f64::INFINITY, f64::min);
        let mut data = Vec::new();
        for (about, host, content) in series {
            let mut offset_s = content.start_s.map_or(0.0, |start_s| start_s - first_s);
            // Hosts of one repetition start within it, unless their clocks differ.
            if offset_s > repetition.duration_s.max(1.0) {
                let apart = units::seconds(offset_s);
                self.note(about, format!("its clock is {apart} ahead; its lines begin at 0"));
                offset_s = 0.0;
            }
            data.push(HostData {
                name: host.name,
                role: host.role,
                index: host.index,
                offset_s,
                samples: content.samples,
                has_throughput: content.has_throughput,
                totals: content.totals,
            });
        }
        data
    }

    fn read_host(&mut self, about: &str, host: &NamedHost<'_>) -> Option<Series> {
        let Some(path) = &host.summary.result else {
            self.note(about, "has no result file");
            return None;
        };
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            self.note(about, format!("{} does not lie in the run directory; not read", path.display()));
            return None;
        }
        let series = match Series::read(&self.run_dir.join(path), self.max_points) {
            Ok(series) => series,
            Err(error) => {
                self.note(about, format!("{} could not be read: {error}", path.display()));
                return None;
            }
        };
        for note in &series.notes {
            self.note(about, format!("{} {note}", path.display()));
        }
        let peak = series.samples.iter().filter_map(|sample| sample.memory_bytes).max();
        if let (Some(peak), Some(kernel)) = (peak, host.summary.max_rss_bytes)
            && peak / IMPLAUSIBLE_MEMORY_FACTOR > kernel
        {
            let (peak, kernel) = (units::memory(peak), units::memory(kernel));
            self.note(about, format!("its collector reports up to {peak} of memory, the kernel {kernel}"));
        }
        if self.traces.is_empty() {
            self.traces.clone_from(&series.traces);
        }
        Some(series)
    }

    fn note(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Note { about: about.into(), text: text.into() });
    }
}

fn points_per_line(lines: usize) -> usize {
    (MAX_POINTS_PER_PAGE / lines.max(1)).clamp(MIN_POINTS_PER_LINE, MAX_POINTS_PER_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_shared_among_the_lines_of_the_page() {
        assert_eq!(points_per_line(0), 2_000);
        assert_eq!(points_per_line(5 * LINES_PER_HOST), 2_000);
        assert_eq!(points_per_line(500 * LINES_PER_HOST), 200);
        assert_eq!(points_per_line(500 * LINES_PER_HOST * 100), MIN_POINTS_PER_LINE);
    }
}
