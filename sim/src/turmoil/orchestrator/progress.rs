//! How the repetition goes on: what the user wants, how far the groups are, and what is written down of both.

use super::super::desk::Report;
use super::Process;
use crate::model::Observation;
use crate::run::Known;
use crate::world::{Kind, Speaker};
use russula_proto::{Repetition, RepetitionPhase};
use tokio::time::sleep;

impl Process {
    /// Does what the machines want until they want nothing more, and takes the repetition as far as it goes.
    pub(super) async fn settle(&mut self) {
        loop {
            let mut is_busy = self.follow_wishes().await;
            for at in 0..self.sides.len() {
                is_busy |= self.drain(at).await;
            }
            is_busy |= self.advance();
            self.sync().await;
            if !is_busy {
                return;
            }
        }
    }

    /// Waits until the disk has what was written down.
    pub(super) async fn sync(&self) {
        let disk = self.desk.options.network.disk;
        if self.desk.journal.borrow().take_dirty() && !disk.is_zero() {
            sleep(disk).await;
        }
    }

    /// Begins what the user wants to be begun, and ends what is to be ended.
    async fn follow_wishes(&mut self) -> bool {
        let (newest, is_over) = self.desk.journal.borrow().newest();
        let wanted = self.desk.wanted.get();
        if is_over && newest < wanted {
            self.desk.record.note(Observation::Begun(wanted));
            self.desk.report.take();
            let now = self.local_now();
            let [servers, clients] = &mut self.sides;
            let (servers, clients) = (&mut servers.coordinator, &mut clients.coordinator);
            self.repetition = Some(Repetition::begin(wanted, 0, servers, clients, now));
            // Before anybody is told of it.
            self.desk.journal.borrow_mut().write_begin(wanted, servers, clients);
            self.sync().await;
            return true;
        }
        if is_over && self.desk.wants_end.get() {
            return self.end_run().await;
        }
        false
    }

    /// Ends the run. A process that takes it over when it has ended does that once it has found the workers.
    async fn end_run(&mut self) -> bool {
        let is_news = !self.desk.journal.borrow().has_ended;
        if is_news {
            self.desk.record.note(Observation::RunEnded);
            self.desk.journal.borrow_mut().write_end();
            self.sync().await;
        }
        let now = self.local_now();
        let mut peers = self.sides.iter().flat_map(|side| side.coordinator.peers());
        let are_found = peers.all(|peer| peer.is_connected || peer.is_given_up);
        drop(peers);
        let is_due = (is_news || are_found) && !self.is_ending;
        if is_due {
            self.is_ending = true;
            self.sides.iter_mut().for_each(|side| side.coordinator.finish(now));
        }
        is_due
    }

    /// Takes the repetition as far as the groups have come; returns whether that is farther than before.
    fn advance(&mut self) -> bool {
        let now = self.local_now();
        let Some(repetition) = &mut self.repetition else { return false };
        let [servers, clients] = &mut self.sides;
        let phases: Vec<_> =
            repetition.advance(&mut servers.coordinator, &mut clients.coordinator, now).collect();
        // What the coordinators say explains the phases.
        (0..self.sides.len()).for_each(|at| self.listen(at));
        for &phase in &phases {
            self.desk.record.note(Observation::Phase(phase));
            self.desk.record.say(Speaker::Repetition, Kind::Event, || format!("{phase:?}"));
            if phase == RepetitionPhase::Over {
                let report = self.report();
                self.desk.report.replace(Some(report));
            }
            self.desk.journal.borrow_mut().write_phase(phase);
        }
        !phases.is_empty()
    }

    fn report(&self) -> Report {
        let [servers, clients] = [&self.sides[0].coordinator, &self.sides[1].coordinator];
        let journal = self.desk.journal.borrow();
        let written = journal.repetition.as_ref().and_then(|begun| begun.failure.as_ref());
        let failure = written.or(servers.failure()).or(clients.failure()).cloned();
        let known = self.sides.iter().flat_map(|side| {
            side.coordinator.peers().enumerate().map(|(index, peer)| Known {
                host: side.host(index),
                ending: peer.ending.cloned(),
                stage: peer.stage,
                is_given_up: peer.is_given_up,
                clock: peer.clock,
                started_at: peer.started_at,
            })
        });
        Report {
            gave_up: journal.gave_up(),
            failure,
            quiet: Repetition::quiet(servers, clients),
            start_at: clients.start_at(),
            known: known.collect(),
        }
    }
}
