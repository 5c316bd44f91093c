//! A host: a worker process and its program.

use crate::strangers::Differs;
use russula_proto::{Exit, Outcome, Text, Timestamp, Work, Worker, WorkerConfig, WorkerLimits};
use sim::HostId;

pub(super) struct Host {
    pub(super) id: HostId,
    pub(super) worker: Option<Worker>,
    pub(super) program: Option<Program>,
    /// A coordinator has come to this worker process.
    pub(super) has_met: bool,
    /// Its coordinator has given it up.
    pub(super) is_dismissed: bool,
    /// When the worker stops to wait for its coordinator.
    pub(super) orphaned_at: Option<Timestamp>,
    /// When the worker wants to be called, by its own clock.
    pub(super) wait: Option<Timestamp>,
    session: u64,
    outcomes: u64,
}

#[derive(Default)]
pub(super) struct Program {
    pub(super) runs: bool,
    pub(super) is_terminated: bool,
    pub(super) is_killed: bool,
}

impl Host {
    pub(super) fn new(id: HostId) -> Self {
        let mut host = Self {
            id,
            worker: None,
            program: None,
            has_met: false,
            is_dismissed: false,
            orphaned_at: None,
            wait: None,
            session: 0,
            outcomes: 0,
        };
        host.start();
        host
    }

    /// A new worker process, which knows nothing of the one before.
    pub(super) fn start(&mut self) {
        self.session += 1;
        self.has_met = false;
        (self.orphaned_at, self.wait) = (None, None);
        let right = Differs::Nothing;
        let index = u16::try_from(self.id.index).expect("there are a few hosts");
        self.worker = Some(Worker::new(WorkerConfig {
            identity: right.identity(self.id.group, index),
            key: right.toy_key(),
            session: self.session,
            work: Work::default(),
            programs: 1,
            program_version: Text::default(),
            limits: WorkerLimits::default(),
        }));
    }

    /// What its clock shows at `now`.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        now.offset_by(self.ahead_us())
    }

    /// When the worker wants to be called.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.wait.filter(|_| self.worker.is_some()).map(|at| at.offset_by(-self.ahead_us()))
    }

    /// Every outcome is another one.
    pub(super) fn next_outcome(&mut self, exit: Exit) -> Outcome {
        self.outcomes += 1;
        Outcome {
            exit,
            duration_us: self.outcomes,
            cpu_us: self.id.index as u64,
            max_rss_bytes: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            stderr_tail: Text::default(),
        }
    }

    fn ahead_us(&self) -> i64 {
        1_000_000_000 * (1 + self.id.index as i64)
    }
}
