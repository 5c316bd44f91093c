//! One repetition after another over one set of hosts.

mod sum_up;

use super::first_failure::FirstFailure;
use super::pause::Pause;
use super::record::Record;
use super::takeover::{self, Journal, RunState, UnderWay};
use super::unreached::Unreached;
use super::verdict::Verdict;
use super::{Interrupts, Plan, Progress, RunDirectory, RunError, explain};
use crate::summary::Status;
use backends::hosts::Hosts;
use backends::layout::Turn;
use backends::tcp::{Coordinators, GroupId, Notice};
use mio::Token;
use russula_proto::coordinator::Event;
use russula_proto::{CoordinatorConfig, CoordinatorLimits, Group, Milestone, Repetition, RepetitionPhase};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};

const INTERRUPT: Token = Token(0);
const ENTER: Token = Token(1);
const FIRST_HOST: Token = Token(16);

/// For the drivers to end once they were told to, on top of the grace that each one gets.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Most hosts that the progress names.
const NAMED_HOSTS_MAX: usize = 4;

/// What the repetitions of a run share.
pub(super) struct Execution<'a> {
    plan: &'a Plan,
    hosts: &'a mut dyn Hosts,
    directory: &'a RunDirectory,
    progress: &'a Progress,
    interrupts: Interrupts,
    pause: Pause,
    coordinators: Coordinators,
    groups: (GroupId, GroupId),
    unreached: Unreached,
    record: Record,
    journal: Journal<'a>,
    verdict: Verdict,
    /// Of the last repetition.
    last_error: Option<String>,
    /// How the repetition under way had ended before this process took it over.
    inherited: Option<Verdict>,
    first_failure: FirstFailure,
    interrupted: bool,
    /// Everything was ended by force; there is nobody to talk to any more.
    killed: bool,
    host_lost: bool,
    /// The hosts are about to end by themselves.
    is_out_of_time: bool,
    /// The workers listen to another orchestrator, which came later.
    is_superseded: bool,
    longest_repetition: Duration,
}

impl<'a> Execution<'a> {
    pub(super) fn begin(
        plan: &'a Plan,
        hosts: &'a mut dyn Hosts,
        record: Record,
        journal: Journal<'a>,
        progress: &'a Progress,
        mut interrupts: Interrupts,
    ) -> Result<Self, RunError> {
        let mut coordinators = Coordinators::new()?;
        coordinators.register(&mut interrupts.source, INTERRUPT)?;
        let pause = Pause::new(plan.pause, &mut coordinators, ENTER)?;
        if plan.pause && !pause.is_on() {
            progress.message("Stdin is a file: nobody can press Enter, so there is no pause.");
        }
        hosts.watch(&mut coordinators, FIRST_HOST)?;
        let RunState { session, incarnation, .. } = journal.state;
        let mut add = |group| {
            let addresses: Vec<_> = hosts.group(group).iter().map(|host| host.control).collect();
            let config = CoordinatorConfig {
                run: plan.run.clone(),
                group,
                workers: u16::try_from(addresses.len()).expect("the hosts are limited by the scenario"),
                limits: CoordinatorLimits {
                    ready: plan.ready_timeout,
                    run: plan.timeout,
                    stop: STOP_LIMIT,
                    ..CoordinatorLimits::default()
                },
                key: plan.key.clone(),
                session,
                incarnation,
                work: Some(plan.work),
            };
            coordinators.add(config, addresses)
        };
        let groups = (add(Group::Server), add(Group::Client));
        Ok(Self {
            plan,
            hosts,
            directory: journal.directory,
            progress,
            interrupts,
            pause,
            coordinators,
            groups,
            unreached: Unreached::default(),
            record,
            verdict: journal.state.verdict.clone(),
            last_error: None,
            inherited: None,
            first_failure: FirstFailure::default(),
            interrupted: journal.state.verdict.status == Status::Interrupted,
            journal,
            killed: false,
            host_lost: false,
            is_out_of_time: false,
            is_superseded: false,
            longest_repetition: Duration::ZERO,
        })
    }

    /// Without its hosts or a worker, or against the user's wish, a run does not go on.
    pub(super) fn is_over(&mut self) -> bool {
        self.is_out_of_time |= self.time_left().is_some_and(|left| left <= self.longest_repetition);
        let (servers, clients) = (self.coordinators.get(self.groups.0), self.coordinators.get(self.groups.1));
        self.interrupted
            || self.host_lost
            || self.is_out_of_time
            || self.is_superseded
            || !Repetition::can_another_follow(servers, clients)
    }

