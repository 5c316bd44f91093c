//! What decides about the future of a coordinator, for a model check.

use super::peer::{Connection, Peer};
use super::{Coordinator, Phase};
use crate::time::Timestamp;
use crate::wire;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::mem::discriminant;

impl Coordinator {
    /// Feeds `hasher` with what decides about what this coordinator will do: its state, that of its peers, and the
    /// order of its timers. Left out are readings of clocks, lengths of time, counters of bytes and of attempts,
    /// and what is only shown. Two coordinators that differ in nothing else do the same, except where one has used
    /// up more of a limit; so a model check that takes them for one has to let limits pass at any time.
    ///
    /// The workers are taken in the order of `indexes`: where they are alike, so are two states in which they have
    /// changed places.
    pub fn hash_state(&self, indexes: &[usize], hasher: &mut impl Hasher) {
        // Every field is named, so that a new one has to be thought about.
        let Self {
            config: _,
            workflow,
            repetition,
            program,
            till,
            announced,
            aborted,
            failure,
            peers,
            census,
            open,
            unmeasured,
            start_at,
            is_taken_over,
            is_start_inherited,
            window: _,
            has_heard_end: _,
            control_bytes: _,
            dials: _,
            questions: _,
            schedule: _,
            deadline: _,
            finishing: _,
            finished,
            longest_kill_grace: _,
            lot: _,
            outputs,
        } = self;
        workflow.name().hash(hasher);
        (repetition, program, till, announced, aborted).hash(hasher);
        let place = |index: usize| indexes.iter().position(|other| *other == index);
        let failure = failure.as_ref().map(|failure| (discriminant(failure), failure.worker().map(place)));
        failure.hash(hasher);
        (census, open, unmeasured, start_at.is_some()).hash(hasher);
        (is_taken_over, is_start_inherited, finished, outputs.len()).hash(hasher);
        indexes.iter().for_each(|index| peers[*index].hash_state(hasher));
        self.timers_in_order(indexes).for_each(|timer| timer.hash(hasher));
    }

    fn timers_in_order(&self, indexes: &[usize]) -> impl Iterator<Item = Timer> {
        let peers = indexes.iter().map(|index| &self.peers[*index]).enumerate();
        let peers = peers.filter_map(|(place, peer)| Some((peer.timer?, Timer::Peer(place))));
        let phase = self.deadline.map(|(phase, at)| (at, Timer::Phase(phase)));
        let finish = self.finishing.map(|at| (at, Timer::Finish));
        let mut timers: Vec<(Timestamp, Timer)> = peers.chain(phase).chain(finish).collect();
        timers.sort_by_key(|(at, _)| *at);
        timers.into_iter().map(|(_, timer)| timer)
    }
}

#[derive(Hash)]
enum Timer {
    Peer(usize),
    Phase(Phase),
    Finish,
}

impl Peer {
    fn hash_state(&self, hasher: &mut impl Hasher) {
        let Self {
            connection,
            stage,
            ending,
            welcome,
            memory,
            last_contact: _,
            last_error: _,
            is_dismissed,
            has_left: _,
            since: _,
            timer: _,
            clock,
            started_at: _,
            quiet: _,
            kernel_checks: _,
            attempts: _,
            said,
            hello_said,
            finish_said,
        } = self;
        discriminant(connection).hash(hasher);
        match connection {
            Connection::Greeting(link) | Connection::Up(link) => {
                link.hash_state(hasher);
                clock.hash_state(hasher);
                said.map(|goal| (goal.repetition, goal.target, goal.start_at.is_some())).hash(hasher);
                (hello_said, finish_said).hash(hasher);
            }
            Connection::Down | Connection::Dialing => clock.hash_state(hasher),
            Connection::Gone => {}
        }
        stage.hash(hasher);
        ending.as_ref().map(wire::encode).hash(hasher);
        (memory, welcome.as_ref().map(|welcome| welcome.memory), is_dismissed).hash(hasher);
    }
}
