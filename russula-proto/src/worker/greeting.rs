//! How a connection becomes the coordinator's, and how it is closed.

use super::{ConnectionId, Event, Farewell, Output, Rejection, Worker};
use crate::link::Link;
use crate::noise::Entropy;
use crate::time::Timestamp;
use crate::wire::{Hello, Refusal, Welcome, WorkerMessage};

impl Worker {
    pub(super) fn accept(&mut self, connection: ConnectionId, entropy: Entropy, now: Timestamp) {
        let link = Link::accepted(&self.config.key, &self.config.identity, entropy, self.attachments);
        if let Some(evicted) = self.connections.accept(connection, link, now) {
            self.reject(evicted, Rejection::Evicted, now);
        }
    }

    /// Somebody who has the key says that it is the coordinator.
    pub(super) fn greet(&mut self, connection: ConnectionId, hello: &Hello, now: Timestamp) {
        if let Err(refusal) = self.check(hello) {
            self.send(connection, &WorkerMessage::Refused(refusal.clone()));
            return self.reject(connection, Rejection::Refused(refusal), now);
        }
        // A coordinator that dials again replaces its own older connection.
        if let Some(older) = self.connections.attached() {
            self.close(older, now);
        }
        self.connections.attach(connection);
        self.attachments += 1;
        self.orphaned_at = None;
        let known = self.coordinator.replace((hello.session, hello.epoch));
        if known.is_some_and(|(session, _)| session != hello.session) {
            // Another coordinator counts its repetitions anew and knows nothing of what was begun before.
            self.memory.takeovers += 1;
            self.goal = None;
            self.task.is_abandoned = true;
            self.farewell = Farewell::NotAsked;
        }
        self.event(Event::Attached(connection));
        let welcome = Welcome {
            memory: self.memory,
            programs: self.config.programs,
            program_version: self.config.program_version.clone(),
            kill_grace_ms: u32::try_from(self.config.limits.kill_grace.as_millis()).unwrap_or(u32::MAX),
        };
        self.send(connection, &WorkerMessage::Welcome(welcome));
        self.report_due = true;
        self.clock_due = None;
        if self.farewell == Farewell::Said {
            self.farewell = Farewell::Due;
        }
    }

    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        let is_newer = match self.coordinator {
            Some((session, epoch)) if session == hello.session => hello.epoch > epoch,
            Some(_) | None => hello.ticket == self.attachments,
        };
        if is_newer { Refusal::check(self.config.work, hello) } else { Err(Refusal::Stale) }
    }

    /// Bytes of the coordinator's connections, in both directions, since the worker is there.
    pub(super) fn control_bytes(&self) -> u64 {
        let attached = self.connections.attached().and_then(|id| self.connections.get(id));
        self.past_control_bytes + attached.map_or(0, |peer| peer.link.traffic().total())
    }

    /// Closes a connection for a fault of its own. What is queued may leave first, within the greeting's deadline.
    pub(super) fn reject(&mut self, connection: ConnectionId, why: Rejection, now: Timestamp) {
        let Some(peer) = self.connections.get(connection) else { return };
        let is_refused = matches!(why, Rejection::Refused(_)) && !peer.link.is_flushed();
        let count = self.rejections.count(&why);
        self.event(Event::Rejected(connection, why, count));
        if is_refused {
            self.detach(connection, now);
            self.connections.begin_closing(connection, now);
        } else {
            self.close(connection, now);
        }
    }

    pub(super) fn close(&mut self, connection: ConnectionId, now: Timestamp) {
        self.detach(connection, now);
        if self.connections.remove(connection) {
            self.outputs.push_back(Output::Close(connection));
        }
    }

    fn detach(&mut self, connection: ConnectionId, now: Timestamp) {
        if self.connections.attached() == Some(connection) {
            self.past_control_bytes = self.control_bytes();
            self.is_goal_current = false;
            if self.farewell == Farewell::Said && !self.is_flushed(connection) {
                self.farewell = Farewell::Due;
            }
            self.event(Event::Detached(connection));
            self.orphaned_at = Some(now + self.config.limits.orphan);
        }
    }
}
