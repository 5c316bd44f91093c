//! `state.json`: what another process needs to take the run over, should this one die.
//!
//! It is written before anything that follows from it leaves this process, so it is never behind the workers. There
//! is no secret in it.

use super::{RunDirectory, RunError};
use russula_proto::Takeover;
use serde::{Deserialize, Serialize};

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The session of the coordinators, the same for every process that drives the run.
    pub session: u64,
    /// How many processes have driven the run before.
    pub incarnation: u32,
    /// How many repetitions are summed up in `summary.json`.
    pub done: u32,
    /// The repetition after those, once it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
}

/// A repetition that was begun and is not summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// What failed, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How far it is.
    #[serde(flatten)]
    pub takeover: Takeover,
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

    /// The repetition under way has come so far.
    pub(super) fn note(&mut self, takeover: Takeover, failure: Option<String>) {
        let started = match self.state.under_way.take() {
            Some(under_way) => under_way.started,
            None => jiff::Timestamp::now().to_string(),
        };
        self.state.under_way = Some(UnderWay { started, failure, takeover });
        self.save();
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
