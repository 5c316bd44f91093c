//! How a worker ends.

use super::{Finish, Output, Worker};
use crate::time::Timestamp;

/// The answer to `Finish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Farewell {
    /// The coordinator has not said that the run is over.
    NotAsked,
    /// It has, and is to hear that this worker ends.
    Due,
    /// It was told so, on the connection that is there now.
    Said,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Shutdown {
    pub(super) reason: Finish,
    /// When the worker ends even though the coordinator has not taken the last report.
    pub(super) until: Timestamp,
    pub(super) finished: bool,
}

impl Worker {
    pub(super) fn shut_down(&mut self, reason: Finish, now: Timestamp) {
        if self.shutdown.is_none() {
            // Time for the program to be stopped and killed, and for the last report to leave.
            let until = now + self.config.limits.kill_grace + self.config.limits.kill_grace;
            self.shutdown = Some(Shutdown { reason, until, finished: false });
        }
    }

    pub(super) fn finish_if_due(&mut self, now: Timestamp) {
        let has_told = match self.connections.attached() {
            Some(coordinator) => self.is_flushed(coordinator) && !self.has_to_report(),
            None => true,
        };
        // Without a connection the coordinator, who said that the run is over, still waits for the answer.
        let at_rest = has_told && self.farewell != Farewell::Due && !self.task.program_active;
        if let Some(shutdown) = &mut self.shutdown
            && !shutdown.finished
            && (at_rest || shutdown.until <= now)
        {
            shutdown.finished = true;
            let reason = shutdown.reason;
            if self.kill_at.take().is_some() {
                // The caller is late; a worker does not leave its program behind all the same.
                self.outputs.push_back(Output::Kill);
            }
            self.outputs.push_back(Output::Finished(reason));
        }
    }
}
