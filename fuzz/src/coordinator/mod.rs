//! One coordinator, and everything that its user, its workers, the paths to them and strangers can do to it.
//!
//! The workers ([`host`]) do as they are told when the input lets them, and say anything else when it does not.
//! What the coordinator says to them is checked in [`words`], the caller's contract and what may follow from an
//! input in [`contract`].

mod contract;
mod host;
mod words;

use crate::input::{Input, noise};
use crate::messages;
use crate::strangers::Differs;
use contract::Cause;
use host::{Host, Socket};
use russula_proto::wire::WorkerMessage;
use russula_proto::{
    Coordinator, CoordinatorConfig, CoordinatorLimits, Group, Memory, Milestone, Timestamp, Work,
};
use std::time::Duration;
use words::Words;

/// Does to a coordinator what `data` describes.
pub fn coordinator(data: &[u8]) {
    let mut input = Input::new(data);
    let mut scene = Scene::new(&mut input);
    while !input.is_empty() && !scene.coordinator.is_finished() {
        scene.step(&mut input);
    }
    scene.end();
}

struct Scene {
    coordinator: Coordinator,
    config: CoordinatorConfig,
    now: Timestamp,
    hosts: Vec<Host>,
    words: Words,
    /// The newest state of the workflow that was heard of.
    state: String,
    reached: Option<Milestone>,
    is_finishing: bool,
    /// How often the coordinator said that it has finished.
    finished: usize,
    connections: u8,
    /// When the coordinator wants to be called.
    wait: Option<Timestamp>,
}

impl Scene {
    fn new(input: &mut Input) -> Self {
        let group = input.one_of(&[Group::Client, Group::Server, Group::Client, Group::Probe]);
        let workers = 1 + input.below(3) as u16;
        let limits = if input.flag() { limits(input) } else { CoordinatorLimits::default() };
        let right = Differs::Nothing;
        let config = CoordinatorConfig {
            run: right.identity(group, 0).run,
            group,
            workers,
            limits,
            key: right.toy_key(),
            session: SESSION,
            incarnation: input.below(2) as u32,
            work: input.maybe(|_| Work::default()),
        };
        let now = Timestamp::from_micros(1 << 40);
        let mut scene = Self {
            coordinator: Coordinator::new(config.clone(), now),
            hosts: (0..workers).map(|index| Host::new(group, index)).collect(),
            words: Words::new(&config),
            config,
            now,
            state: String::new(),
            reached: None,
            is_finishing: false,
            finished: 0,
            connections: 0,
            wait: None,
        };
        scene.state = scene.coordinator.state().into();
        scene.drain(&Cause::User);
        scene
    }

    fn step(&mut self, input: &mut Input) {
        match input.below(24) {
            0 => self.begin(input),
            1 | 2 => {
                let milestone = input.one_of(&[Milestone::Done, Milestone::WorkersRunning, Milestone::Ready]);
                if self.coordinator.repetition() > 0 {
                    self.words.till = self.words.till.max(Some(milestone));
                    self.user(|coordinator, now| coordinator.run_till(milestone, now));
                }
            }
            3 => self.user(|coordinator, now| coordinator.abort(now)),
            4 => self.finish(),
            5 => self.connect(input.below(self.hosts.len()), input.one_of(&Differs::ALL), input),
            6 | 7 => self.play(input.below(self.hosts.len())),
            8 => (0..self.hosts.len()).for_each(|index| self.play(index)),
            9 => self.program_ends(input),
            10 => self.with_host(input, |scene, index, input| {
                let message = messages::worker_message(input);
                scene.hosts[index].say(message);
            }),
            11 => self.with_host(input, |scene, index, input| scene.say_plausible(index, input)),
            12 => self.with_host(input, |scene, index, input| scene.take(index, input.len())),
            13 => self.with_host(input, |scene, index, _| scene.take(index, usize::MAX)),
            14 => self.with_host(input, |scene, index, input| scene.deliver(index, input.len())),
            15 => self.with_host(input, |scene, index, _| scene.deliver(index, usize::MAX)),
            16 => self.with_host(input, Self::disturb),
            17 => self.with_host(input, |scene, index, input| scene.fail_connection(index, input.flag())),
            18 => self.lose_host(input),
            19 => self.restart(input.below(self.hosts.len())),
            20 => self.now = self.now + input.duration(),
            21 => {
                self.now = self.now + input.duration();
                self.time_passes();
            }
            22 => self.time_passes(),
            _ => {
                self.now = self.wait.unwrap_or(self.now).max(self.now);
                self.time_passes();
            }
        }
    }

