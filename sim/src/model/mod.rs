//! A small model of what a run may show: simulation and fuzzing hold the real machines against it.
//!
//! It knows no connection, no message and no deadline. It is told every [`Observation`] in order, and says of
//! each whether it may follow what was seen before:
//!
//! ```text
//! a program     none -> starting -> running -> none         once per repetition
//! a group       nothing -> ready -> workers running -> done what was heard of its workers allows it
//! a repetition  the phases in order, each when the groups allow it
//! ```

mod host;
mod observation;

use host::HostModel;
use russula_proto::{Group, Milestone, RepetitionPhase, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use observation::{End, HostId, Observation};

/// Something was seen that may not follow what was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The rule that it breaks.
    pub rule: &'static str,
    /// What was seen.
    pub seen: Observation,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, but {}", self.seen, self.rule)
    }
}

/// What was seen of a run so far, as far as it decides about what may follow.
#[derive(Clone, Debug)]
pub struct Model {
    repetition: u32,
    phase: RepetitionPhase,
    /// It was interrupted, or has failed.
    has_failed: bool,
    run_ended: bool,
    hosts: BTreeMap<HostId, HostModel>,
    servers: GroupModel,
    clients: GroupModel,
    /// Repetitions in which every server ran.
    served: BTreeSet<u32>,
}

#[derive(Clone, Debug, Default)]
struct GroupModel {
    reached: Option<Milestone>,
    has_failed: bool,
    is_finished: bool,
}

impl Model {
    /// A run over these hosts, before anything was seen of it.
    pub fn new(hosts: impl IntoIterator<Item = HostId>) -> Self {
        Self {
            repetition: 0,
            phase: RepetitionPhase::Over,
            has_failed: false,
            run_ended: false,
            hosts: hosts.into_iter().map(|host| (host, HostModel::default())).collect(),
            servers: GroupModel::default(),
            clients: GroupModel::default(),
            served: BTreeSet::new(),
        }
    }

    /// Takes note of what was seen.
    ///
    /// # Errors
    /// If it may not follow what was seen before; nothing that comes later has a meaning then.
    pub fn observe(&mut self, seen: &Observation) -> Result<(), Forbidden> {
        match self.rule_broken_by(seen) {
            None => Ok(()),
            Some(rule) => Err(Forbidden { rule, seen: seen.clone() }),
        }
    }

    /// What a run must show before it is over.
    ///
    /// # Errors
    /// What is missing, or left.
    pub fn end(&self) -> Result<(), String> {
        if let Some((host, _)) = self.hosts.iter().find(|(_, model)| model.is_program_alive()) {
            return Err(format!("the program of {host} is left"));
        }
        let groups = [(Group::Server, &self.servers), (Group::Client, &self.clients)];
        match groups.into_iter().find(|(_, model)| self.run_ended && !model.is_finished) {
            Some((group, _)) => Err(format!("the {group}s' coordinator has not finished")),
            None => Ok(()),
        }
    }

