//! A world in memory for the state machines: coordinators, workers, their programs, a network, virtual time.
//!
//! [`World::step`] jumps to the next event or deadline, so that an hour of waiting takes no time. Whatever can
//! be seen from outside is appended to [`World::history`], for checks; a world made by [`World::traced`] also
//! keeps a [`World::trace`] in words, for people. After every input the world checks the caller's contract
//! itself: `Wait` is repeated, an early `handle_timeout` does nothing, queues stay within their limits, and
//! bytes that wait were announced by a `Transmit`. What does not hold is in [`World::breaches`].

mod clock;
mod drain;
mod faults;
mod host;
mod network;
mod programs;
mod queue;
mod time;
mod trace;

use crate::Random;
use crate::model::{HostId, Observation};
use queue::{Happening, Queue};
use russula_proto::{
    Coordinator, CoordinatorConfig, CoordinatorLimits, Failure, Group, Milestone, Repetition,
    RepetitionPhase, Timestamp, Worker, WorkerLimits,
};

pub use clock::Clock;
pub use host::{Hold, Host, Program, Script, Starts};
pub use network::{NetworkOptions, Split};
use network::{Wire, WireId};
pub use trace::{Entry, Kind, Speaker};

/// What a group is made of.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// How many workers.
    pub workers: u16,
    /// How many programs each of them has.
    pub programs: u16,
    /// The run that all belong to.
    pub run: String,
    /// The version that the workers give.
    pub version: String,
    /// The deadlines of the coordinator.
    pub coordinator: CoordinatorLimits,
    /// The deadlines of the workers.
    pub worker: WorkerLimits,
}

impl GroupOptions {
    /// So many workers, with everything else as usual.
    pub fn of(workers: u16) -> Self {
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
#[derive(Debug)]
struct Side {
    coordinator: Coordinator,
    hosts: Vec<Host>,
    /// The newest connection to each host, as long as the coordinator has not closed it.
    dials: Vec<Option<WireId>>,
    /// Connections with bytes that the coordinator has announced, by host.
    announced: Vec<WireId>,
    /// When the coordinator wants to be called, by its own clock.
    wait: Option<Timestamp>,
}

/// A machine that may have something to say: the coordinator of a group, or the worker with this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MachineId {
    group: Group,
    index: Option<usize>,
}

/// What the machines promise to whoever drives them; the world holds them to it after every input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// They come to rest.
    Rest,
    /// They keep the caller's contract.
    Contract,
    /// Their queues and connections stay within their limits.
    Limits,
    /// Only their coordinator changes the state of workers.
    Intruders,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// When, in the time of the world.
    pub at: Timestamp,
    /// Which.
    pub promise: Promise,
    /// How.
    pub text: String,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// The true time, which no machine sees.
    pub now: Timestamp,
    /// How the network behaves.
    pub network: NetworkOptions,
    /// What happened, in words; empty unless the world was made by [`Self::traced`].
    pub trace: Vec<Entry>,
    /// What could be seen.
    pub history: Vec<(Timestamp, Observation)>,
    /// What did not hold of the caller's contract; the first few.
    pub breaches: Vec<Breach>,
    /// How often each input that may be repeated is passed on.
    pub times: usize,
    /// What the host of the coordinators shows as the time.
    pub orchestrator: Clock,
    random: Random,
    is_traced: bool,
    sides: [Option<Side>; Group::ALL.len()],
    repetition: Option<Repetition>,
    queue: Queue,
    wires: Vec<Wire>,
    held: Vec<Happening>,
    touched: Vec<MachineId>,
    steps_without_time: usize,
}

