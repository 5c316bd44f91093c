//! The repetitions of a run, one after another, over one set of hosts.

use super::first_failure::FirstFailure;
use super::pause::Pause;
use super::record::Record;
use super::takeover::{self, Journal, RunState, UnderWay};
use super::together;
use super::unreached::Unreached;
use super::verdict::Verdict;
use super::{Interrupts, Plan, Progress, RunDirectory, RunError, Stage, collect, explain};
use crate::hosts::status_word;
use crate::summary::{RepetitionSummary, Status, Summary};
use crate::units;
use backends::clock;
use backends::hosts::{Hosts, Results};
use backends::layout::Turn;
use backends::tcp::{Coordinators, GroupId, Notice};
use mio::Token;
use russula_proto::coordinator::Event;
use russula_proto::{
    CoordinatorConfig, CoordinatorLimits, Ending, Group, Milestone, Repetition, RepetitionPhase,
};
use serde_json::json;
use std::time::{Duration, Instant};

const INTERRUPT: Token = Token(0);
const ENTER: Token = Token(1);
const FIRST_HOST: Token = Token(16);

/// For the drivers to end once they were told to, on top of the grace that each one gets.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Most hosts that the progress names.
const NAMED_HOSTS_MAX: usize = 4;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// All of it.
    pub summary: Summary,
    /// Whether it is on disk, for the report.
    pub is_written: bool,
    /// See `runner --help`.
    pub exit_code: u8,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub enum Beginning {
    /// At its first repetition.
    New,
    /// Where another process left it that died: its state, and its summary so far.
    Again(Box<(RunState, Summary)>),
}

/// Carries out `plan` over `hosts`, takes the hosts back, and writes the summary.
///
/// # Errors
/// If there is nothing that could be summed up.
pub fn run(
    plan: &Plan,
    hosts: &mut dyn Hosts,
    directory: &RunDirectory,
    progress: &Progress,
    interrupts: Interrupts,
    beginning: Beginning,
) -> Result<Outcome, RunError> {
    let (state, record) = match beginning {
        Beginning::New => (RunState::new(clock::session()), Record::begin(plan, directory)),
        Beginning::Again(left) => {
            let (state, summary) = *left;
            (state.taken_over(&summary), Record::take_over(summary))
        }
    };
    let (first, left) = (state.done + 1, state.under_way.clone());
    let journal = Journal::begin(directory, state)?;
    let mut execution = Execution::begin(plan, hosts, record, journal, progress, interrupts)?;
    directory.write_state("running")?;
    let drivers = u16::try_from(plan.drivers.len()).expect("the drivers are limited by the command line");
    let total = plan.repeat * u32::from(drivers);
    for number in first..=total {
        if execution.is_over() {
            execution.note_early_end(number - 1, total);
            break;
        }
        let left = left.as_ref().filter(|_| number == first);
        execution.repetition(number, Turn::of(number, drivers), left)?;
    }
    let (mut ending, mut record) = execution.end()?;
    if hosts.results() == Results::Fetched {
        progress.phase("collecting results");
        progress.stage(Stage::Collecting);
        let fetched = hosts.fetch(directory.path());
        if fetched.is_interrupted {
            ending.worse(Verdict::interrupted());
        }
        for problem in fetched.problems {
            progress.message(&format!("error: {problem}"));
            ending.worse(Verdict::infrastructure(problem));
        }
        if let Some(missing) = record.complete(plan, hosts, directory) {
            ending.worse(missing);
        }
    }
    progress.phase("taking the hosts back");
    progress.stage(Stage::Releasing);
    for left in hosts.release() {
        progress.message(&format!("error: {left}"));
        ending.worse(Verdict::infrastructure(left));
    }
    progress.clear();
    Ok(record.finish(ending, directory, progress))
}

struct Execution<'a> {
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
}

