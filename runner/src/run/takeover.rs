//! `state.json`: what another process needs to take the run over, should this one die.
//!
//! It is written before anything that follows from it leaves this process, so it is never behind the workers. There
//! is no secret in it.

use super::verdict::Verdict;
use super::{RunDirectory, RunError};
use crate::summary::Summary;
use jiff::Timestamp;
use russula_proto::Takeover;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The session of the coordinators, the same for every process that drives the run.
    pub(super) session: u64,
    /// How many processes have driven the run before.
    pub(super) incarnation: u32,
    /// How many repetitions are summed up in `summary.json`, unless that one is ahead.
    pub(super) done: u32,
    /// The worst of them.
    pub(super) verdict: Verdict,
    /// The repetition after those, once it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) under_way: Option<UnderWay>,
}

impl RunState {
    /// That of a run that begins.
    pub(super) fn new(session: u64) -> Self {
        Self { session, incarnation: 0, done: 0, verdict: Verdict::OK, under_way: None }
    }

    /// That with which another process goes on, with what it finds in `summary.json`.
    pub(super) fn taken_over(self, summary: &Summary) -> Self {
        let summed_up: usize = summary.drivers.iter().map(|driver| driver.repetitions.len()).sum();
        let summed_up = u32::try_from(summed_up).unwrap_or(u32::MAX);
        let mut state = Self { incarnation: self.incarnation + 1, ..self };
        if summed_up > state.done {
            // The summary is written first, and the process died before it could say so here.
            (state.done, state.under_way) = (summed_up, None);
        }
        state
    }
}

/// A repetition that was begun and is not summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    /// When it began, RFC 3339 in UTC.
    pub(super) started: String,
    /// How it ended, if that is decided: something failed, or the user interrupted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Verdict>,
    /// How far it is.
    #[serde(flatten)]
    pub(super) takeover: Takeover,
}

/// The state of a run as it changes. A run goes on where it cannot be written; then nobody can take it over.
pub(super) struct Journal<'a> {
    pub(super) directory: &'a RunDirectory,
    pub(super) state: RunState,
}

impl<'a> Journal<'a> {
    /// The journal of a run that begins, or goes on, with `state`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn begin(directory: &'a RunDirectory, state: RunState) -> Result<Self, RunError> {
        directory.write_run_state(&state)?;
        Ok(Self { directory, state })
    }

    /// Whether it does not say yet that a repetition is under way, and that it has failed so.
    pub(super) fn is_behind(&self, failure: Option<&Verdict>) -> bool {
        self.state.under_way.as_ref().is_none_or(|under_way| under_way.failure.as_ref() != failure)
    }

    /// The repetition under way has come so far.
    pub(super) fn note(&mut self, takeover: Takeover, failure: Option<Verdict>) {
        let started = match self.state.under_way.take() {
            Some(under_way) => under_way.started,
            None => Timestamp::now().to_string(),
        };
        self.state.under_way = Some(UnderWay { started, failure, takeover });
        self.save();
    }

    /// The repetition under way is about to be summed up; this is the worst of all that are.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        if self.state.verdict != verdict {
            self.state.verdict = verdict;
            self.save();
        }
    }

    /// The repetition under way is summed up.
    pub(super) fn done(&mut self) {
        self.state.under_way = None;
        self.state.done += 1;
        self.save();
    }

    fn save(&self) {
        if let Err(error) = self.directory.write_run_state(&self.state) {
            tracing::warn!("nobody could take the run over: {error}");
        }
    }
}

/// The moment on our clock when it was `text`, an RFC 3339 time of the day; `None` if that makes no sense.
pub(super) fn moment_of(text: &str) -> Option<Instant> {
    let at: Timestamp = text.parse().ok()?;
    let since = Duration::try_from(Timestamp::now().duration_since(at)).ok()?;
    Instant::now().checked_sub(since)
}
