//! A world in memory for the state machines: coordinators, workers, their programs, a network, virtual time.
//!
//! [`World::step`] jumps to the next event or deadline, so that an hour of waiting takes no time. Whatever a
//! machine says is appended to a log for people ([`World::log`]) and to a history for checks
//! ([`World::history`]). After every input the world also checks the caller's contract itself: `Wait` is
//! repeated, an early `handle_timeout` does nothing, queues stay within their limits, and bytes that wait
//! were announced by a `Transmit`.
#![allow(dead_code, reason = "each test file uses its own part of the harness")]

mod drain;
mod host;
mod log;
mod network;
mod random;

use russula_proto::{
    Coordinator, CoordinatorConfig, CoordinatorLimits, Failure, Group, Milestone, Repetition,
    RepetitionPhase, Timestamp, Worker, WorkerLimits, coordinator,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use host::{Host, Script, Starts};
pub(crate) use log::{Entry, Fact, Kind};
use network::{Happening, Wire, WireId};
pub(crate) use network::{NetworkOptions, Split};
pub(crate) use random::Random;

/// Steps at one moment before the world says that the machines never come to rest.
const STEPS_WITHOUT_TIME_MAX: usize = 100_000;

/// A host by its group and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostId {
    pub(crate) group: Group,
    pub(crate) index: usize,
}

impl std::fmt::Display for HostId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group, self.index)
    }
}

/// What a group is made of.
#[derive(Clone, Debug)]
pub(crate) struct GroupOptions {
    pub(crate) workers: u16,
    pub(crate) programs: u16,
    pub(crate) run: String,
    pub(crate) version: String,
    pub(crate) coordinator: CoordinatorLimits,
    pub(crate) worker: WorkerLimits,
}

impl GroupOptions {
    pub(crate) fn of(workers: u16) -> Self {
        Self {
            workers,
            programs: 1,
            run: "demo".into(),
            version: "1.0".into(),
            coordinator: CoordinatorLimits::default(),
            worker: WorkerLimits::default(),
        }
    }
}

/// One coordinator and the hosts of its group.
pub(crate) struct Side {
    pub(crate) coordinator: Coordinator,
    pub(crate) hosts: Vec<Host>,
    /// The newest connection to each host, as long as the coordinator has not closed it.
    dials: Vec<Option<WireId>>,
    wait: Option<Timestamp>,
    /// Whether the coordinator may have something to say.
    is_touched: bool,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) network: NetworkOptions,
    pub(crate) log: Vec<Entry>,
    pub(crate) history: Vec<(Timestamp, Fact)>,
    pub(crate) random: Random,
    /// How often each input that may be repeated is passed on.
    pub(crate) times: usize,
    sides: BTreeMap<Group, Side>,
    repetition: Option<Repetition>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
    wires: Vec<Wire>,
    held: Vec<Happening>,
    steps_without_time: usize,
}

