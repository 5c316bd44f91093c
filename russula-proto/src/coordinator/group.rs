//! The group as a whole: its workflow, its milestones, its failure and its deadlines.

use super::peer::Peer;
use super::{Coordinator, Event, Failure, PeerError, Phase, Waiting};
use crate::outcome::Ending;
use crate::time::Timestamp;
use crate::wire::{Stage, Target};
use crate::workflow::{CoordinatorInput, Milestone};
use alloc::vec::Vec;
use core::time::Duration;

impl Coordinator {
    /// Brings everything that follows from the inputs to rest.
    pub(super) fn settle(&mut self, now: Timestamp) {
        // Once the run is over, workers leave, and that brings nobody anywhere.
        if self.repetition > 0 && self.finishing.is_none() {
            while self.step() {
                self.set_start(now);
                self.note_window(now);
                self.tell_everyone(now);
            }
            self.announce();
        }
        self.set_deadline(now);
        self.finish_if_due();
    }

    /// Applies what holds to the workflow; the only place where its state changes.
    fn step(&mut self) -> bool {
        let from = self.workflow.name();
        let slowest = Stage::ALL.into_iter().find(|stage| self.census[*stage as usize] > 0);
        let slowest = slowest.unwrap_or(Stage::Released);
        // Who starts together with others is not ready before its clock is known.
        let slowest = if self.unmeasured > 0 { Stage::Idle } else { slowest };
        // Who was ready and was restarted since is waited for again.
        let may_go_on = self.workflow.target() != Target::Ready || slowest >= Stage::Ready;
        let inputs = [
            self.aborted.then_some(CoordinatorInput::Abort),
            Some(CoordinatorInput::All(slowest)),
            self.till.filter(|_| may_go_on).map(CoordinatorInput::Till),
        ];
        let changed = inputs.into_iter().flatten().any(|input| self.workflow.handle(input));
        if changed {
            let to = self.workflow.name();
            self.event(Event::State { repetition: self.repetition, from, to });
        }
        changed
    }

    /// Chooses the instant at which everybody starts, late enough for everybody to have heard of it.
    fn set_start(&mut self, now: Timestamp) {
        let is_due = self.start_at.is_none()
            && self.workflow.target() == Target::Run
            && self.workflow.starts_together();
        if is_due {
            let clocks = self.peers.iter().filter_map(|peer| peer.clock.best());
            let farthest_us = clocks.map(|clock| clock.bound_us).max().unwrap_or_default();
            let to_hear = Duration::from_micros(4 * farthest_us) + SAYING * u32::from(self.config.workers);
            self.start_at = Some(now + self.config.limits.start_lead.max(to_hear));
        }
    }

    fn note_window(&mut self, now: Timestamp) {
        if self.workflow.target() >= Target::Stop {
            self.close_window(0, now);
        }
        if self.workflow.has_reached(Milestone::Done) {
            self.check_kernel();
        }
    }

    /// Announces the milestones that were asked for and are reached; after an abort only the last.
    fn announce(&mut self) {
        for milestone in Milestone::ALL {
            let due = self.till >= Some(milestone) && self.announced < Some(milestone);
            let reached = self.workflow.has_reached(milestone);
            if due && reached && (!self.aborted || milestone == Milestone::Done) {
                self.announced = Some(milestone);
                self.event(Event::Reached(milestone));
            }
        }
    }

    /// Gives the repetition under way up, if there is one.
    pub(super) fn fail(&mut self, failure: Failure) {
        let under_way = self.repetition > 0 && !self.workflow.has_reached(Milestone::Done);
        if self.failure.is_none() && under_way && self.finishing.is_none() {
            self.failure = Some(failure.clone());
            self.event(Event::Failed(failure));
            self.stop_everything();
        }
    }

