//! `summary.json` as it grows: it is on disk after each repetition, so that whatever ends the orchestrator by force
//! takes no finished repetition with it.

use super::Outcome;
use super::takeover::moment_of;
use super::verdict::Verdict;
use super::{Plan, Progress, RunDirectory, collect, machine};
use crate::facts;
use crate::summary::{DriverSummary, RepetitionSummary, Status, Summary};
use backends::hosts::Hosts;
use backends::layout::Turn;
use std::time::Instant;

/// The summary of the run under way.
pub(super) struct Record {
    started: Instant,
    summary: Summary,
}

impl Record {
    /// The record of a run without any repetition yet, which is on disk as well.
    pub(super) fn begin(plan: &Plan, directory: &RunDirectory) -> Self {
        let drivers = plan.drivers.iter();
        let summary = Summary {
            run_id: directory.run_id().to_string(),
            status: Status::Running,
            scenario: plan.scenario.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: directory.started().to_string(),
            duration_s: 0.0,
            error: None,
            suspect: vec![],
            machine: machine::describe(),
            traces: plan.scenario.traces().to_vec(),
            drivers: drivers
                .map(|driver| DriverSummary { driver: driver.name.clone(), repetitions: vec![] })
                .collect(),
        };
        let record = Self { started: Instant::now(), summary };
        record.save(directory);
        record
    }

    /// The record of a run that another process began.
    pub(super) fn take_over(summary: Summary) -> Self {
        Self { started: moment_of(&summary.started).unwrap_or_else(Instant::now), summary }
    }

    /// Adds a repetition of the driver with this index. Nothing is measured while it is written.
    pub(super) fn add(&mut self, driver: u16, repetition: RepetitionSummary, directory: &RunDirectory) {
        self.summary.drivers[usize::from(driver)].repetitions.push(repetition);
        self.summary.duration_s = self.started.elapsed().as_secs_f64();
        self.save(directory);
    }

    /// Adds what was fetched from the hosts after the last repetition. Returns what is missing of a repetition that went
    /// well, if something is.
    pub(super) fn complete(
        &mut self,
        plan: &Plan,
        hosts: &dyn Hosts,
        directory: &RunDirectory,
    ) -> Option<Verdict> {
        let mut verdict = None;
        for (driver, summary) in (0..).zip(&mut self.summary.drivers) {
            for (round, repetition) in (1..).zip(&mut summary.repetitions) {
                let turn = Turn { driver, round };
                let missing = collect::complete(plan, turn, hosts, repetition, directory);
                if let Some(error) = missing.filter(|_| repetition.status == Status::Ok) {
                    (repetition.status, repetition.error) = (Status::Failed, Some(error.clone()));
                    verdict.get_or_insert(Verdict::infrastructure(error));
                }
            }
        }
        self.summary.suspect = facts::warnings(&facts::read(directory.path()));
        self.save(directory);
        verdict
    }

    /// The end of the run, with the summary that stays.
    pub(super) fn finish(
        mut self,
        ending: Verdict,
        directory: &RunDirectory,
        progress: &Progress,
    ) -> Outcome {
        let summary = &mut self.summary;
        (summary.status, summary.error) = (ending.status, ending.error);
        summary.duration_s = self.started.elapsed().as_secs_f64();
        let written = directory.write_summary(summary).and_then(|()| directory.write_state("done"));
        let (is_written, mut exit_code) = (written.is_ok(), ending.exit_code);
        if let Err(error) = written {
            // What is known is shown all the same.
            progress.message(&format!("error: {error}"));
            if summary.status == Status::Ok {
                (summary.status, exit_code) = (Status::Failed, error.exit_code());
            }
            summary.error.get_or_insert(error.to_string());
        }
        Outcome { summary: self.summary, is_written, exit_code, is_superseded: false }
    }

    /// A run goes on without: the summary at its end is the one that must be there.
    fn save(&self, directory: &RunDirectory) {
        if let Err(error) = directory.write_summary(&self.summary) {
            tracing::warn!("{error}");
        }
    }
}