impl<'a> Execution<'a> {
    fn begin(
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
        })
    }

    /// Without its hosts or a worker, or against the user's wish, a run does not go on.
    fn is_over(&self) -> bool {
        let (servers, clients) = (self.coordinators.get(self.groups.0), self.coordinators.get(self.groups.1));
        self.interrupted || self.host_lost || !Repetition::can_another_follow(servers, clients)
    }

    /// Carries out a repetition, or what is `left` of it by a process that died.
    fn repetition(&mut self, number: u32, turn: Turn, left: Option<&UnderWay>) -> Result<(), RunError> {
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
            match self.coordinators.wait(self.progress.refresh_interval())? {
                Some(Notice::Event(group, event)) => self.handle_event(group, &event, &mut repetition),
                Some(Notice::Ready(token)) => self.handle_ready(token, &mut repetition),
                None => self.progress.refresh(turn, driver, &what),
            }
        }
        self.sum_up(turn, started.elapsed());
        Ok(())
    }

    /// Goes on as far as the groups have come. That is on disk before anybody is told what follows from it.
    fn advance(&mut self, repetition: &mut Repetition) -> Vec<RepetitionPhase> {
        let (journal, hosts, first) = (&mut self.journal, &*self.hosts, &mut self.first_failure);
        let decided = if self.interrupted { Some(Verdict::interrupted()) } else { self.inherited.clone() };
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
                for lost in self.hosts.lost() {
                    self.host_lost = true;
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
    fn note_early_end(&mut self, number: u32, total: u32) {
        if number < total {
            let users_wish = || Verdict::interrupted().error.filter(|_| self.interrupted);
            let reason = self.last_error.take().or_else(users_wish).unwrap_or_default();
            self.verdict.error = Some(format!("ended after {number} of {total} repetitions: {reason}"));
        }
    }

    fn sum_up(&mut self, turn: Turn, duration: Duration) {
        let (servers, clients) = (self.coordinators.get(self.groups.0), self.coordinators.get(self.groups.1));
        let failure = self.first_failure.of(servers, clients);
        let (start, quiet_window) = (together::start(clients), together::quiet_window(servers, clients));
        let mut verdict = match (self.inherited.take(), failure) {
            _ if self.interrupted => Verdict::interrupted(),
            (Some(inherited), _) => inherited,
            (None, None) => together::verdict(self.plan, start.as_ref()).unwrap_or(Verdict::OK),
            (None, Some((group, failure))) => {
                let mut error = explain::explain(self.hosts, group, failure);
                if self.directory.is_on_full_disk() {
                    error.push_str("; there is no room left on the disk of the run directory");
                }
                Verdict { error: Some(error), ..Verdict::of(failure) }
            }
        };
        if verdict.status != Status::Ok {
            collect::repair(self.plan, turn, self.hosts, self.directory);
        }
        let collect = |coordinator| collect::hosts(self.plan, turn, self.hosts, coordinator, self.directory);
        let (servers, clients) = (collect(servers), collect(clients));
        if let Some(error) = collect::missing_result(self.hosts, &servers, &clients)
            && verdict.status == Status::Ok
        {
            verdict = Verdict::infrastructure(error);
        }
        let summary = RepetitionSummary {
            status: verdict.status,
            duration_s: duration.as_secs_f64(),
            error: verdict.error.clone(),
            suspect: together::suspicions(self.plan, start.as_ref(), quiet_window.as_ref()),
            start,
            quiet_window,
            servers,
            clients,
        };
        for reason in &summary.suspect {
            self.progress.message(&format!("suspect: {reason}"));
        }
        let driver = &self.plan.drivers[usize::from(turn.driver)].name;
        let word = status_word(verdict.status);
        self.progress.repetition(
            turn,
            driver,
            &format!("{word} after {}", units::seconds(summary.duration_s)),
        );
        if let (Status::Failed, Some(error)) = (verdict.status, &verdict.error) {
            self.progress.message(&format!("error: {driver}: {error}"));
            self.show_stderr(failure.map(|(group, failure)| (group, failure.worker())));
        }
        self.keep(turn, summary, verdict);
    }

    /// Nobody can say any more what became of a repetition; why is told unless it had ended badly before.
    fn sum_up_lost(&mut self, turn: Turn, reason: &str, duration: Duration) {
        collect::repair(self.plan, turn, self.hosts, self.directory);
        let verdict = self.inherited.take().unwrap_or_else(|| Verdict::infrastructure(reason.to_owned()));
        let driver = &self.plan.drivers[usize::from(turn.driver)].name;
        if let (Status::Failed, Some(error)) = (verdict.status, &verdict.error) {
            self.progress.message(&format!("error: {driver}: {error}"));
        }
        let lost = RepetitionSummary {
            error: verdict.error.clone(),
            ..RepetitionSummary::new(verdict.status, duration.as_secs_f64())
        };
        self.keep(turn, lost, verdict);
    }

    /// The repetition is in the summary from now on, and the run no better than it.
    fn keep(&mut self, turn: Turn, summary: RepetitionSummary, verdict: Verdict) {
        self.directory.event(json!({"event": "over", "status": summary.status, "error": summary.error}));
        self.last_error = verdict.error;
        self.verdict.worse(Verdict { error: None, ..verdict });
        self.journal.judge(self.verdict.clone());
        self.record.add(turn.driver, summary, self.directory);
        self.journal.done();
    }

    /// Shows what the driver to blame wrote to stderr.
    fn show_stderr(&self, blamed: Option<(Group, Option<usize>)>) {
        let Some((group, Some(index))) = blamed else { return };
        let id = if group == Group::Server { self.groups.0 } else { self.groups.1 };
        let peer = self.coordinators.get(id).peer(index);
        let Some(outcome) = peer.ending.and_then(Ending::outcome) else { return };
        for line in outcome.stderr_tail.as_str().lines() {
            self.progress.message(&format!("  stderr: {line}"));
        }
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
    fn end(mut self) -> Result<(Verdict, Record), RunError> {
        if !self.killed {
            self.progress.phase("letting the workers go");
            self.coordinators.finish()?;
            self.name_who_stays();
        }
        Ok((self.verdict, self.record))
    }
}
