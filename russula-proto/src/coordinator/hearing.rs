//! What a worker says, and what follows from it.

use super::peer::Connection;
use super::{Coordinator, Event, Failure, PeerError, clocks};
use crate::outcome::Ending;
use crate::time::Timestamp;
use crate::wire::{Position, Refusal, Report, Stage, Target, Welcome, WorkerMessage};
use crate::workflow::Milestone;
use core::time::Duration;

impl Coordinator {
    pub(super) fn handle_message(
        &mut self,
        index: usize,
        message: WorkerMessage,
        message_len: usize,
        now: Timestamp,
    ) {
        let greeting = matches!(self.peers[index].connection, Connection::Greeting(_));
        if self.peers[index].is_dismissed && message != WorkerMessage::Farewell {
            return;
        }
        match message {
            WorkerMessage::Welcome(welcome) if greeting => self.handle_welcome(index, welcome, now),
            WorkerMessage::Refused(Refusal::Stale) if greeting => {
                self.disconnect(index, PeerError::Refused(Refusal::Stale), now);
            }
            WorkerMessage::Refused(refusal) if greeting => {
                self.reject(index, Failure::Refused { index, refusal });
            }
            WorkerMessage::Report(report) if !greeting => {
                self.handle_report(index, report, message_len, now);
            }
            WorkerMessage::Clock(reading) if !greeting => {
                let clock = &mut self.peers[index].clock;
                if clock.handle(reading, now) {
                    self.unmeasured -= usize::from(clock.is_done());
                    self.end_question(index, now);
                }
            }
            WorkerMessage::Farewell if !greeting && self.peers[index].finish_said => {
                self.peers[index].has_left = true;
                self.give_up(index);
            }
            WorkerMessage::Welcome(_)
            | WorkerMessage::Refused(_)
            | WorkerMessage::Report(_)
            | WorkerMessage::Clock(_)
            | WorkerMessage::Farewell => self.reject(index, Failure::OutOfOrder { index }),
        }
    }

    fn handle_welcome(&mut self, index: usize, welcome: Welcome, now: Timestamp) {
        self.clear_timer(index);
        let kill_grace = Duration::from_millis(welcome.kill_grace_ms.into());
        self.longest_kill_grace = self.longest_kill_grace.max(kill_grace);
        let has_forgotten = self.peers[index].welcome(welcome, now);
        self.event(Event::Connected(index));
        let stage = self.peers[index].stage;
        // It may have started its program without having been heard to.
        let may_have_started =
            stage >= Stage::Starting || self.workflow.target() == Target::Run || self.is_start_inherited;
        if has_forgotten && stage < Stage::Ended {
            if may_have_started {
                self.fail(Failure::Restarted { index });
            }
            self.set_stage(index, Stage::Idle);
            self.measure_again(index);
        }
    }

    /// Another process has another clock.
    fn measure_again(&mut self, index: usize) {
        let exchanges = self.config.limits.clock_exchanges;
        let is_due = self.workflow.target() == Target::Ready && self.workflow.starts_together();
        if is_due && !self.aborted && exchanges > 0 {
            let peer = &mut self.peers[index];
            self.unmeasured += usize::from(peer.clock.is_done() && !peer.is_gone());
            peer.clock = clocks::Measurement::begin(exchanges);
        }
    }

    fn handle_report(&mut self, index: usize, report: Report, message_len: usize, now: Timestamp) {
        let stage = report.position.stage();
        if report.repetition != self.repetition {
            return;
        }
        let peer = &mut self.peers[index];
        peer.started_at = peer.started_at.or(report.started_at);
        peer.quiet = report.quiet.or(peer.quiet);
        if stage <= peer.stage {
            return;
        }
        if let Position::Ended(ending) | Position::Released(ending) = report.position
            && peer.ending.is_none()
        {
            peer.ending = Some(ending.clone());
            self.has_heard_end = true;
            // What has ended does not start any more.
            self.unmeasured -= usize::from(peer.clock.give_up() && !peer.is_gone());
            self.end_question(index, now);
            self.close_window(message_len, now);
            if self.is_failure(&ending) {
                self.fail(Failure::Worker { index, ending });
            }
        }
        self.set_stage(index, stage);
        self.event(Event::Worker(index, stage));
    }

    fn is_failure(&self, ending: &Ending) -> bool {
        // The process that died may have told its workers to stop.
        let was_stopped = self.is_taken_over && self.till == Some(Milestone::Done);
        self.workflow.is_failure(ending, was_stopped) && !self.aborted
    }
}