    // --- the user ---

    fn user(&mut self, act: impl FnOnce(&mut Coordinator, Timestamp)) {
        let before = self.snapshot();
        act(&mut self.coordinator, self.now);
        self.drain(&Cause::User);
        self.check_change(&before, &Cause::User);
    }

    fn begin(&mut self, input: &mut Input) {
        let repetition = self.coordinator.repetition();
        let is_done = repetition == 0 || self.coordinator.reached() == Some(Milestone::Done);
        if !is_done || self.is_finishing {
            return;
        }
        let (number, program) = (repetition + 1 + input.below(2) as u32, input.below(2) as u16);
        (self.reached, self.words.till) = (None, None);
        let is_first = self.config.incarnation > 0 && repetition == 0;
        self.hosts.iter_mut().for_each(|host| host.was_ready = false);
        self.state = words::first_state();
        if is_first {
            let asked = input.maybe(|input| input.one_of(&Milestone::ALL));
            let memories: Vec<Option<Memory>> =
                self.hosts.iter().map(|host| input.maybe(|_| host.memory)).collect();
            self.words.till = asked;
            self.coordinator.take_over(number, program, asked, &memories, self.now);
        } else {
            self.coordinator.begin(number, program, self.now);
        }
        self.words.begin(number, program);
        self.drain(&Cause::User);
    }

    fn finish(&mut self) {
        self.is_finishing = true;
        self.words.is_finishing = true;
        self.coordinator.finish(self.now);
        self.drain(&Cause::Finish);
    }

    // --- connections ---

    fn connect(&mut self, index: usize, differs: Differs, input: &mut Input) {
        if self.hosts[index].is_dialed() {
            self.connections = self.connections.wrapping_add(1);
            self.hosts[index].accept(differs, self.connections, input.below(4) as u64);
            let before = self.snapshot();
            self.coordinator.handle_connected(index, [self.connections | 0x80; 32], self.now);
            self.drain(&Cause::Path(index));
            self.check_change(&before, &Cause::Path(index));
        }
    }

    /// A worker that does what it is told: connects, reads everything, answers everything.
    fn play(&mut self, index: usize) {
        self.connect(index, Differs::Nothing, &mut Input::new(&[]));
        for _ in 0..PLAY_STEPS {
            for message in self.take_messages(index, usize::MAX) {
                let now = self.now;
                self.hosts[index].obey(&message, now);
            }
            self.deliver(index, usize::MAX);
        }
    }

    fn program_ends(&mut self, input: &mut Input) {
        let index = input.below(self.hosts.len());
        let outcome = if input.flag() { messages::outcome(input) } else { host::success() };
        self.hosts[index].program_ends(outcome);
        self.deliver(index, usize::MAX);
    }

    fn with_host(&mut self, input: &mut Input, act: impl FnOnce(&mut Self, usize, &mut Input)) {
        let index = input.below(self.hosts.len());
        if self.hosts[index].connection().is_some() {
            act(self, index, input);
        }
    }

    /// Something that a worker might say at some point, and mostly does not at this one.
    fn say_plausible(&mut self, index: usize, input: &mut Input) {
        let repetition =
            self.coordinator.repetition() - u32::from(self.coordinator.repetition() > 0 && input.flag());
        let question = self.words.last_question.wrapping_sub(input.below(2) as u32);
        let host = &mut self.hosts[index];
        let message = match input.below(4) {
            0 | 1 => {
                let report = messages::report(input);
                WorkerMessage::Report(russula_proto::wire::Report { repetition, ..report })
            }
            2 => host.clock(question, self.now),
            _ => host.welcome(input.below(3) as u64),
        };
        host.say(message);
    }

    /// The socket takes bytes, and the worker reads them without an answer.
    fn take(&mut self, index: usize, len: usize) {
        self.take_messages(index, len);
    }

    fn take_messages(&mut self, index: usize, len: usize) -> Vec<russula_proto::wire::CoordinatorMessage> {
        let waiting = self.coordinator.outgoing(index);
        let bytes = waiting[..len.min(waiting.len())].to_vec();
        let is_last = bytes.len() == waiting.len();
        let Some(connection) = self.hosts[index].connection() else { return vec![] };
        if !connection.is_announced {
            return vec![];
        }
        connection.is_announced = !is_last;
        let messages = connection.read(&bytes);
        for message in &messages {
            self.words.hear(index, message, &mut self.hosts);
        }
        let before = self.snapshot();
        self.coordinator.handle_sent(index, bytes.len(), self.now);
        self.drain(&Cause::Path(index));
        self.check_change(&before, &Cause::Path(index));
        messages
    }

