//! What holds in every state of the model.

use super::host::{Host, Life, Program};
use super::world::World;
use russula_proto::{Ending, Exit, Group, Stage};
use std::fmt;

/// Something that always holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Each program is started at most once per repetition.
    Once,
    /// No program is started before every worker of its group was ready, and no client before every server runs.
    GroupReady,
    /// No program is started by a worker whose newest goal is not to run.
    Goal,
    /// No server is stopped before every client has ended, unless the repetition has failed.
    ServerOrder,
    /// No group is done before every worker of it is released or given up.
    Released,
    /// The outcome that is known is the one that the worker saw, and success means success.
    Outcome,
    /// Broken connections, and coordinators that are replaced, fail nothing.
    NoHarm,
    /// Nothing that was started outlives the run.
    Outlives,
    /// From every state an end can be reached.
    CanEnd,
    /// No machine panics.
    NoPanic,
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// What was seen instead.
    pub why: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken: {}", self.rule, self.why)
    }
}

impl World {
    /// A program was just started.
    pub(super) fn check_start(&mut self, side: usize, index: usize) {
        let host = &self.sides[side].hosts[index];
        let (starts, is_to_run) = (host.starts, host.is_to_run);
        let is_group_ready = self.sides[side].hosts.iter().all(|host| host.was_ready);
        let is_client = self.sides[side].coordinator.group() == Group::Client;
        let servers = || self.sides.iter().filter(|side| side.coordinator.group() == Group::Server);
        let do_servers_run = servers().flat_map(|side| &side.hosts).all(|host| host.has_run);
        if starts > 1 {
            self.break_rule(Rule::Once, || format!("the program of host {index} is started {starts} times"));
        }
        if !is_group_ready || is_client && !do_servers_run {
            self.break_rule(Rule::GroupReady, || format!("the program of host {index} is started too early"));
        }
        if !is_to_run {
            self.break_rule(Rule::Goal, || format!("host {index} starts a program that nobody wants"));
        }
    }

    /// A program was just told to stop.
    pub(super) fn check_stop(&mut self, side: usize) {
        let is_server = self.sides[side].coordinator.group() == Group::Server;
        let may_fail = self.is_harmed || self.has_failed;
        let clients = self.sides.iter().filter(|side| side.coordinator.group() == Group::Client);
        let does_client_run = clients
            .flat_map(|side| &side.hosts)
            .any(|host| host.program != Program::None || host.starts == 0);
        if is_server && does_client_run && !may_fail {
            self.break_rule(Rule::ServerOrder, || "a server is stopped while a client is to run".into());
        }
    }

    /// A coordinator has just said that its group is done.
    pub(super) fn check_done(&mut self, side: usize) {
        for index in 0..self.sides[side].hosts.len() {
            let view = self.sides[side].coordinator.peer(index);
            let host = &self.sides[side].hosts[index];
            let is_through = view.stage == Stage::Released && host.program == Program::None;
            if !is_through && !view.is_given_up {
                let why = format!("host {index} is at {:?}, its program {:?}", view.stage, host.program);
                self.break_rule(Rule::Released, || why);
            } else if let Err(why) = self.check_outcome(side, index) {
                self.break_rule(Rule::Outcome, || format!("host {index}: {why}"));
            }
        }
        let failure = self.sides[side].coordinator.failure().map(ToString::to_string);
        if let (Some(failure), false) = (failure, self.is_harmed) {
            self.break_rule(Rule::NoHarm, || failure);
        }
    }

    fn check_outcome(&self, side: usize, index: usize) -> Result<(), String> {
        let coordinator = &self.sides[side].coordinator;
        let (view, host) = (coordinator.peer(index), &self.sides[side].hosts[index]);
        let known = view.ending.and_then(Ending::outcome);
        let is_excused = self.has_failed;
        let produced = host.produced.as_ref();
        if known.is_some() && known != produced {
            return Err(format!("it produced {produced:?}, known is {known:?}"));
        }
        // Whoever is given up, or has forgotten, is not asked any more.
        if known.is_none() && produced.is_some() && !host.has_forgotten && !view.is_given_up {
            return Err(format!("it produced {produced:?}, known is {:?}", view.ending));
        }
        let is_success = match (coordinator.group(), view.ending) {
            (Group::Server, Some(Ending::Stopped(_))) => true,
            (Group::Client, Some(Ending::Exited(outcome))) => outcome.exit == Exit::Code(0),
            (Group::Server | Group::Client | Group::Probe, _) => false,
        };
        if is_success || is_excused {
            Ok(())
        } else {
            Err(format!("nothing failed, known is {:?}", view.ending))
        }
    }

    /// After everything that happened.
    pub(super) fn check_state(&mut self) {
        let outlives = |host: &Host| host.program != Program::None && host.life != Life::Up;
        if self.sides.iter().flat_map(|side| &side.hosts).any(outlives) {
            self.break_rule(Rule::Outlives, || "a program has no worker any more".into());
        }
        if self.is_at_end() && self.sides.iter().any(|side| !side.is_done) {
            self.break_rule(Rule::Released, || "the run is over, and a group was never done".into());
        }
    }
}
