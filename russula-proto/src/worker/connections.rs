//! The connections of a worker: at most one of them is the coordinator's, the others have to prove it soon.

use super::ConnectionId;
use crate::link::Link;
use crate::time::Timestamp;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// Most connections that have not said yet who they are. One more evicts the oldest, preferably of those that
/// have not shown a key, so that no number of silent strangers keeps the coordinator out.
pub const MAX_GREETINGS: usize = 8;

/// What a connection has shown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// It has to say who it is until its deadline.
    Greeting,
    /// It is the coordinator's.
    Attached,
    /// It gets what is queued until its deadline, and nothing it says counts.
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    pub(super) link: Link,
    pub(super) standing: Standing,
    deadline: Timestamp,
}

/// At most [`MAX_GREETINGS`] strangers and one coordinator, oldest first.
#[derive(Debug)]
pub(super) struct Connections {
    list: Vec<Connection>,
    greeting_limit: Duration,
}

impl Connections {
    pub(super) fn new(greeting_limit: Duration) -> Self {
        Self { list: Vec::new(), greeting_limit }
    }

    /// Adds a connection; returns the one that has to make room for it.
    pub(super) fn accept(&mut self, id: ConnectionId, link: Link, now: Timestamp) -> Option<ConnectionId> {
        let strangers = || self.list.iter().filter(|c| c.standing != Standing::Attached);
        let unknown = || strangers().find(|c| !c.link.is_open()).or_else(|| strangers().next());
        let evicted = if strangers().count() < MAX_GREETINGS { None } else { unknown().map(|c| c.id) };
        let deadline = now + self.greeting_limit;
        self.list.push(Connection { id, link, standing: Standing::Greeting, deadline });
        evicted
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.list.iter().find(|c| c.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.list.iter_mut().find(|c| c.id == id)
    }

    pub(super) fn attached(&self) -> Option<ConnectionId> {
        self.list.iter().find(|c| c.standing == Standing::Attached).map(|c| c.id)
    }

    pub(super) fn attach(&mut self, id: ConnectionId) {
        assert!(self.attached().is_none(), "the older coordinator was closed before");
        if let Some(connection) = self.get_mut(id) {
            connection.standing = Standing::Attached;
        }
    }

    pub(super) fn begin_closing(&mut self, id: ConnectionId, now: Timestamp) {
        let deadline = now + self.greeting_limit;
        if let Some(connection) = self.get_mut(id) {
            connection.standing = Standing::Closing;
            connection.deadline = deadline;
        }
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        let before = self.list.len();
        self.list.retain(|c| c.id != id);
        self.list.len() < before
    }

    /// A connection whose deadline has passed, and whether it was being closed already.
    pub(super) fn expired(&self, now: Timestamp) -> Option<(ConnectionId, bool)> {
        let expired = self.with_deadline().find(|c| c.deadline <= now)?;
        Some((expired.id, expired.standing == Standing::Closing))
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines().min()
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.with_deadline().map(|c| c.deadline)
    }

    /// Connections are known by their order, not by their numbers.
    pub(super) fn hash_state(&self, hasher: &mut impl Hasher) {
        for Connection { id: _, link, standing, deadline: _ } in &self.list {
            standing.hash(hasher);
            link.hash_state(hasher);
        }
    }

    fn with_deadline(&self) -> impl Iterator<Item = &Connection> {
        self.list.iter().filter(|c| match c.standing {
            Standing::Greeting | Standing::Closing => true,
            Standing::Attached => false,
        })
    }
}
