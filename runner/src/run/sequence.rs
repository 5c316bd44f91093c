//! A run from its first repetition until its hosts are given back.

use super::execute::Execution;
use super::record::Record;
use super::takeover::{Journal, RunState};
use super::verdict::Verdict;
use super::{Interrupts, Plan, Progress, RunDirectory, RunError, Stage};
use crate::summary::Summary;
use backends::clock;
use backends::hosts::{Hosts, Results};
use backends::layout::Turn;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// All of it.
    pub summary: Summary,
    /// Whether it is on disk, for the report.
    pub is_written: bool,
    /// See `runner --help`.
    pub exit_code: u8,
    /// Whether another orchestrator drives the run now: what there is of it outside of the run directory is its.
    pub is_superseded: bool,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub enum Beginning {
    /// At its first repetition.
    New,
    /// Where another process left it that died: its state, and its summary so far.
    Again(Box<(RunState, Summary)>),
}

/// Carries out `plan` over `hosts`, takes the hosts back, and writes the summary.
///
/// # Errors
/// If it cannot begin. The hosts of a run that was taken over then stay as they are.
pub fn run(
    plan: &Plan,
    hosts: &mut dyn Hosts,
    directory: &RunDirectory,
    progress: &Progress,
    interrupts: Interrupts,
    beginning: Beginning,
) -> Result<Outcome, RunError> {
    let is_taken_over = matches!(beginning, Beginning::Again(_));
    let (state, record) = match beginning {
        Beginning::New => (RunState::new(clock::session()), Record::begin(plan, directory)),
        Beginning::Again(left) => {
            let (state, summary) = *left;
            (state.taken_over(&summary), Record::take_over(summary))
        }
    };
    let (first, left) = (state.done + 1, state.under_way.clone());
    let patience = interrupts.patience().map_err(RunError::Signals);
    let begun = Journal::begin(directory, state)
        .and_then(|journal| Execution::begin(plan, &mut *hosts, record, journal, progress, interrupts))
        .and_then(|execution| directory.write_state("running").and(Ok((execution, patience?))));
    let (mut execution, patience) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            if is_taken_over {
                hosts.leave();
            }
            return Err(error);
        }
    };
    let drivers = u16::try_from(plan.drivers.len()).expect("the drivers are limited by the command line");
    let total = plan.repeat * u32::from(drivers);
    for number in first..=total {
        if execution.is_over() {
            execution.note_early_end(number - 1, total);
            break;
        }
        let left = left.as_ref().filter(|_| number == first);
        if let Err(error) = execution.repetition(number, Turn::of(number, drivers), left) {
            execution.note_broken(&error);
            break;
        }
    }
    let is_superseded = execution.is_superseded();
    let (mut ending, mut record) = execution.end();
    if is_superseded {
        progress.message("The workers are driven by another orchestrator now: their hosts are left to it.");
        hosts.leave();
    } else {
        let (mut taken_back, left) = take_back(plan, hosts, directory, progress, &mut record);
        for what in left {
            // Who has no patience left is told what is there, and gets what was asked for.
            let is_wish = patience.total() > 1;
            taken_back.worse(if is_wish { Verdict::interrupted() } else { Verdict::infrastructure(what) });
        }
        ending.worse(taken_back);
    }
    progress.clear();
    Ok(Outcome { is_superseded, ..record.finish(ending, directory, progress) })
}

/// Brings the results here, and gives the hosts back. Says what became of that, and what is left.
fn take_back(
    plan: &Plan,
    hosts: &mut dyn Hosts,
    directory: &RunDirectory,
    progress: &Progress,
    record: &mut Record,
) -> (Verdict, Vec<String>) {
    let mut verdict = Verdict::OK;
    if hosts.results() == Results::Fetched {
        progress.phase("collecting results");
        progress.stage(Stage::Collecting);
        let fetched = hosts.fetch(directory.path());
        if fetched.is_interrupted {
            verdict.worse(Verdict::interrupted());
        }
        for problem in fetched.problems {
            progress.message(&format!("error: {problem}"));
            verdict.worse(Verdict::infrastructure(problem));
        }
        if let Some(missing) = record.complete(plan, hosts, directory) {
            verdict.worse(missing);
        }
    }
    progress.phase("taking the hosts back");
    progress.stage(Stage::Releasing);
    let left = hosts.release();
    for what in &left {
        progress.message(&format!("error: {what}"));
    }
    (verdict, left)
}