impl World {
    /// A world without hosts; `seed` decides about the splits and the latencies that are drawn by lot.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::ZERO,
            network: NetworkOptions::default(),
            log: vec![],
            history: vec![],
            random: Random::new(seed),
            times: 1,
            sides: BTreeMap::new(),
            repetition: None,
            queue: BTreeMap::new(),
            sequence: 0,
            wires: vec![],
            held: vec![],
            steps_without_time: 0,
        }
    }

    /// Adds a coordinator and the workers of its group; it dials them at once.
    pub(crate) fn add_group(&mut self, group: Group, options: &GroupOptions) {
        let hosts = (0..options.workers).map(|index| Host::new(group, index, options)).collect();
        let config = CoordinatorConfig {
            run: options.run.parse().expect("a test's run id is valid"),
            group,
            workers: options.workers,
            limits: options.coordinator,
            session: 1,
            work: None,
        };
        let coordinator = Coordinator::new(config, self.now);
        let dials = vec![None; usize::from(options.workers)];
        self.sides.insert(group, Side { coordinator, hosts, dials, wait: None, is_touched: true });
    }

    // --- what is there ---

    pub(crate) fn coordinator(&self, group: Group) -> &Coordinator {
        &self.side(group).coordinator
    }

    pub(crate) fn host(&mut self, id: HostId) -> &mut Host {
        let side = self.sides.get_mut(&id.group).expect("the test has added this group");
        let host = &mut side.hosts[id.index];
        host.is_touched = true;
        host
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.sides.values().flat_map(|side| &side.hosts)
    }

    pub(crate) fn phase(&self) -> Option<RepetitionPhase> {
        self.repetition.as_ref().map(Repetition::phase)
    }

    /// The first failure of the repetition, of whichever group.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.sides.values().find_map(|side| side.coordinator.failure())
    }

    fn side(&self, group: Group) -> &Side {
        self.sides.get(&group).expect("the test has added this group")
    }

    fn side_mut(&mut self, group: Group) -> &mut Side {
        let side = self.sides.get_mut(&group).expect("the test has added this group");
        side.is_touched = true;
        side
    }

    // --- what the user does ---

    /// Anything with one coordinator.
    pub(crate) fn with_coordinator(&mut self, group: Group, act: impl Fn(&mut Coordinator, Timestamp)) {
        self.tell_coordinator(group, act);
        self.settle();
    }

    /// Passes an input that may be repeated to a coordinator, so often as the test wants.
    fn tell_coordinator(&mut self, group: Group, act: impl Fn(&mut Coordinator, Timestamp)) {
        let now = self.now;
        for _ in 0..self.times {
            act(&mut self.side_mut(group).coordinator, now);
            self.drain_coordinator(group);
        }
    }

    /// Passes an input that may be repeated to a worker, if there is one.
    fn tell_worker(&mut self, id: HostId, act: impl Fn(&mut Worker, Timestamp)) {
        let now = self.now;
        for _ in 0..self.times {
            if let Some(worker) = &mut self.host(id).worker {
                act(worker, now);
            }
            self.drain_worker(id);
        }
    }

    /// Begins a repetition over the servers and the clients.
    pub(crate) fn begin_repetition(&mut self, number: u32, program: u16) {
        let now = self.now;
        let (mut servers, mut clients) = self.take_both_groups();
        let repetition =
            Repetition::begin(number, program, &mut servers.coordinator, &mut clients.coordinator, now);
        (servers.is_touched, clients.is_touched) = (true, true);
        self.put_back(servers, clients);
        self.repetition = Some(repetition);
        self.settle();
    }

    /// The user interrupts the repetition.
    pub(crate) fn give_up(&mut self) {
        for _ in 0..self.times {
            self.repetition.as_mut().expect("a repetition has begun").give_up();
            self.settle();
        }
    }

    /// The user wants the servers to go on after the clients are done, or not any more.
    pub(crate) fn hold_servers(&mut self, hold: bool) {
        self.repetition.as_mut().expect("a repetition has begun").hold_servers(hold);
        self.settle();
    }

    /// The host says out of band that it will not come back.
    pub(crate) fn lose_host(&mut self, id: HostId, reason: &str) {
        self.with_coordinator(id.group, |c, now| c.handle_host_lost(id.index, reason, now));
    }

    /// The host tells its worker to end.
    pub(crate) fn shut_down(&mut self, id: HostId) {
        self.tell_worker(id, |worker, now| worker.handle_shutdown(now));
        self.settle();
    }

    // --- time ---

    /// Jumps to the next event or deadline and lets it happen; `false` if there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let Some(at) = self.next_moment() else { return false };
        self.steps_without_time = if at > self.now { 0 } else { self.steps_without_time + 1 };
        assert!(
            self.steps_without_time < STEPS_WITHOUT_TIME_MAX,
            "no rest at {}:\n{}",
            self.now,
            self.text()
        );
        self.now = self.now.max(at);
        match self.queue.first_entry().filter(|event| event.key().0 <= self.now) {
            Some(event) => {
                let happening = event.remove();
                self.happen(happening);
            }
            None => self.time_out(),
        }
        self.settle();
        true
    }

    /// Steps until `done` holds; `false` if it does not within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.settle();
        while !done(self) {
            if self.next_moment().is_none_or(|at| at > end) {
                self.now = end;
                return false;
            }
            self.step();
        }
        true
    }

    /// Steps as long as something is under way, deadlines apart.
    pub(crate) fn run_until_idle(&mut self) {
        self.settle();
        while !self.queue.is_empty() {
            self.step();
        }
    }

    /// Steps through `duration` and ends at its end.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(duration, |_| false);
        self.now = end;
        self.settle();
    }

    /// When the next event or deadline is.
    pub(crate) fn next_moment(&self) -> Option<Timestamp> {
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        let coordinators = self.sides.values().map(|side| side.wait);
        let workers = self.hosts().map(|host| host.wait);
        coordinators.chain(workers).flatten().chain(event).min()
    }

    fn time_out(&mut self) {
        let now = self.now;
        let is_due = |wait: Option<Timestamp>| wait.is_some_and(|at| at <= now);
        let sides = self.sides.iter().filter(|(_, side)| is_due(side.wait));
        let groups: Vec<Group> = sides.map(|(group, _)| *group).collect();
        let hosts: Vec<HostId> = self.hosts().filter(|host| is_due(host.wait)).map(|host| host.id).collect();
        for group in groups {
            self.tell_coordinator(group, |coordinator, now| coordinator.handle_timeout(now));
        }
        for id in hosts {
            self.tell_worker(id, |worker, now| worker.handle_timeout(now));
        }
    }

    fn schedule(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), happening);
    }

    // --- rest ---

    /// Drains every machine and takes the repetition as far as it goes.
    fn settle(&mut self) {
        loop {
            let groups: Vec<Group> = self.sides.keys().copied().collect();
            for group in groups {
                self.drain_group(group);
            }
            if !self.advance() {
                return;
            }
        }
    }

    fn advance(&mut self) -> bool {
        let Some(mut repetition) = self.repetition.take() else { return false };
        let now = self.now;
        let (mut servers, mut clients) = self.take_both_groups();
        let phases: Vec<RepetitionPhase> =
            repetition.advance(&mut servers.coordinator, &mut clients.coordinator, now).collect();
        (servers.is_touched, clients.is_touched) = (!phases.is_empty(), !phases.is_empty());
        self.put_back(servers, clients);
        self.repetition = Some(repetition);
        for phase in &phases {
            self.note(Fact::Phase(*phase));
            self.say("repetition", Kind::Event, format!("{phase:?}"));
        }
        !phases.is_empty()
    }

    fn take_both_groups(&mut self) -> (Side, Side) {
        let mut take = |group| self.sides.remove(&group).expect("a repetition has servers and clients");
        (take(Group::Server), take(Group::Client))
    }

    fn put_back(&mut self, servers: Side, clients: Side) {
        self.sides.insert(Group::Server, servers);
        self.sides.insert(Group::Client, clients);
    }

    // --- log ---

    fn note(&mut self, fact: Fact) {
        self.history.push((self.now, fact));
    }

    fn say(&mut self, who: impl ToString, kind: Kind, text: String) {
        self.log.push(Entry { at: self.now, who: who.to_string(), kind, text });
    }

    /// The whole log as text.
    pub(crate) fn text(&self) -> String {
        self.log.iter().map(|entry| format!("{entry}\n")).collect()
    }

    fn note_event(&mut self, group: Group, event: &coordinator::Event) {
        match event {
            coordinator::Event::Worker(index, stage) => {
                self.note(Fact::Heard(HostId { group, index: *index }, *stage));
            }
            coordinator::Event::Reached(milestone) => self.note(Fact::Reached(group, *milestone)),
            coordinator::Event::Failed(failure) => self.note(Fact::Failed(group, failure.clone())),
            coordinator::Event::Finished => self.note(Fact::Finished(group)),
            coordinator::Event::State { .. }
            | coordinator::Event::Connected(_)
            | coordinator::Event::Disconnected(..) => {}
        }
    }

    /// Whether `group` has reached `milestone` in its repetition.
    pub(crate) fn has_reached(&self, group: Group, milestone: Milestone) -> bool {
        self.coordinator(group).reached() >= Some(milestone)
    }
}