    fn rule_broken_by(&mut self, seen: &Observation) -> Option<&'static str> {
        match seen {
            Observation::Begun(number) => self.begin(*number),
            Observation::GivenUp => {
                self.has_failed = true;
                None
            }
            Observation::CoordinatorsGone => {
                self.forget();
                None
            }
            Observation::RunEnded => {
                self.run_ended = true;
                None
            }
            Observation::Started(host, repetition) => self.start(*host, *repetition),
            Observation::Running(host) => self.run(*host),
            Observation::Terminated(host) => self.terminate(*host),
            Observation::StartFailed(host) => self.host(host).start_failed(),
            Observation::Ended(host, outcome) => self.host(host).ended(outcome),
            Observation::WorkerUp(host) => self.host(host).worker_up(),
            Observation::WorkerKilled(host) => self.host(host).worker_killed(),
            Observation::WorkerEnded(host) => self.host(host).worker_ended(),
            Observation::ShutDown(host) => self.host(host).shut_down(),
            Observation::TakenOver(host) => self.host(host).taken_over(),
            Observation::Heard(host, stage) => {
                let repetition = self.repetition;
                self.host(host).heard(*stage, repetition)
            }
            Observation::Learnt(host, ending) => {
                let repetition = self.repetition;
                self.host(host).learnt(ending, repetition)
            }
            Observation::Dismissed(host) => {
                self.host(host).is_dismissed = true;
                None
            }
            Observation::Reached(group, milestone) => self.reach(*group, *milestone),
            Observation::Failed(group, _) => self.fail(*group),
            Observation::Finished(group) => self.finish(*group),
            Observation::Phase(phase) => self.enter(*phase),
            Observation::Disturbed(_) | Observation::Sent(..) | Observation::Arrived(..) => None,
        }
    }

    // --- what the user does ---

    fn begin(&mut self, number: u32) -> Option<&'static str> {
        if self.phase != RepetitionPhase::Over {
            return Some("the repetition before is not over");
        }
        if number <= self.repetition {
            return Some("repetitions grow");
        }
        self.repetition = number;
        self.phase = RepetitionPhase::Preparing;
        self.has_failed = false;
        self.forget();
        None
    }

    /// What was heard counts no more: a new repetition has begun, or another process hears it all again.
    fn forget(&mut self) {
        (self.servers, self.clients) = (GroupModel::default(), GroupModel::default());
        self.hosts.values_mut().for_each(HostModel::begin);
    }

    // --- programs ---

    fn start(&mut self, host: HostId, repetition: u32) -> Option<&'static str> {
        if repetition > self.repetition {
            return Some("that repetition was not begun");
        }
        if host.group == Group::Client && !self.served.contains(&repetition) {
            return Some("no client starts before every server of its repetition runs");
        }
        let is_done = self.group(host.group).reached == Some(Milestone::Done);
        if !self.host(&host).is_dismissed && (self.run_ended || is_done || repetition < self.repetition) {
            return Some("its repetition is over");
        }
        self.host(&host).start(repetition)
    }

    fn run(&mut self, host: HostId) -> Option<&'static str> {
        let broken = self.host(&host).run();
        let repetition = self.repetition;
        let mut servers = self.hosts.iter().filter(|(host, _)| host.group == Group::Server);
        if servers.all(|(_, server)| server.ran_in == repetition) {
            self.served.insert(repetition);
        }
        broken
    }

    fn terminate(&mut self, host: HostId) -> Option<&'static str> {
        let repetition = self.repetition;
        let must_go_on = !self.has_failed && !self.run_ended && !self.host(&host).may_stop(repetition);
        let mut clients = self.hosts.iter().filter(|(host, _)| host.group == Group::Client);
        let clients_ended = clients.all(|(_, client)| client.ended_in == repetition);
        if must_go_on && host.group == Group::Client {
            return Some("no client is stopped unless the repetition has failed");
        }
        if must_go_on && !clients_ended {
            return Some(
                "no server is stopped before every client has ended, unless the repetition has failed",
            );
        }
        self.host(&host).terminate()
    }

    // --- groups ---

    fn reach(&mut self, group: Group, milestone: Milestone) -> Option<&'static str> {
        let failed = self.has_failed;
        let repetition = self.repetition;
        let mut hosts = self.hosts.iter().filter(|(host, _)| host.group == group).map(|(_, model)| model);
        let allowed = match milestone {
            Milestone::Ready => hosts.all(|host| host.heard >= Stage::Ready),
            Milestone::WorkersRunning => hosts.all(|host| host.heard >= Stage::Running),
            Milestone::Done => hosts.all(|host| {
                let never_started = failed && host.started_in < repetition;
                host.heard >= Stage::Ended || host.is_dismissed || never_started
            }),
        };
        let model = self.group(group);
        if model.reached >= Some(milestone) {
            return Some("a milestone is reached once, and in order");
        }
        model.reached = Some(milestone);
        (!allowed).then_some("not every worker of the group was heard to be there")
    }

    fn fail(&mut self, group: Group) -> Option<&'static str> {
        let model = self.group(group);
        if model.reached == Some(Milestone::Done) {
            return Some("the repetition is done");
        }
        let failed_before = std::mem::replace(&mut model.has_failed, true);
        self.has_failed = true;
        failed_before.then_some("a repetition fails once")
    }

    fn finish(&mut self, group: Group) -> Option<&'static str> {
        if !self.run_ended {
            return Some("the run goes on");
        }
        let finished_before = std::mem::replace(&mut self.group(group).is_finished, true);
        finished_before.then_some("a coordinator finishes once")
    }

    fn enter(&mut self, phase: RepetitionPhase) -> Option<&'static str> {
        if phase <= self.phase {
            return Some("a repetition only goes forward");
        }
        self.phase = phase;
        let (servers, clients) = (self.servers.reached, self.clients.reached);
        let allowed = match phase {
            RepetitionPhase::Preparing => false,
            RepetitionPhase::StartingServers => servers.is_some() && clients.is_some(),
            RepetitionPhase::RunningClients => servers >= Some(Milestone::WorkersRunning),
            RepetitionPhase::StoppingClients => self.has_failed,
            RepetitionPhase::StoppingServers => clients == Some(Milestone::Done),
            RepetitionPhase::Over => servers == Some(Milestone::Done) && clients == servers,
        };
        (!allowed).then_some("the groups are not there yet")
    }

    fn group(&mut self, group: Group) -> &mut GroupModel {
        match group {
            Group::Client => &mut self.clients,
            Group::Server | Group::Probe => &mut self.servers,
        }
    }

    fn host(&mut self, host: &HostId) -> &mut HostModel {
        self.hosts.entry(*host).or_default()
    }
}

#[cfg(test)]
mod tests;