    /// Until repetitions have to be over; for ever if that is none.
    fn time_left(&self) -> Option<Duration> {
        let over_by = self.plan.over_by?;
        Some(over_by.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Whether another orchestrator drives the workers: they and their hosts are not this one's any more.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// Carries out a repetition, or what is `left` of it by a process that died.
    pub(super) fn repetition(
        &mut self,
        number: u32,
        turn: Turn,
        left: Option<&UnderWay>,
    ) -> Result<(), RunError> {
        let mut started = Instant::now();
        let driver = self.plan.drivers[usize::from(turn.driver)].name.as_str();
        self.directory.event(json!({
            "event": "repetition", "number": number, "driver": driver, "round": turn.round,
            "taken_over": left.is_some(),
        }));
        self.first_failure = FirstFailure::default();
        self.inherited = left.and_then(|left| left.failure.clone());
        self.interrupted |= self.inherited.as_ref().is_some_and(|left| left.status == Status::Interrupted);
        let begin = |servers: &mut _, clients: &mut _, now| match left {
            None => Repetition::begin(number, turn.driver, servers, clients, now),
            Some(left) => Repetition::take_over(number, turn.driver, &left.takeover, servers, clients, now),
        };
        if let Some(left) = left {
            self.progress.message(&format!("Taking over repetition {number} of {driver}."));
            started = takeover::moment_of(&left.started).unwrap_or(started);
            if !self.hosts.outlive_the_orchestrator() {
                let lost = "the orchestrator died, and with it the workers on its machine and what they ran";
                self.sum_up_lost(turn, lost, started.elapsed());
                return Ok(());
            }
        }
        let mut repetition = self.coordinators.with_both(self.groups, begin);
        self.pause.begin();
        // Who has begun to stop the servers has had the user's word for it.
        let is_past_pause = left.is_some_and(|left| left.takeover.phase > RepetitionPhase::RunningClients);
        repetition.hold_servers(self.pause.is_on() && !is_past_pause);
        let mut what = self.describe(repetition.phase()).unwrap_or_default();
        self.progress.repetition_stage(turn, driver, repetition.phase());
        self.progress.repetition(turn, driver, &what);
        loop {
            for phase in self.advance(&mut repetition) {
                self.directory.event(json!({"event": "phase", "phase": format!("{phase:?}")}));
                self.progress.repetition_stage(turn, driver, phase);
                if let Some(text) = self.describe(phase) {
                    what = text;
                    self.progress.repetition(turn, driver, &what);
                }
            }
            if repetition.phase() == RepetitionPhase::Over || self.killed {
                break;
            }
            let time_left = self.time_left().filter(|_| !self.is_out_of_time);
            let patience = [self.progress.refresh_interval(), time_left].into_iter().flatten().min();
            match self.coordinators.wait(patience)? {
                Some(Notice::Event(group, event)) => self.handle_event(group, &event, &mut repetition),
                Some(Notice::Ready(token)) => self.handle_ready(token, &mut repetition),
                None if time_left.is_some_and(|left| left.is_zero()) => {
                    self.is_out_of_time = true;
                    repetition.give_up();
                }
                None => self.progress.refresh(turn, driver, &what),
            }
        }
        if left.is_none() {
            // That of one that was taken over contains the time in which nobody drove it.
            self.longest_repetition = self.longest_repetition.max(started.elapsed());
        }
        self.sum_up(turn, started.elapsed());
        Ok(())
    }

    /// Goes on as far as the groups have come. That is on disk before anybody is told what follows from it.
    fn advance(&mut self, repetition: &mut Repetition) -> Vec<RepetitionPhase> {
        let (journal, hosts, first) = (&mut self.journal, &*self.hosts, &mut self.first_failure);
        let decided = if self.interrupted {
            Some(Verdict::interrupted())
        } else {
            self.inherited.clone().or_else(|| self.is_out_of_time.then(Verdict::out_of_time))
        };
        self.coordinators.with_both(self.groups, |servers, clients, now| {
            let phases: Vec<_> = repetition.advance(servers, clients, now).collect();
            let failed = first.of(servers, clients);
            let verdict = |(group, failure)| Verdict {
                error: Some(explain::explain(hosts, group, failure)),
                ..Verdict::of(failure)
            };
            let failure = decided.or_else(|| failed.map(verdict));
            if !phases.is_empty() || journal.is_behind(failure.as_ref()) {
                journal.note(repetition.takeover(servers, clients), failure);
            }
            phases
        })
    }

    fn handle_event(&mut self, group: GroupId, event: &Event, repetition: &mut Repetition) {
        let name = self.coordinators.get(group).group().name();
        let text = match event {
            Event::Failed(failure) => failure.to_string(),
            Event::State { to, .. } => format!("coordinator {to}"),
            Event::Connected(index) => format!("worker {index} connected"),
            Event::Disconnected(index, error) => format!("worker {index} disconnected: {error}"),
            Event::Worker(index, stage) => format!("worker {index} {stage:?}"),
            Event::Reached(milestone) => format!("reached {milestone}"),
            Event::Finished => "finished".to_owned(),
        };
        match event {
            Event::Worker(..) => tracing::debug!("{name}s: {text}"),
            Event::Failed(_)
            | Event::State { .. }
            | Event::Connected(_)
            | Event::Disconnected(..)
            | Event::Reached(_)
            | Event::Finished => tracing::info!("{name}s: {text}"),
        }
        self.directory.event(json!({"event": "group", "group": name, "what": text}));
        let kind = self.coordinators.get(group).group();
        if let Some(text) = self.unreached.handle_event(self.hosts, kind, event) {
            self.progress.message(&text);
        }
        let clients_done = group == self.groups.1 && *event == Event::Reached(Milestone::Done);
        if clients_done && self.pause.is_on() && repetition.phase() == RepetitionPhase::RunningClients {
            self.pause.ask();
            self.progress.message("The clients are done. Press Enter to stop the servers.");
        }
    }

    fn handle_ready(&mut self, token: Token, repetition: &mut Repetition) {
        match token {
            INTERRUPT => match self.interrupts.count() {
                0 => {}
                1 => {
                    self.progress.message("Interrupted: stopping what runs. Once more to kill it.");
                    self.interrupted = true;
                    repetition.give_up();
                }
                2.. => self.kill_everything(),
            },
            ENTER => {
                if self.pause.handle_ready() {
                    repetition.hold_servers(false);
                }
            }
            Token(_) => {
                let is_near_its_end = self.time_left().is_some_and(|left| left.is_zero());
                for mut lost in self.hosts.lost() {
                    self.host_lost = true;
                    if is_near_its_end {
                        lost.reason.push_str(", near its time limit (--ttl)");
                    }
                    let group = if lost.group == Group::Server { self.groups.0 } else { self.groups.1 };
                    self.coordinators.with(group, |coordinator, now| {
                        coordinator.handle_host_lost(lost.index, &lost.reason, now);
                    });
                }
            }
        }
    }

    /// The user has no patience left: ends the workers by force, and with them their drivers.
    fn kill_everything(&mut self) {
        self.progress.message("Interrupted again: killing what is left.");
        (self.interrupted, self.killed) = (true, true);
        let left = self.hosts.destroy();
        if left.is_empty() {
            self.progress.message("Nothing is left running.");
        }
        for left in left {
            self.progress.message(&format!("left: {left}"));
        }
    }

    /// Says in the summary why not every repetition has had its turn.
    pub(super) fn note_early_end(&mut self, number: u32, total: u32) {
        if number < total {
            let decided = if self.interrupted {
                Some(Verdict::interrupted())
            } else {
                self.is_out_of_time.then(Verdict::out_of_time)
            };
            let reason = self.last_error.take();
            let reason = reason.or_else(|| decided.as_ref()?.error.clone()).unwrap_or_default();
            self.verdict.worse(decided.unwrap_or(Verdict::OK));
            self.verdict.error = Some(format!("ended after {number} of {total} repetitions: {reason}"));
        }
    }

    /// The connections cannot be served any more, so no repetition can follow.
    pub(super) fn note_broken(&mut self, error: &RunError) {
        self.killed = true;
        self.progress.message(&format!("error: {error}"));
        self.verdict.worse(Verdict::infrastructure(error.to_string()));
    }

    /// What to say of a phase; of the last one, the outcome says more.
    fn describe(&self, phase: RepetitionPhase) -> Option<String> {
        let (what, group) = match phase {
            RepetitionPhase::Preparing => return Some("preparing".to_owned()),
            RepetitionPhase::StartingServers => ("starting servers", Group::Server),
            RepetitionPhase::RunningClients => ("running clients", Group::Client),
            RepetitionPhase::StoppingClients => ("stopping clients", Group::Client),
            RepetitionPhase::StoppingServers => ("stopping servers", Group::Server),
            RepetitionPhase::Over => return None,
        };
        let hosts = self.hosts.group(group);
        let mut names: Vec<String> =
            hosts.iter().take(NAMED_HOSTS_MAX).map(|host| host.address.to_string()).collect();
        if hosts.len() > NAMED_HOSTS_MAX {
            names.push("...".to_owned());
        }
        Some(format!("{what} ({}): {}", hosts.len(), names.join(" ")))
    }

    /// Says which workers could not be told that the run is over, where nobody else ends them.
    fn name_who_stays(&self) {
        if !self.hosts.outlive_the_orchestrator() {
            return;
        }
        for group in [self.groups.0, self.groups.1] {
            let coordinator = self.coordinators.get(group);
            let kind = coordinator.group();
            for (host, worker) in self.hosts.group(kind).iter().zip(coordinator.peers()) {
                if worker.welcome.is_some() && !worker.has_left {
                    self.progress.message(&format!(
                        "{kind} {}: it has not confirmed that the run is over; unless it has ended, it stops its driver \
                         and ends after its --orphan-timeout",
                        host.address
                    ));
                }
            }
        }
    }

    /// Lets the workers go.
    pub(super) fn end(mut self) -> (Verdict, Record) {
        if !self.killed && !self.is_superseded {
            self.progress.phase("letting the workers go");
            match self.coordinators.finish() {
                Ok(()) => self.name_who_stays(),
                Err(error) => self.note_broken(&error.into()),
            }
        }
        (self.verdict, self.record)
    }
}