    pub(super) fn stop_everything(&mut self) {
        self.unmeasured = 0;
        self.questions.clear();
        self.till = Some(Milestone::Done);
        self.aborted = true;
        for index in 0..self.peers.len() {
            // Who is stopped has no clock that matters.
            self.peers[index].clock.give_up();
            // Nothing was ever said to a worker that never answered: there is nothing to stop and to wait for.
            let peer = &self.peers[index];
            if peer.welcome.is_none() && peer.memory.is_none() && !peer.is_gone() {
                self.peers[index].ending = Some(Ending::NotStarted);
                self.set_stage(index, Stage::Released);
            }
        }
    }

    fn phase(&self) -> Option<Phase> {
        let has = |milestone| self.workflow.has_reached(milestone);
        if self.repetition == 0 || has(Milestone::Done) || self.finishing.is_some() {
            return None;
        }
        if self.aborted {
            // Also in a workflow that has nothing to stop: whoever is silent then is not waited for any longer.
            return Some(Phase::Stop);
        }
        match self.workflow.target() {
            Target::Ready => {
                let next = if has(Milestone::Ready) {
                    Some(Milestone::WorkersRunning)
                } else {
                    Some(Milestone::Ready)
                };
                (self.till >= next).then_some(Phase::Ready)
            }
            Target::Run if !has(Milestone::WorkersRunning) => Some(Phase::Start),
            Target::Run => (self.till == Some(Milestone::Done)).then_some(Phase::Run),
            Target::Stop | Target::Release => Some(Phase::Stop),
        }
    }

    /// Keeps the deadline of the phase under way, or sets that of a new one.
    fn set_deadline(&mut self, now: Timestamp) {
        let phase = self.phase();
        if self.deadline.map(|(phase, _)| phase) != phase {
            self.deadline = phase.map(|phase| (phase, now + self.limit(phase)));
        }
    }

    fn limit(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Ready => self.config.limits.ready,
            Phase::Start => self.config.limits.start,
            Phase::Run => self.config.limits.run,
            Phase::Stop => self.config.limits.stop + self.longest_kill_grace,
        }
    }

    pub(super) fn handle_deadline(&mut self, phase: Phase) {
        let wanted = match phase {
            Phase::Ready => Stage::Ready,
            Phase::Start => Stage::Running,
            Phase::Run => Stage::Ended,
            Phase::Stop => Stage::Released,
        };
        let mut late = self.behind(wanted);
        if late.is_empty() {
            // All programs are where they should be; some worker does not know yet that this was heard.
            late = self.behind(Stage::Released);
        }
        // What went wrong with a worker that is connected again explains nothing.
        let error = |peer: &Peer| if peer.is_up() { None } else { peer.last_error.clone() };
        let waiting = Waiting::of(late.iter().map(|&index| (index, error(&self.peers[index]))));
        self.fail(Failure::Deadline { phase, limit: self.limit(phase), waiting });
        if phase == Phase::Ready {
            // Whoever has not answered in that time is not waited for in the next repetition either.
            late.retain(|index| self.peers[*index].welcome.is_none());
            late.into_iter().for_each(|index| self.give_up(index));
        } else if phase == Phase::Stop {
            // Whoever could not be stopped is left to its host; the run goes on to its end.
            for index in late {
                self.peers[index].last_error.get_or_insert(PeerError::NotStopped);
                self.dismiss(index);
            }
        }
    }

    /// The workers that are not at `stage` yet.
    fn behind(&self, stage: Stage) -> Vec<usize> {
        let is_measured = |peer: &Peer| peer.clock.is_done() || stage != Stage::Ready;
        let behind = |peer: &Peer| !peer.is_gone() && (peer.stage < stage || !is_measured(peer));
        (0..self.peers.len()).filter(|index| behind(&self.peers[*index])).collect()
    }

    fn finish_if_due(&mut self) {
        if self.finishing.is_some() && self.open == 0 {
            self.finishing = None;
            self.finished = true;
            self.repetition = 0;
            self.event(Event::Finished);
        }
    }
}

/// For one worker to be told when to start, while others wait.
const SAYING: Duration = Duration::from_micros(20);