    /// Bytes of the worker arrive.
    fn deliver(&mut self, index: usize, len: usize) {
        let Some(connection) = self.hosts[index].connection() else { return };
        let (bytes, messages) = connection.give(len);
        self.words.arrive(&messages, &mut self.hosts[index], self.coordinator.repetition());
        let before = self.snapshot();
        let cause = if messages.is_empty() { Cause::Path(index) } else { Cause::Messages(index, messages) };
        self.coordinator.handle_bytes(index, &bytes, self.now);
        self.drain(&cause);
        self.check_change(&before, &cause);
    }

    /// Bytes arrive that the worker did not send. From then on nothing that it sends verifies.
    fn disturb(&mut self, index: usize, input: &mut Input) {
        // Few enough to choose them: a length, but no code that seals a message.
        let mut bytes = noise(input.byte(), input.len());
        if input.flag() {
            bytes.splice(0..bytes.len().min(2), input.take(2).iter().copied());
        }
        if let Some(connection) = self.hosts[index].connection() {
            connection.is_disturbed |= !bytes.is_empty();
        }
        let before = self.snapshot();
        self.coordinator.handle_bytes(index, &bytes, self.now);
        self.drain(&Cause::Path(index));
        self.check_change(&before, &Cause::Path(index));
    }

    fn fail_connection(&mut self, index: usize, is_orderly: bool) {
        let before = self.snapshot();
        if is_orderly {
            self.coordinator.handle_end(index, self.now);
        } else {
            self.coordinator.handle_connection_failed(index, "broken", self.now);
        }
        self.drain(&Cause::Path(index));
        self.check_change(&before, &Cause::Path(index));
        assert!(self.hosts[index].connection().is_none(), "what is broken is closed");
    }

    /// A worker process begins anew, and its connection breaks, or it cannot be reached.
    fn restart(&mut self, index: usize) {
        self.hosts[index].restart();
        if !matches!(self.hosts[index].socket, Socket::None) {
            self.fail_connection(index, false);
        }
    }

    fn lose_host(&mut self, input: &mut Input) {
        let index = input.below(self.hosts.len());
        let before = self.snapshot();
        self.coordinator.handle_host_lost(index, "gone", self.now);
        self.drain(&Cause::HostLost(index));
        self.check_change(&before, &Cause::HostLost(index));
    }

    fn time_passes(&mut self) {
        let before = self.snapshot();
        self.coordinator.handle_timeout(self.now);
        self.drain(&Cause::Time);
        self.check_change(&before, &Cause::Time);
    }

    // --- the end ---

    /// Whatever has happened, what is given up comes to its end, and so does the run, with nobody there.
    fn end(&mut self) {
        if self.coordinator.repetition() > 0 && !self.is_finishing {
            self.user(|coordinator, now| coordinator.abort(now));
            self.wait_for(|scene| scene.reached == Some(Milestone::Done));
        }
        if self.finished == 0 {
            self.finish();
            self.wait_for(|scene| scene.finished > 0);
        }
        assert!(self.hosts.iter().all(|host| matches!(host.socket, Socket::None)), "a connection is left");
    }

    fn wait_for(&mut self, is_there: impl Fn(&Self) -> bool) {
        for step in 0..END_STEPS_MAX {
            if is_there(self) {
                return;
            }
            let next = self.wait.expect("a coordinator that is not done waits for something").max(self.now);
            // Some worker may have said that it takes very long to stop its program.
            self.now = if step < END_STEPS_MAX / 2 { next } else { self.now + Duration::from_secs(86_400) };
            self.time_passes();
        }
        panic!("it does not come to its end");
    }
}

fn limits(input: &mut Input) -> CoordinatorLimits {
    let mut some = || input.duration().max(Duration::from_millis(1));
    CoordinatorLimits {
        attempt: some(),
        backoff_min: some(),
        backoff_max: some(),
        reconnect: some(),
        ready: some(),
        start: some(),
        run: some(),
        stop: some(),
        start_lead: some(),
        clock_exchanges: input.below(3) as u8,
    }
}

const SESSION: u64 = 77;
/// Greeting, goal, and the questions for the clock.
const PLAY_STEPS: usize = 4;
/// Enough for the deadlines of all phases, with a day for each step after the half of them.
const END_STEPS_MAX: usize = 400;
