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
        if self.report_due && !self.task.is_abandoned && self.has_room(connection) {
            self.report_due = false;
            let report = self.task.report();
            self.send(connection, &WorkerMessage::Report(report));
        }
        let is_silent = !self.report_due || self.task.is_abandoned;
        let may_leave = self.farewell == Farewell::Due && is_silent && !self.task.program_active;
        if may_leave && self.has_room(connection) {
            self.farewell = Farewell::Said;
            self.send(connection, &WorkerMessage::Farewell);
        }
    }

    /// Small messages may share a segment; after that, only the newest report counts.
    pub(super) fn has_room(&self, connection: ConnectionId) -> bool {
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
