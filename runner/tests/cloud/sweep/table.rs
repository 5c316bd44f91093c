//! What came of all cases, by operation.

use super::case::{Caller, Case, Ended};
use std::collections::BTreeMap;
use std::fmt;

/// Counts of cases.
#[derive(Default)]
pub(super) struct Table {
    operations: BTreeMap<String, BTreeMap<Ended, u64>>,
    failed: Vec<String>,
    not_reached: Vec<String>,
}

const COLUMNS: [(&str, Ended); 8] = [
    ("well", Ended::Well),
    ("named error", Ended::Named),
    ("interrupted", Ended::Interrupted),
    ("resumed", Ended::Resumed),
    ("destroyed", Ended::Destroyed),
    ("over already", Ended::OverAlready),
    ("before anything", Ended::BeforeAnything),
    ("not reached", Ended::NotReached),
];

/// Begins what a case is called by.
pub(super) fn label(caller: Caller, operation: &str) -> String {
    format!("{}/{operation}", caller.name())
}

impl Table {
    pub(super) fn add(&mut self, case: &Case, result: &Result<Ended, String>) {
        let operation = self.operations.entry(label(case.caller, &case.operation)).or_default();
        match result {
            Ok(ended) => {
                *operation.entry(*ended).or_default() += 1;
                if *ended == Ended::NotReached {
                    self.not_reached.push(case.to_string());
                }
            }
            Err(_) => self.failed.push(case.to_string()),
        }
    }

    /// The cases whose call was not made.
    pub(super) fn not_reached(&self) -> &[String] {
        &self.not_reached
    }

    /// The cases that did not end as they should.
    pub(super) fn failed(&self) -> &[String] {
        &self.failed
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:44} {:>6}", "operation", "faults")?;
        for (name, _) in COLUMNS {
            write!(f, "  {name}")?;
        }
        writeln!(f, "  FAILED")?;
        let mut sums = [0; COLUMNS.len()];
        for (operation, ended) in &self.operations {
            let failed = self.failed.iter().filter(|case| case.starts_with(&format!("{operation}/"))).count();
            let tried = ended.values().sum::<u64>() + failed as u64;
            write!(f, "{operation:44} {tried:6}")?;
            for ((name, column), sum) in COLUMNS.iter().zip(&mut sums) {
                let count = ended.get(column).copied().unwrap_or_default();
                *sum += count;
                write!(f, "  {count:>width$}", width = name.len())?;
            }
            writeln!(f, "  {failed:>6}")?;
        }
        let tried = sums.iter().sum::<u64>() + self.failed.len() as u64;
        write!(f, "{:44} {tried:6}", "all")?;
        for ((name, _), sum) in COLUMNS.iter().zip(sums) {
            write!(f, "  {sum:>width$}", width = name.len())?;
        }
        writeln!(f, "  {:>6}", self.failed.len())
    }
}