impl World {
    /// A world without hosts; `seed` decides about the splits and the latencies that are drawn by lot.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::ZERO,
            network: NetworkOptions::default(),
            trace: vec![],
            history: vec![],
            breaches: vec![],
            times: 1,
            orchestrator: Clock::default(),
            random: Random::new(seed),
            is_traced: false,
            sides: [None, None, None],
            repetition: None,
            queue: Queue::default(),
            wires: vec![],
            held: vec![],
            touched: vec![],
            steps_without_time: 0,
        }
    }

    /// The same, with a trace in words.
    pub fn traced(seed: u64) -> Self {
        Self { is_traced: true, ..Self::new(seed) }
    }

    /// Adds a coordinator and the workers of its group; it dials them at once.
    pub fn add_group(&mut self, group: Group, options: &GroupOptions) {
        let hosts = (0..options.workers).map(|index| Host::new(group, index, options)).collect();
        let config = CoordinatorConfig {
            run: options.run.parse().expect("a world's run id is valid"),
            group,
            workers: options.workers,
            limits: options.coordinator,
            session: 1,
            work: None,
        };
        let coordinator = Coordinator::new(config, self.orchestrator_now());
        let dials = vec![None; usize::from(options.workers)];
        let side = Side { coordinator, hosts, dials, announced: vec![], wait: None };
        self.sides[group as usize] = Some(side);
        self.touch_coordinator(group);
    }

    // --- what is there ---

    /// The coordinator of `group`.
    ///
    /// # Panics
    /// If the group was not added.
    pub fn coordinator(&self, group: Group) -> &Coordinator {
        &self.side(group).coordinator
    }

    /// A host, to be changed by hand.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn host(&mut self, id: HostId) -> &mut Host {
        self.touch_worker(id);
        self.host_mut(id)
    }

    /// Every host, by group and index.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.sides.iter().flatten().flat_map(|side| &side.hosts)
    }

    /// Where the repetition over both groups is.
    pub fn phase(&self) -> Option<RepetitionPhase> {
        self.repetition.as_ref().map(Repetition::phase)
    }

    /// The first failure of the repetition, of whichever group.
    pub fn failure(&self) -> Option<&Failure> {
        self.sides.iter().flatten().find_map(|side| side.coordinator.failure())
    }

    /// Whether `group` has reached `milestone` in its repetition.
    pub fn has_reached(&self, group: Group, milestone: Milestone) -> bool {
        self.coordinator(group).reached() >= Some(milestone)
    }

    fn side(&self, group: Group) -> &Side {
        self.sides[group as usize].as_ref().expect("the group was added")
    }

    fn side_mut(&mut self, group: Group) -> &mut Side {
        self.sides[group as usize].as_mut().expect("the group was added")
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.side_mut(id.group).hosts[id.index]
    }

    // --- what the user does ---

    /// Anything with one coordinator.
    pub fn with_coordinator(&mut self, group: Group, act: impl Fn(&mut Coordinator, Timestamp)) {
        self.tell_coordinator(group, act);
        self.settle();
    }

    /// Begins a repetition over the servers and the clients.
    ///
    /// # Panics
    /// If one of the groups was not added.
    pub fn begin_repetition(&mut self, number: u32, program: u16) {
        self.note(Observation::Begun(number));
        let now = self.orchestrator_now();
        let (servers, clients) = both(&mut self.sides);
        self.repetition = Some(Repetition::begin(number, program, servers, clients, now));
        self.touch_coordinator(Group::Server);
        self.touch_coordinator(Group::Client);
        self.settle();
    }

    /// The user interrupts the repetition.
    ///
    /// # Panics
    /// If none was begun.
    pub fn give_up(&mut self) {
        self.note(Observation::GivenUp);
        for _ in 0..self.times {
            self.repetition.as_mut().expect("a repetition has begun").give_up();
            self.settle();
        }
    }

    /// The user wants the servers to go on after the clients are done, or not any more.
    ///
    /// # Panics
    /// If no repetition was begun.
    pub fn hold_servers(&mut self, hold: bool) {
        self.repetition.as_mut().expect("a repetition has begun").hold_servers(hold);
        self.settle();
    }

    /// The user ends the run.
    pub fn finish(&mut self) {
        self.note(Observation::RunEnded);
        for group in Group::ALL {
            if self.sides[group as usize].is_some() {
                self.with_coordinator(group, |coordinator, now| coordinator.finish(now));
            }
        }
    }

    /// The host says out of band that it will not come back.
    pub fn lose_host(&mut self, id: HostId, reason: &str) {
        self.with_coordinator(id.group, |c, now| c.handle_host_lost(id.index, reason, now));
    }

    /// The host tells its worker to end.
    pub fn shut_down(&mut self, id: HostId) {
        self.note(Observation::ShutDown(id));
        self.tell_worker(id, |worker, now| worker.handle_shutdown(now));
        self.settle();
    }

    // --- inputs ---

    /// Passes an input that may be repeated to a coordinator, so often as the test wants.
    fn tell_coordinator(&mut self, group: Group, act: impl Fn(&mut Coordinator, Timestamp)) {
        let now = self.orchestrator_now();
        for _ in 0..self.times {
            act(&mut self.side_mut(group).coordinator, now);
            self.drain_coordinator(group);
        }
    }

    /// Passes an input that may be repeated to a worker, if there is one.
    fn tell_worker(&mut self, id: HostId, act: impl Fn(&mut Worker, Timestamp)) {
        let now = self.host_now(id);
        for _ in 0..self.times {
            if let Some(worker) = &mut self.host_mut(id).worker {
                act(worker, now);
            }
            self.drain_worker(id);
        }
    }

    fn touch_coordinator(&mut self, group: Group) {
        self.touch(MachineId { group, index: None });
    }

    fn touch_worker(&mut self, id: HostId) {
        self.touch(MachineId { group: id.group, index: Some(id.index) });
    }

    fn touch(&mut self, machine: MachineId) {
        if !self.touched.contains(&machine) {
            self.touched.push(machine);
        }
    }

    // --- rest ---

    /// Drains every machine that may have something to say, and takes the repetition as far as it goes.
    fn settle(&mut self) {
        loop {
            let mut touched = std::mem::take(&mut self.touched);
            touched.sort_unstable();
            for machine in &touched {
                self.drain(*machine);
            }
            if self.touched.is_empty() {
                touched.clear();
                self.touched = touched;
            }
            if !self.advance() && self.touched.is_empty() {
                return;
            }
        }
    }

    fn advance(&mut self) -> bool {
        let now = self.orchestrator_now();
        let Some(repetition) = &mut self.repetition else { return false };
        let (servers, clients) = both(&mut self.sides);
        let before = repetition.phase();
        let phases = repetition.advance(servers, clients, now);
        if repetition.phase() == before {
            return false;
        }
        for phase in phases {
            self.note(Observation::Phase(phase));
            self.say(Speaker::Repetition, Kind::Event, || format!("{phase:?}"));
        }
        self.touch_coordinator(Group::Server);
        self.touch_coordinator(Group::Client);
        true
    }

    fn note(&mut self, observation: Observation) {
        self.history.push((self.now, observation));
    }

    /// Something does not hold of the caller's contract.
    fn breach(&mut self, promise: Promise, text: impl FnOnce() -> String) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(Breach { at: self.now, promise, text: text() });
        }
    }
}

/// The coordinators of a repetition: of the servers, and of the clients.
fn both(sides: &mut [Option<Side>; Group::ALL.len()]) -> (&mut Coordinator, &mut Coordinator) {
    let mut coordinators = [None, None];
    for (side, group) in sides.iter_mut().zip(Group::ALL) {
        let place = match group {
            Group::Server => 0,
            Group::Client => 1,
            Group::Probe => continue,
        };
        coordinators[place] = side.as_mut().map(|side| &mut side.coordinator);
    }
    match coordinators {
        [Some(servers), Some(clients)] => (servers, clients),
        [..] => panic!("a repetition has servers and clients"),
    }
}

/// Most breaches that are kept.
const BREACHES_MAX: usize = 10;
