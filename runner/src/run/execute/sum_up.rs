//! What came of a repetition, for the summary and for the user.

use super::Execution;
use crate::hosts::status_word;
use crate::run::first_failure::is_by_a_later_orchestrator;
use crate::run::verdict::Verdict;
use crate::run::{collect, explain, together};
use crate::summary::{RepetitionSummary, Status};
use crate::units;
use backends::layout::Turn;
use russula_proto::{Ending, Group};
use serde_json::json;
use std::time::Duration;

impl Execution<'_> {
    pub(super) fn sum_up(&mut self, turn: Turn, duration: Duration) {
        let (servers, clients) = (self.coordinators.get(self.groups.0), self.coordinators.get(self.groups.1));
        let failure = self.first_failure.of(servers, clients);
        let (start, quiet_window) = (together::start(clients), together::quiet_window(servers, clients));
        self.is_superseded |= failure.is_some_and(|(_, failure)| is_by_a_later_orchestrator(failure));
        let mut verdict = match (self.inherited.take(), failure) {
            _ if self.interrupted => Verdict::interrupted(),
            (Some(inherited), _) => inherited,
            (None, None) if self.is_out_of_time => Verdict::out_of_time(),
            (None, None) => together::verdict(self.plan, start.as_ref()).unwrap_or(Verdict::OK),
            (None, Some((group, failure))) => {
                let mut error = explain::explain(self.hosts, group, failure);
                if self.directory.is_on_full_disk() {
                    error.push_str("; there is no room left on the disk of the run directory");
                }
                Verdict { error: Some(error), ..Verdict::of(failure) }
            }
        };
        if verdict.status != Status::Ok {
            collect::repair(self.plan, turn, self.hosts, self.directory);
        }
        let collect = |coordinator| collect::hosts(self.plan, turn, self.hosts, coordinator, self.directory);
        let (servers, clients) = (collect(servers), collect(clients));
        if let Some(error) = collect::missing_result(self.hosts, &servers, &clients)
            && verdict.status == Status::Ok
        {
            verdict = Verdict::infrastructure(error);
        }
        let summary = RepetitionSummary {
            status: verdict.status,
            duration_s: duration.as_secs_f64(),
            error: verdict.error.clone(),
            suspect: together::suspicions(self.plan, start.as_ref(), quiet_window.as_ref()),
            start,
            quiet_window,
            servers,
            clients,
        };
        for reason in &summary.suspect {
            self.progress.message(&format!("suspect: {reason}"));
        }
        let driver = &self.plan.drivers[usize::from(turn.driver)].name;
        let word = status_word(verdict.status);
        self.progress.repetition(
            turn,
            driver,
            &format!("{word} after {}", units::seconds(summary.duration_s)),
        );
        if let (Status::Failed, Some(error)) = (verdict.status, &verdict.error) {
            self.progress.message(&format!("error: {driver}: {error}"));
            self.show_stderr(failure.map(|(group, failure)| (group, failure.worker())));
        }
        self.keep(turn, summary, verdict);
    }

    /// Nobody can say any more what became of a repetition; why is told unless it had ended badly before.
    pub(super) fn sum_up_lost(&mut self, turn: Turn, reason: &str, duration: Duration) {
        collect::repair(self.plan, turn, self.hosts, self.directory);
        let verdict = self.inherited.take().unwrap_or_else(|| Verdict::infrastructure(reason.to_owned()));
        let driver = &self.plan.drivers[usize::from(turn.driver)].name;
        if let (Status::Failed, Some(error)) = (verdict.status, &verdict.error) {
            self.progress.message(&format!("error: {driver}: {error}"));
        }
        let lost = RepetitionSummary {
            error: verdict.error.clone(),
            ..RepetitionSummary::new(verdict.status, duration.as_secs_f64())
        };
        self.keep(turn, lost, verdict);
    }

    /// The repetition is in the summary from now on, and the run no better than it.
    fn keep(&mut self, turn: Turn, summary: RepetitionSummary, verdict: Verdict) {
        self.directory.event(json!({"event": "over", "status": summary.status, "error": summary.error}));
        self.last_error = verdict.error;
        self.verdict.worse(Verdict { error: None, ..verdict });
        self.journal.judge(self.verdict.clone());
        self.record.add(turn.driver, summary, self.directory);
        self.journal.done();
    }

    /// Shows what the driver to blame wrote to stderr.
    fn show_stderr(&self, blamed: Option<(Group, Option<usize>)>) {
        let Some((group, Some(index))) = blamed else { return };
        let id = if group == Group::Server { self.groups.0 } else { self.groups.1 };
        let peer = self.coordinators.get(id).peer(index);
        let Some(outcome) = peer.ending.and_then(Ending::outcome) else { return };
        for line in outcome.stderr_tail.as_str().lines() {
            self.progress.message(&format!("  stderr: {line}"));
        }
    }
}
