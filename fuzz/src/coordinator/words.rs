//! What the coordinator says to its workers.

use super::host::Host;
use russula_proto::wire::{CoordinatorMessage, Goal, Hello, WorkerMessage};
use russula_proto::{CoordinatorConfig, Group, Milestone, Stage, Target};

pub(super) struct Words {
    config: CoordinatorConfig,
    pub(super) repetition: u32,
    program: u16,
    pub(super) till: Option<Milestone>,
    pub(super) is_finishing: bool,
    /// Of each worker's connections.
    last_epochs: Vec<Option<u64>>,
    pub(super) last_question: u32,
}

/// What was said on one connection.
#[derive(Default)]
pub(super) struct Said {
    hello: bool,
    finish: bool,
    goal: Option<Goal>,
    /// The worker has answered.
    pub(super) welcome: bool,
}

impl Words {
    pub(super) fn new(config: &CoordinatorConfig) -> Self {
        Self {
            config: config.clone(),
            repetition: 0,
            program: 0,
            till: None,
            is_finishing: false,
            last_epochs: vec![None; usize::from(config.workers)],
            last_question: 0,
        }
    }

    pub(super) fn begin(&mut self, repetition: u32, program: u16) {
        (self.repetition, self.program) = (repetition, program);
    }

    /// Worker `index` has read `message`.
    pub(super) fn hear(&mut self, index: usize, message: &CoordinatorMessage, hosts: &mut [Host]) {
        let Some(connection) = hosts[index].connection() else { return };
        let (mut said, ticket) = (std::mem::take(&mut connection.said), connection.ticket);
        self.check(index, &mut said, ticket, message, hosts);
        if let Some(connection) = hosts[index].connection() {
            connection.said = said;
        }
    }

    fn check(
        &mut self,
        index: usize,
        said: &mut Said,
        ticket: u64,
        message: &CoordinatorMessage,
        hosts: &[Host],
    ) {
        assert!(!said.finish, "nothing follows the end of the run");
        match message {
            CoordinatorMessage::Hello(hello) => {
                assert!(!std::mem::replace(&mut said.hello, true), "one greeting");
                self.hear_hello(index, hello, ticket);
            }
            CoordinatorMessage::Goal(goal) => {
                assert!(said.welcome, "a worker is welcome to answer first");
                self.hear_goal(said.goal, goal, hosts);
                said.goal = Some(*goal);
            }
            CoordinatorMessage::ReadClock(number) => {
                assert!(said.welcome && self.config.group == Group::Client, "its clock does not matter");
                let target = said.goal.map(|goal| goal.target);
                assert!(target <= Some(Target::Ready), "a clock is read before the start");
                self.last_question = *number;
            }
            CoordinatorMessage::Finish => {
                assert!(said.welcome);
                said.finish = true;
            }
        }
    }

    fn hear_hello(&mut self, index: usize, hello: &Hello, ticket: u64) {
        let last = self.last_epochs[index].replace(hello.epoch);
        let CoordinatorConfig { session, work, incarnation, .. } = self.config;
        assert_eq!((hello.session, hello.ticket, hello.work), (session, ticket, work));
        assert_eq!(hello.epoch >> 32, u64::from(incarnation));
        assert!(last.is_none_or(|last| last < hello.epoch), "every connection is newer than all before");
    }

    fn hear_goal(&self, before: Option<Goal>, goal: &Goal, hosts: &[Host]) {
        assert!(goal.repetition <= self.repetition);
        let goes_on = |before: Goal| (before.repetition, before.target) <= (goal.repetition, goal.target);
        assert!(before.is_none_or(goes_on), "from {before:?} back to {goal:?}");
        if goal.repetition < self.repetition {
            return;
        }
        assert_eq!(goal.program, self.program);
        // A probed worker has nothing that runs.
        if goal.target == Target::Run && self.config.group != Group::Probe {
            assert!(self.till >= Some(Milestone::WorkersRunning), "the user does not want to run");
            assert!(hosts.iter().all(|host| host.was_ready), "it starts before all are ready");
            let has_instant = self.config.group == Group::Client && self.config.limits.clock_exchanges > 0;
            assert_eq!(goal.start_at.is_some(), has_instant, "clients start together");
        } else {
            assert_eq!(goal.start_at, None);
        }
    }

    /// Messages of a worker arrive at the coordinator.
    pub(super) fn arrive(&self, messages: &[WorkerMessage], host: &mut Host, repetition: u32) {
        for message in messages {
            if let WorkerMessage::Report(report) = message
                && report.repetition == repetition
                && report.position.stage() >= Stage::Ready
            {
                host.was_ready = true;
            }
            if let WorkerMessage::Welcome(_) = message
                && let Some(connection) = host.connection()
            {
                connection.said.welcome = true;
            }
        }
    }
}

/// The state in which every workflow begins.
pub(super) fn first_state() -> String {
    "CheckWorker".into()
}
