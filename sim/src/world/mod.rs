//! A world in memory for the state machines: coordinators, workers, their programs, a network, virtual time.
//!
//! [`World::step`] jumps to the next event or deadline, so that an hour of waiting takes no time. Whatever can
//! be seen from outside is appended to [`World::history`], for checks; a world made by [`World::traced`] also
//! keeps a [`World::trace`] in words, for people. After every input a strict world checks the caller's contract
//! itself: `Wait` is repeated, an early `handle_timeout` does nothing, queues stay within their limits, and
//! bytes that wait were announced by a `Transmit`. What does not hold is in [`World::breaches`].

mod clock;
mod drain;
mod faults;
mod host;
mod network;
mod orchestrator;
mod programs;
mod queue;
mod settle;
mod sniffer;
mod strangers;
mod time;
mod trace;

use crate::Random;
use crate::model::{HostId, Observation};
use crate::toy_suite;
use orchestrator::Journal;
use queue::{Happening, Queue};
use russula_proto::{
    Coordinator, CoordinatorLimits, Group, Key, Milestone, Repetition, Timestamp, WorkerLimits,
};
use settle::both;

pub use clock::Clock;
pub use host::{Hold, Host, Program, Script, Starts};
pub use network::{Mangling, NetworkOptions, Split};
use network::{Wire, WireId};
pub use orchestrator::Death;
pub use strangers::Stranger;
pub(crate) use trace::of_event;
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
    options: GroupOptions,
    hosts: Vec<Host>,
    /// The newest connection to each host, as long as the coordinator has not closed it.
    dials: Vec<Option<WireId>>,
    /// Connections with bytes that the coordinator has announced, by host.
    announced: Vec<WireId>,
    /// When the coordinator wants to be called, in the time of the world.
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
    /// Is shown every line of the trace as soon as there is one, so that a panic does not swallow them.
    pub reader: Option<fn(&Entry)>,
    /// Keeps what coordinators say, so that somebody can say it again.
    pub records: bool,
    /// Holds the machines to the caller's contract after every input, which takes half of the time.
    pub is_strict: bool,
    /// How often each input that may be repeated is passed on.
    pub times: usize,
    /// What the host of the coordinators shows as the time.
    pub orchestrator: Clock,
    /// Links are encrypted as in earnest.
    is_encrypted: bool,
    random: Random,
    is_traced: bool,
    journal: Journal,
    sides: [Option<Side>; Group::ALL.len()],
    repetition: Option<Repetition>,
    queue: Queue,
    wires: Vec<Wire>,
    held: Vec<Happening>,
    touched: Vec<MachineId>,
    /// A coordinator has had an input, so the repetition may go on.
    advance_is_due: bool,
    steps_without_time: usize,
}

impl World {
    /// A world without hosts; `seed` decides about the splits and the latencies that are drawn by lot.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::ZERO,
            network: NetworkOptions::default(),
            trace: vec![],
            history: Vec::with_capacity(HISTORY_LEN),
            breaches: vec![],
            reader: None,
            records: false,
            is_strict: true,
            times: 1,
            orchestrator: Clock::default(),
            is_encrypted: false,
            journal: Journal::default(),
            random: Random::new(seed),
            is_traced: false,
            sides: [None, None, None],
            repetition: None,
            queue: Queue::default(),
            wires: vec![],
            held: vec![],
            touched: vec![],
            advance_is_due: false,
            steps_without_time: 0,
        }
    }

    /// The same, with a trace in words.
    pub fn traced(seed: u64) -> Self {
        Self { is_traced: true, ..Self::new(seed) }
    }

    /// From now on links are encrypted as in earnest, which takes a hundred times as long and leaves no messages
    /// in the trace. To be called before the groups are added.
    pub fn encrypt_in_earnest(&mut self) {
        self.is_encrypted = true;
    }

    /// The key of the run.
    fn key(&self) -> Key {
        self.key_of([7; Key::LEN])
    }

    /// A key of these bytes.
    fn key_of(&self, bytes: [u8; Key::LEN]) -> Key {
        if self.is_encrypted {
            Key::from_bytes(bytes)
        } else {
            Key::for_simulation(bytes, toy_suite::resolver)
        }
    }

    /// Adds a coordinator and the workers of its group; it dials them at once.
    pub fn add_group(&mut self, group: Group, options: &GroupOptions) {
        self.sides[group as usize] = Some(self.new_side(group, options));
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
        self.write_begin(number, program);
        self.touch_coordinator(Group::Server);
        self.touch_coordinator(Group::Client);
        self.settle();
    }

    /// The user interrupts the repetition, if there is somebody to hear it.
    pub fn give_up(&mut self) {
        for _ in 0..self.times {
            if let Some(repetition) = &mut self.repetition {
                repetition.give_up();
                if !self.gave_up() {
                    self.note(Observation::GivenUp);
                    self.write_interrupt();
                }
                self.touch_coordinator(Group::Server);
                self.settle();
            }
        }
    }

    /// The user wants the servers to go on after the clients are done, or not any more.
    ///
    /// # Panics
    /// If no repetition was begun.
    pub fn hold_servers(&mut self, hold: bool) {
        self.repetition.as_mut().expect("a repetition has begun").hold_servers(hold);
        self.touch_coordinator(Group::Server);
        self.settle();
    }

    /// The user ends the run.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.journal.has_ended, true) {
            self.note(Observation::RunEnded);
        }
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
}

/// Room for what can be seen in most runs.
const HISTORY_LEN: usize = 1024;
