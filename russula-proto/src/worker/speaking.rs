//! What the coordinator is told, as soon as its connection has room.

use super::{ConnectionId, Farewell, Output, Worker};
use crate::wire::WorkerMessage;

impl Worker {
    /// Tells the coordinator what it is to know, as soon as its connection has room.
    pub(super) fn speak(&mut self) {
        let Some(connection) = self.connections.attached() else { return };
        if let Some(reading) = self.clock_due
            && self.has_room(connection)
        {
            self.clock_due = None;
            self.send(connection, &WorkerMessage::Clock(reading));
        }
        if self.has_to_report() && self.has_room(connection) {
            self.report_due = false;
            let report = self.task.report();
            self.send(connection, &WorkerMessage::Report(report));
        }
        let may_leave = self.farewell == Farewell::Due && !self.has_to_report() && !self.task.program_active;
        if may_leave && self.has_room(connection) {
            self.farewell = Farewell::Said;
            self.send(connection, &WorkerMessage::Farewell);
        }
    }

    /// A new coordinator hears nothing of what was begun for the one before.
    pub(super) fn has_to_report(&self) -> bool {
        self.report_due && !self.task.is_abandoned
    }

    /// Whether the socket has taken all that was said on `connection`.
    pub(super) fn is_flushed(&self, connection: ConnectionId) -> bool {
        self.connections.get(connection).is_none_or(|peer| peer.link.is_flushed())
    }

    /// Small messages may share a segment; after that, only the newest report counts.
    fn has_room(&self, connection: ConnectionId) -> bool {
        let peer = self.connections.get(connection);
        peer.is_some_and(|peer| peer.link.outgoing().len() <= MAX_QUEUED_BEFORE_REPORT)
    }

    pub(super) fn send(&mut self, connection: ConnectionId, message: &WorkerMessage) {
        if let Some(peer) = self.connections.get_mut(connection) {
            peer.link.send(message);
            self.outputs.push_back(Output::Transmit(connection));
        }
    }
}

/// Room that a welcome and a reading of the clock take at the most.
const MAX_QUEUED_BEFORE_REPORT: usize = 256;
