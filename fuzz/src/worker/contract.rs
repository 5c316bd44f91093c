//! What the worker asks for, done; and the caller's contract, checked.

use super::Scene;
use super::connections::Standing;
use super::model::Verdict;
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::worker::{Event, MAX_GREETINGS, Output, Rejection};
use russula_proto::{ConnectionId, Timestamp, Traffic};

impl Scene {
    /// Does what the worker wants, until it wants nothing more.
    pub(super) fn drain(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            let output = self.worker.poll_output();
            if let Output::Wait(at) = output {
                return self.rest(at);
            }
            self.obey(output);
        }
        panic!("it does not come to rest");
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Transmit(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.is_announced = true;
                }
            }
            Output::Close(id) => {
                assert!(self.connections.remove(&id).is_some(), "{id:?} is closed already");
            }
            Output::Start { program, repetition } => self.model.start(program, repetition, self.now),
            Output::Terminate => self.model.terminate(self.now),
            Output::Kill => self.model.kill(self.now),
            Output::CheckKernel(id) => {
                if let Some(connection) = self.connections.get(&id) {
                    let (sent_bytes, received_bytes) = (connection.sent(), connection.received());
                    self.worker.handle_kernel_counters(id, Traffic { sent_bytes, received_bytes });
                }
            }
            Output::Event(event) => self.note(event),
            Output::Finished(reason) => self.model.finish(reason, self.now),
            Output::Wait(_) => {}
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::State { from, to, repetition } => {
                let attached = self.model.attached.and_then(|id| self.connections.get(&id));
                self.model.note_state(
                    repetition,
                    from,
                    to,
                    attached.map_or(0, |connection| connection.total()),
                );
            }
            Event::Attached(id) => {
                self.expect(&Verdict::Attached(id));
                self.model.attached = Some(id);
                self.model.orphaned_at = None;
            }
            Event::Detached(id) => {
                assert_eq!(self.model.attached.take(), Some(id), "it was not attached");
                self.model.orphaned_at = Some(self.now + self.limits.orphan);
                let connection = &self.connections[&id];
                self.model.windows.past_bytes += connection.total();
                // Nothing is read behind the message that ends a connection.
                let chunk = self.model.chunk;
                let may_be_unread = chunk.messages > 1 || chunk.rest_len > 0;
                if connection.is_disturbed || !connection.is_attached() && may_be_unread {
                    self.model.windows.lose_count();
                }
                if connection.is_attached() {
                    assert!(connection.is_disturbed || connection.is_ended, "{id:?} is blameless");
                } else {
                    self.expect(&Verdict::Detached(id));
                }
            }
            Event::Rejected(id, why, count) => {
                self.check_rejection(id, &why);
                let known = self.worker.rejections().iter().find(|(kind, _)| *kind == why.kind());
                assert!(known.is_some_and(|(_, known)| known >= count && count > 0));
            }
        }
    }

    fn expect(&mut self, verdict: &Verdict) {
        assert_eq!(self.model.verdicts.pop_front().as_ref(), Some(verdict));
    }

    fn check_rejection(&mut self, id: ConnectionId, why: &Rejection) {
        let connection = &self.connections[&id];
        let is_stranger = !connection.is_attached();
        match why {
            Rejection::Refused(_) | Rejection::OutOfOrder => {
                self.expect(&Verdict::Rejected(id, why.clone()));
            }
            Rejection::Link(error) => {
                assert!(
                    !connection.is_intact() || connection.is_ended,
                    "{error} on a connection without a fault"
                );
            }
            Rejection::Silent => {
                assert!(is_stranger && connection.since + self.limits.greeting <= self.now);
            }
            Rejection::Evicted => {
                let strangers = self.connections.values().filter(|other| !other.is_attached()).count();
                assert!(is_stranger && strangers > MAX_GREETINGS, "{strangers} strangers are not too many");
            }
        }
    }

    /// The worker is at rest, and stays there.
    fn rest(&mut self, at: Option<Timestamp>) {
        assert_eq!(self.worker.poll_output(), Output::Wait(at), "`Wait` is repeated");
        if at.is_none_or(|at| at > self.now) {
            self.worker.handle_timeout(self.now);
            assert_eq!(self.worker.poll_output(), Output::Wait(at), "an early timeout does nothing");
        }
        self.wait = at;
        assert!(self.model.verdicts.is_empty(), "it did not say {:?}", self.model.verdicts);
        assert_eq!(self.worker.is_attached(), self.model.attached.is_some());
        self.check_connections();
        if !self.model.is_finished {
            self.check_deadlines();
        }
    }

    fn check_connections(&self) {
        let mut strangers = 0;
        for (id, connection) in &self.connections {
            let waiting = self.worker.outgoing(*id).len();
            assert!(waiting <= MAX_OUTGOING_LEN, "{waiting} bytes wait on {id:?}");
            assert!(waiting == 0 || connection.is_announced, "{waiting} bytes wait on {id:?}, no `Transmit`");
            let is_known = connection.differs == crate::strangers::Differs::Nothing;
            assert!(waiting == 0 || is_known, "{id:?} has not shown the key, and is answered");
            strangers += usize::from(!connection.is_attached());
            assert!(connection.standing != Standing::Rejected, "{id:?} is kept");
        }
        assert!(strangers <= MAX_GREETINGS, "{strangers} strangers");
    }

    /// The worker wants to be called when something is due, at the latest.
    fn check_deadlines(&self) {
        let greetings = self.connections.values().filter(|connection| !connection.is_attached());
        let greeting = greetings.map(|connection| connection.since + self.limits.greeting).min();
        let is_ready = matches!(self.worker.state(), "WaitCoordInit" | "Ready");
        let start = self.model.start_at(self.worker.repetition()).filter(|_| is_ready);
        let shutdown = self.model.shutdown.map(|(_, until)| until);
        for due in
            [greeting, start, shutdown, self.model.kill_at(), self.model.orphaned_at].into_iter().flatten()
        {
            assert!(
                self.wait.is_some_and(|wait| wait <= due),
                "it waits until {:?}, due is {due}",
                self.wait
            );
        }
    }
}

/// More than one input can lead to, with as many messages as a chunk can hold.
const OUTPUTS_MAX: usize = 100_000;
