//! What can be seen of a run from outside, as data.

use russula_proto::{Ending, Failure, Group, Milestone, Outcome, RepetitionPhase, Stage};
use std::fmt;

/// A host by its group and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId {
    /// Its group.
    pub group: Group,
    /// Its place in the group, from 0.
    pub index: usize,
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.group, self.index)
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The side that dialed: the coordinator, or a stranger.
    Dialer,
    /// The side that was dialed.
    Worker,
}

impl End {
    /// The opposite end.
    pub fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Worker,
            Self::Worker => Self::Dialer,
        }
    }
}

/// One thing that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The user begins this repetition over both groups.
    Begun(u32),
    /// The user interrupts the repetition.
    GivenUp,
    /// The user has ended the run.
    RunEnded,
    /// A worker process has begun.
    WorkerUp(HostId),
    /// A worker process was killed, and its program with it.
    WorkerKilled(HostId),
    /// A worker process has ended by itself.
    WorkerEnded(HostId),
    /// The host has told its worker to end.
    ShutDown(HostId),
    /// The process of the coordinators is gone.
    CoordinatorsGone,
    /// Something outside disturbs the connection to this host, or the host itself.
    Disturbed(HostId),
    /// Another coordinator, which has the key, takes the worker over.
    TakenOver(HostId),
    /// A program was started for this repetition.
    Started(HostId, u32),
    /// The program runs; a server listens.
    Running(HostId),
    /// The program could not be started.
    StartFailed(HostId),
    /// The program was told to end.
    Terminated(HostId),
    /// The program has ended.
    Ended(HostId, Box<Outcome>),
    /// The coordinator has heard where a worker is.
    Heard(HostId, Stage),
    /// The coordinator has learnt how a worker's part ended.
    Learnt(HostId, Box<Ending>),
    /// The coordinator has given the worker up.
    Dismissed(HostId),
    /// So many bytes were taken by the socket at this end of the connection between a host and its coordinator.
    Sent(HostId, End, usize),
    /// So many bytes came out of the socket at this end.
    Arrived(HostId, End, usize),
    /// A coordinator said so.
    Reached(Group, Milestone),
    /// A coordinator said so.
    Failed(Group, Box<Failure>),
    /// A coordinator said so.
    Finished(Group),
    /// The repetition said so.
    Phase(RepetitionPhase),
}

impl Observation {
    /// What the program of `host` produced, if this is its end.
    pub fn outcome_of(&self, host: HostId) -> Option<&Outcome> {
        if let Self::Ended(ended, outcome) = self
            && *ended == host
        {
            return Some(outcome);
        }
        None
    }
}
