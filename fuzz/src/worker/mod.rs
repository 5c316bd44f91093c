//! One worker, and everything that its host, its coordinators and strangers can do to it.
//!
//! A model that is simpler than the worker says what it may ask for and what it may say: of connections in
//! [`connections`], of goals and programs in [`model`], of its words in [`words`]. The caller's contract is checked
//! in [`contract`].

mod connections;
mod contract;
mod model;
mod quiet;
mod words;

use crate::input::{Input, noise};
use crate::messages;
use crate::strangers::Differs;
use connections::Connection;
use model::Model;
use quiet::Chunk;
use russula_proto::wire::{CoordinatorMessage, Goal, Hello};
use russula_proto::{
    ConnectionId, Ending, Group, Target, Text, Timestamp, Work, Worker, WorkerConfig, WorkerLimits,
};
use std::collections::BTreeMap;

/// Does to a worker what `data` describes.
pub fn worker(data: &[u8]) {
    let mut input = Input::new(data);
    let mut scene = Scene::new(&mut input);
    while !input.is_empty() && !scene.model.is_finished {
        scene.step(&mut input);
    }
    scene.end();
}

/// State, repetition, ending, and whether a coordinator is there.
type Snapshot = (&'static str, u32, Option<Ending>, bool);

struct Scene {
    worker: Worker,
    limits: WorkerLimits,
    now: Timestamp,
    /// Those that the worker has not closed.
    connections: BTreeMap<ConnectionId, Connection>,
    /// How many connections there were.
    accepted: u64,
    model: Model,
    /// When the worker wants to be called.
    wait: Option<Timestamp>,
}

impl Scene {
    fn new(input: &mut Input) -> Self {
        let group = input.one_of(&[Group::Client, Group::Server, Group::Client, Group::Probe]);
        let limits = if input.flag() {
            WorkerLimits {
                greeting: input.duration(),
                kill_grace: input.duration(),
                orphan: input.duration(),
            }
        } else {
            WorkerLimits::default()
        };
        let right = Differs::Nothing;
        let worker = Worker::new(WorkerConfig {
            identity: right.identity(group, INDEX),
            key: right.toy_key(),
            session: SESSION,
            work: Work::default(),
            programs: PROGRAMS,
            program_version: Text::tail_of(VERSION),
            limits,
        });
        let now = Timestamp::from_micros(1 << 40);
        let model = Model::new(group, limits);
        Self { worker, limits, now, connections: BTreeMap::new(), accepted: 0, model, wait: None }
    }

    fn step(&mut self, input: &mut Input) {
        match input.below(22) {
            0 => {
                self.accept(input.one_of(&Differs::ALL));
            }
            1 => self.dial(input),
            2 | 3 => self.with_connection(input, |scene, id, input| scene.say(id, goal(input, scene.now))),
            4 => self.with_connection(input, |scene, id, input| {
                let message = scene.any_message(id, input);
                scene.say(id, message);
            }),
            5 => self.with_connection(input, |scene, id, input| scene.deliver(id, input.len())),
            6 | 7 => self.with_connection(input, |scene, id, _| scene.deliver(id, usize::MAX)),
            8 => self.with_connection(input, |scene, id, input| scene.disturb(id, input)),
            9 => self.with_connection(input, |scene, id, input| scene.take(id, input.len())),
            10 | 11 => self.take_everything(),
            12 => self.with_connection(input, |scene, id, _| scene.end_connection(id)),
            13 | 14 => self.program_runs(),
            15 => {
                let failure = messages::start_failure(input);
                self.model.program_gone(Ending::StartFailed(failure.clone()));
                self.worker.handle_start_failed(failure, self.now);
                self.drain();
            }
            16 => self.program_ends(input),
            17 => self.now = self.wait.unwrap_or(self.now).max(self.now),
            18 => self.now = self.now + input.duration(),
            19 => {
                self.now = self.now + input.duration();
                self.time_passes();
            }
            20 => self.time_passes(),
            _ => self.shut_down(),
        }
    }

    // --- connections ---

    fn accept(&mut self, differs: Differs) -> ConnectionId {
        let id = ConnectionId(self.accepted);
        self.accepted += 1;
        let connection = Connection::new(differs, self.model.group, self.accepted, self.now);
        self.connections.insert(id, connection);
        let before = self.before();
        self.worker.handle_accepted(id, [0x80 | self.accepted as u8; 32], self.now);
        self.drain();
        self.check_unchanged(before, "a new connection has said nothing");
        id
    }

    /// A coordinator comes and introduces itself, mostly as it should.
    fn dial(&mut self, input: &mut Input) {
        let id = self.accept(Differs::Nothing);
        self.deliver(id, usize::MAX);
        self.take(id, usize::MAX);
        let session = 1 + input.below(4) as u64 / 3;
        if let Some(connection) = self.connections.get(&id) {
            let (epoch, ticket) = (100 + self.accepted, connection.link.ticket());
            self.say(id, CoordinatorMessage::Hello(Hello { session, epoch, ticket, work: None }));
            self.deliver(id, usize::MAX);
        }
    }

    fn with_connection(&mut self, input: &mut Input, act: impl FnOnce(&mut Self, ConnectionId, &mut Input)) {
        // The newest first: it has most to say.
        let number = if self.connections.is_empty() { 0 } else { input.below(self.connections.len()) };
        if let Some(id) = self.connections.keys().rev().nth(number).copied() {
            act(self, id, input);
        }
    }

    fn any_message(&mut self, id: ConnectionId, input: &mut Input) -> CoordinatorMessage {
        match input.below(4) {
            0 => CoordinatorMessage::ReadClock(input.narrow(u32::MAX)),
            1 => CoordinatorMessage::Finish,
            2 => self.any_hello(id, input),
            _ => messages::coordinator_message(input),
        }
    }

    /// Somebody introduces itself as one who may be too late, or just in time.
    fn any_hello(&mut self, id: ConnectionId, input: &mut Input) -> CoordinatorMessage {
        let (session, epoch) = self.model.coordinator.unwrap_or((1, 100));
        let ticket = self.connections.get(&id).map_or(0, |connection| connection.link.ticket());
        let near = |number: u64, input: &mut Input| (number + input.below(3) as u64).saturating_sub(1);
        CoordinatorMessage::Hello(Hello {
            session: session + u64::from(input.flag()),
            epoch: near(epoch, input),
            ticket: if input.flag() { ticket } else { near(self.model.attachments, input) },
            work: input.maybe(|input| if input.flag() { messages::work(input) } else { Work::default() }),
        })
    }

    /// The peer queues a message, if it may.
    fn say(&mut self, id: ConnectionId, message: CoordinatorMessage) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.say(message);
        }
    }

    /// Bytes of the peer arrive.
    fn deliver(&mut self, id: ConnectionId, len: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (bytes, messages, chunk) = connection.give(len);
        let may_change = !messages.is_empty() || connection.is_attached();
        let before = self.before();
        self.model.chunk = chunk;
        for message in messages {
            self.model.arrives(id, &mut self.connections, message, self.now);
        }
        self.worker.handle_bytes(id, &bytes, self.now);
        self.drain();
        self.model.chunk = Chunk::default();
        if !may_change {
            self.check_unchanged(before, "no message has arrived");
        }
    }

    /// Bytes arrive that the peer did not send. From then on nothing that it sends verifies.
    fn disturb(&mut self, id: ConnectionId, input: &mut Input) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Few enough to choose them: a length, but no code that seals a message.
        let mut bytes = noise(input.byte(), input.len());
        if input.flag() {
            bytes.splice(0..bytes.len().min(2), input.take(2).iter().copied());
        }
        // What happens to be the byte that was to come next disturbs nothing: it may be the last one of a message.
        if let (Some(first), Some(next)) = (bytes.first_mut(), connection.link.outgoing().first())
            && first == next
        {
            *first = !*first;
        }
        let is_attached = connection.is_attached();
        connection.disturb(bytes.len());
        let before = self.before();
        self.worker.handle_bytes(id, &bytes, self.now);
        self.drain();
        if !is_attached {
            self.check_unchanged(before, "noise says nothing");
        }
    }

    /// The socket takes bytes of the worker, and the peer reads them.
    fn take(&mut self, id: ConnectionId, len: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.is_announced {
            return;
        }
        let waiting = self.worker.outgoing(id);
        let bytes = waiting[..len.min(waiting.len())].to_vec();
        connection.is_announced = bytes.len() < waiting.len();
        let said = connection.take(&bytes);
        let era = connection.era;
        for message in said {
            self.model.hears(id, era, message);
        }
        self.worker.handle_sent(id, bytes.len(), self.now);
        self.drain();
    }

    fn take_everything(&mut self) {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            self.take(id, usize::MAX);
        }
    }

    fn end_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_ended = true;
        }
        self.worker.handle_end(id, self.now);
        self.drain();
        assert!(!self.connections.contains_key(&id), "a connection whose peer has closed it is closed");
    }

    // --- the host ---

    fn program_runs(&mut self) {
        self.model.program_runs(self.now);
        self.worker.handle_started(self.now);
        self.drain();
    }

    fn program_ends(&mut self, input: &mut Input) {
        let outcome = messages::outcome(input);
        let ending = if self.model.is_terminated() {
            Ending::Stopped(outcome.clone())
        } else {
            Ending::Exited(outcome.clone())
        };
        self.model.program_gone(ending);
        self.worker.handle_program_ended(outcome, self.now);
        self.drain();
    }

    fn time_passes(&mut self) {
        self.model.time_passes(self.now);
        self.worker.handle_timeout(self.now);
        self.drain();
    }

    fn shut_down(&mut self) {
        self.model.shut_down(self.now);
        self.worker.handle_shutdown(self.now);
        self.drain();
    }

    /// Whatever has happened, a worker that is told to end comes to its end.
    fn end(&mut self) {
        self.shut_down();
        for _ in 0..END_STEPS_MAX {
            if self.model.is_finished {
                return;
            }
            if self.model.is_killed() {
                self.program_ends(&mut Input::new(&[]));
                continue;
            }
            self.now = self.wait.expect("a worker that ends waits for something").max(self.now);
            self.time_passes();
        }
        assert!(self.model.is_finished, "it does not end");
    }

    /// What the worker is about.
    fn snapshot(&self) -> Snapshot {
        let worker = &self.worker;
        (worker.state(), worker.repetition(), worker.ending().cloned(), worker.is_attached())
    }

    /// The same, unless something else was due anyway.
    fn before(&self) -> Option<Snapshot> {
        let is_due = self.wait.is_some_and(|at| at <= self.now);
        (!is_due).then(|| self.snapshot())
    }

    fn check_unchanged(&self, before: Option<Snapshot>, why: &str) {
        if let Some(before) = before {
            assert_eq!(before, self.snapshot(), "{why}");
        }
    }
}

/// A goal that a coordinator may have, of one of the first repetitions.
fn goal(input: &mut Input, now: Timestamp) -> CoordinatorMessage {
    let target = input.one_of(&[Target::Run, Target::Ready, Target::Stop, Target::Release]);
    CoordinatorMessage::Goal(Goal {
        repetition: 1 + input.below(4) as u32,
        program: (input.below(8) / 3) as u16,
        target,
        start_at: input.maybe(|input| now + input.duration()),
    })
}

const INDEX: u16 = 3;
const SESSION: u64 = 77;
/// Goals also name one more.
const PROGRAMS: u16 = 2;
const VERSION: &str = "1.0";
/// More than the deadlines that a worker can have.
const END_STEPS_MAX: usize = 40;
