//! What decides about the future of a worker, for a model check.

use super::Worker;
use super::task::Task;
use crate::time::Timestamp;
use crate::wire;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

impl Worker {
    /// Feeds `hasher` with what decides about what this worker will do: its state, that of its connections in their
    /// order, and the order of its timers. Left out are readings of clocks, lengths of time, counters of bytes and
    /// of connections, and what is only shown; see
    /// [`Coordinator::hash_state`](crate::Coordinator::hash_state).
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        // Every field is named, so that a new one has to be thought about.
        let Self {
            config: _,
            connections,
            coordinator,
            attachments: _,
            memory,
            goal,
            is_goal_current,
            task,
            report_due,
            clock_due,
            farewell,
            past_control_bytes: _,
            message_len: _,
            rejections: _,
            kill_at: _,
            orphaned_at: _,
            shutdown,
            outputs,
        } = self;
        connections.hash_state(hasher);
        coordinator.map(|(session, _)| session).hash(hasher);
        memory.hash(hasher);
        is_goal_current.hash(hasher);
        goal.map(|goal| (goal.repetition, goal.program, goal.target, goal.start_at.is_some())).hash(hasher);
        task.hash_state(hasher);
        (report_due, clock_due.is_some(), farewell).hash(hasher);
        shutdown.map(|shutdown| (shutdown.reason, shutdown.finished)).hash(hasher);
        outputs.len().hash(hasher);
        self.timers_in_order().for_each(|timer| timer.hash(hasher));
    }

    fn timers_in_order(&self) -> impl Iterator<Item = Timer> {
        let shutdown = self.shutdown.filter(|shutdown| !shutdown.finished).map(|shutdown| shutdown.until);
        let own = [
            (self.kill_at, Timer::Kill),
            (self.orphaned_at, Timer::Orphan),
            (shutdown, Timer::Shutdown),
            (self.start_at(), Timer::Start),
        ];
        let own = own.into_iter().filter_map(|(at, timer)| Some((at?, timer)));
        let connections = self.connections.deadlines().map(|at| (at, Timer::Connection));
        let mut timers: Vec<(Timestamp, Timer)> = own.chain(connections).collect();
        timers.sort_by_key(|(at, _)| *at);
        timers.into_iter().map(|(_, timer)| timer)
    }
}

#[derive(Hash)]
enum Timer {
    Kill,
    Orphan,
    Shutdown,
    Start,
    /// Connections are known by their order, and their deadlines have the same.
    Connection,
}

impl Task {
    fn hash_state(&self, hasher: &mut impl Hasher) {
        let Self {
            repetition,
            workflow,
            program_active,
            stop_asked,
            started_at: _,
            ending,
            is_abandoned,
            window: _,
        } = self;
        workflow.name().hash(hasher);
        (repetition, program_active, stop_asked, is_abandoned).hash(hasher);
        ending.as_ref().map(wire::encode).hash(hasher);
    }
}
