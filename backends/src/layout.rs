//! Where a run's files lie: the one place that knows, for the workers that write and the runner that reads.
//!
//! ```text
//! <run directory>/
//!   run.json  events.jsonl  summary.json  state.json  lock
//!   scenario/ <scenario>.json
//!   logs/     <group>-<host>[.<driver>[-r<round>].{stdout,stderr}].log
//!   results/  <scenario>/<driver>/<group>-<host>[-r<round>].json
//!   report/   index.html
//! ```
//!
//! `results/` is laid out as `s2n-netbench report-tree` wants it.

use russula_proto::Group;
use std::path::{Path, PathBuf};

/// The driver and round that a repetition's number stands for.
///
/// Repetitions are numbered over all drivers, which take turns: with two drivers, 1 and 2 are the first
/// round of each, 3 and 4 the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which driver, from 0: the index of the program on the workers.
    pub driver: u16,
    /// How often that driver has had its turn, from 1.
    pub round: u32,
}

impl Turn {
    /// The turn of repetition `number` (from 1) among `drivers` (at least 1).
    pub fn of(number: u32, drivers: u16) -> Self {
        let (index, drivers) = (number.saturating_sub(1), u32::from(drivers.max(1)));
        let driver = u16::try_from(index % drivers).expect("a remainder is less than its divisor");
        Self { driver, round: index / drivers + 1 }
    }

    /// The number of the repetition in which driver `driver` of `drivers` has its turn in `round` (from 1).
    pub fn number(self, drivers: u16) -> u32 {
        (self.round - 1) * u32::from(drivers) + u32::from(self.driver) + 1
    }
}

/// The scenario that every host plays, relative to the run directory. Drivers and the stock report name it by its file.
pub fn scenario_file(scenario: &str) -> PathBuf {
    Path::new("scenario").join(format!("{scenario}.json"))
}

/// A host's result file, relative to the run directory. Only rounds after the first are in its name.
pub fn result_file(scenario: &str, driver: &str, group: Group, host: &str, round: u32) -> PathBuf {
    Path::new("results").join(scenario).join(driver).join(format!("{group}-{host}{}.json", suffix(round)))
}

/// What a host's driver wrote to `stream` (`stdout` or `stderr`), relative to the run directory.
pub fn driver_log(group: Group, host: &str, driver: &str, round: u32, stream: &str) -> PathBuf {
    Path::new("logs").join(format!("{group}-{host}.{driver}{}.{stream}.log", suffix(round)))
}

/// A worker's own log, relative to the run directory.
pub fn worker_log(group: Group, host: &str) -> PathBuf {
    Path::new("logs").join(format!("{group}-{host}.log"))
}

/// How the driver of a worker ended whose coordinator never came back, relative to its output directory.
pub fn orphan_ending(group: Group, host: &str) -> PathBuf {
    Path::new("logs").join(format!("{group}-{host}.orphan.json"))
}

fn suffix(round: u32) -> String {
    if round > 1 { format!("-r{round}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_take_turns() {
        let turns: Vec<_> = (1..=5).map(|number| Turn::of(number, 2)).collect();
        let expected = [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)];
        assert_eq!(turns, expected.map(|(driver, round)| Turn { driver, round }));
        assert!(turns.iter().zip(1..).all(|(turn, number)| turn.number(2) == number));
    }

    #[test]
    fn the_first_round_has_no_suffix() {
        let file = |round| result_file("incast", "tcp", Group::Server, "127.0.1.1", round);
        assert_eq!(file(1), Path::new("results/incast/tcp/server-127.0.1.1.json"));
        assert_eq!(file(2), Path::new("results/incast/tcp/server-127.0.1.1-r2.json"));
    }
}
