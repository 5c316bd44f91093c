//! The process of the coordinators: moves bytes between the streams of turmoil and the machines, and writes down
//! what it has to know if it dies.
//!
//! The shape is that of the real driver, and like that one it has no decisions in it.

use super::desk::{Command, Desk, Report};
use super::record::now;
use super::socket::{PORT, Ready, Socket, alarm};
use crate::model::{End, HostId, Observation};
use crate::run::Known;
use crate::world::{Kind, Promise, Speaker, of_event};
use ::turmoil::net::TcpStream;
use russula_proto::coordinator::{Event, Output};
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::{Coordinator, Group, Repetition, RepetitionPhase, Stage, Timestamp};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use tokio::time::sleep;

/// Most inputs at one moment before it is said that the machines never come to rest.
const INPUTS_AT_ONCE_MAX: usize = 20_000;

/// The process.
pub(super) struct Process {
    desk: Rc<Desk>,
    /// Of the servers, and of the clients.
    sides: [Side; 2],
    repetition: Option<Repetition>,
    /// The coordinators were told that the run is over.
    is_ending: bool,
    buffer: Vec<u8>,
    /// Inputs since the time went on.
    inputs_at: (Timestamp, usize),
}

/// A coordinator and its sockets.
struct Side {
    group: Group,
    coordinator: Coordinator,
    dials: Vec<Dial>,
    is_dismissed: Vec<bool>,
    /// What the coordinator wants, and was not carried out yet.
    outputs: VecDeque<Output>,
    /// When the coordinator wants to be called, by its own clock.
    wait: Option<Timestamp>,
}

/// The way to a worker.
enum Dial {
    None,
    Dialing(Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>),
    Up(Socket),
}

enum Input {
    Command(Command),
    /// A dial of this side to this worker has come to something.
    Dialed(usize, usize, io::Result<TcpStream>),
    Socket(usize, usize, Ready),
    Time,
}

impl Process {
    /// Begins a process: it takes over what another one has begun and not brought to its end.
    pub(super) fn begin(desk: Rc<Desk>) -> Self {
        desk.journal.borrow_mut().processes += 1;
        let now = desk.options.base.orchestrator.read(now());
        let side = |group| {
            let config = desk.config(group);
            let workers = usize::from(config.workers);
            Side {
                group,
                coordinator: Coordinator::new(config, now),
                dials: (0..workers).map(|_| Dial::None).collect(),
                is_dismissed: vec![false; workers],
                outputs: VecDeque::new(),
                wait: None,
            }
        };
        let mut sides = [side(Group::Server), side(Group::Client)];
        let mut repetition = None;
        if desk.journal.borrow().processes > 1 {
            desk.record
                .say(Speaker::Orchestrator, Kind::Event, || "another process takes the run over".into());
        }
        if let Some(begun) = &desk.journal.borrow().repetition
            && begun.phase != RepetitionPhase::Over
        {
            let [servers, clients] = &mut sides;
            let (servers, clients) = (&mut servers.coordinator, &mut clients.coordinator);
            let takeover = begun.takeover();
            repetition = Some(Repetition::take_over(begun.number, 0, &takeover, servers, clients, now));
        }
        let buffer = vec![0; desk.options.network.read_len];
        Self { desk, sides, repetition, is_ending: false, buffer, inputs_at: (Timestamp::ZERO, 0) }
    }

    /// Serves until the run has ended.
    pub(super) async fn run(&mut self) {
        loop {
            self.settle().await;
            if self.desk.finished.borrow().len() == self.sides.len() {
                return std::future::pending().await;
            }
            let input = self.next_input().await;
            self.check_rest().await;
            self.handle(input);
            self.settle().await;
            for at in 0..self.sides.len() {
                let now = self.local_now();
                self.sides[at].coordinator.handle_timeout(now);
                self.drain(at).await;
            }
        }
    }

    async fn next_input(&mut self) -> Input {
        let clock = self.desk.options.base.orchestrator;
        let next = self.sides.iter().filter_map(|side| side.wait).min().map(|at| clock.when(at));
        let Self { desk, sides, buffer, .. } = self;
        let mut alarm = pin!(alarm(next));
        poll_fn(|context| {
            if let Poll::Ready(command) = desk.mailbox.poll(context) {
                return Poll::Ready(Input::Command(command));
            }
            for (at, side) in sides.iter_mut().enumerate() {
                for (index, dial) in side.dials.iter_mut().enumerate() {
                    match dial {
                        Dial::None => {}
                        Dial::Dialing(dialing) => {
                            if let Poll::Ready(result) = dialing.as_mut().poll(context) {
                                return Poll::Ready(Input::Dialed(at, index, result));
                            }
                        }
                        Dial::Up(socket) => {
                            if let Poll::Ready(ready) = socket.poll(context, buffer) {
                                return Poll::Ready(Input::Socket(at, index, ready));
                            }
                        }
                    }
                }
            }
            alarm.as_mut().poll(context).map(|()| Input::Time)
        })
        .await
    }

    // --- inputs ---

    fn handle(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.obey(command),
            Input::Dialed(at, index, Ok(stream)) => {
                let (entropy, now) = (self.desk.random.borrow_mut().bytes(), self.local_now());
                self.sides[at].dials[index] = Dial::Up(Socket::new(stream));
                self.sides[at].coordinator.handle_connected(index, entropy, now);
            }
            Input::Dialed(at, index, Err(error)) => self.lose(at, index, &error),
            Input::Socket(at, index, Ready::Writable) => self.send(at, index),
            Input::Socket(at, index, Ready::Bytes(len)) => {
                let (host, now) = (self.sides[at].host(index), self.local_now());
                self.desk.record.note(Observation::Arrived(host, End::Dialer, len));
                self.sides[at].coordinator.handle_bytes(index, &self.buffer[..len], now);
            }
            Input::Socket(at, index, Ready::End) => {
                let now = self.local_now();
                self.sides[at].dials[index] = Dial::None;
                self.sides[at].coordinator.handle_end(index, now);
            }
            Input::Socket(at, index, Ready::Broken(error)) => self.lose(at, index, &error),
            Input::Time => {}
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.local_now();
        match command {
            Command::Look => {}
            Command::GiveUp => {
                if let Some(repetition) = &mut self.repetition {
                    repetition.give_up();
                    let mut journal = self.desk.journal.borrow_mut();
                    if !journal.gave_up() {
                        self.desk.record.note(Observation::GivenUp);
                        journal.write_interrupt();
                    }
                }
            }
            Command::Finish => self.sides.iter_mut().for_each(|side| side.coordinator.finish(now)),
            Command::HostLost(host) => {
                let reason = "the instance was terminated";
                self.side_of(host).coordinator.handle_host_lost(host.index, reason, now);
            }
            Command::Break(host, before) => {
                let at = usize::from(host.group == Group::Client);
                if let Dial::Up(socket) = &self.sides[at].dials[host.index]
                    && socket.opened_at <= before
                {
                    self.lose(at, host.index, &io::ErrorKind::ConnectionReset.into());
                }
            }
        }
    }

    fn lose(&mut self, at: usize, index: usize, error: &io::Error) {
        let now = self.local_now();
        self.sides[at].dials[index] = Dial::None;
        self.sides[at].coordinator.handle_connection_failed(index, &error.to_string(), now);
    }

    // --- rest ---

    /// Does what the machines want until they want nothing more, and takes the repetition as far as it goes.
    async fn settle(&mut self) {
        loop {
            let mut is_busy = self.follow_wishes().await;
            for at in 0..self.sides.len() {
                is_busy |= self.drain(at).await;
            }
            is_busy |= self.advance();
            self.sync().await;
            if !is_busy {
                return;
            }
        }
    }

    /// Waits until the disk has what was written down.
    async fn sync(&self) {
        let disk = self.desk.options.network.disk;
        if self.desk.journal.borrow().take_dirty() && !disk.is_zero() {
            sleep(disk).await;
        }
    }

    /// Begins what the user wants to be begun, and ends what is to be ended.
    async fn follow_wishes(&mut self) -> bool {
        let (newest, is_over) = self.desk.journal.borrow().newest();
        let wanted = self.desk.wanted.get();
        if is_over && newest < wanted {
            let [servers, clients] = &self.sides;
            self.desk.record.note(Observation::Begun(wanted));
            self.desk.report.take();
            self.desk.journal.borrow_mut().write_begin(wanted, &servers.coordinator, &clients.coordinator);
            self.sync().await;
            let now = self.local_now();
            let [servers, clients] = &mut self.sides;
            let (servers, clients) = (&mut servers.coordinator, &mut clients.coordinator);
            self.repetition = Some(Repetition::begin(wanted, 0, servers, clients, now));
            return true;
        }
        if is_over && self.desk.wants_end.get() {
            return self.end_run().await;
        }
        false
    }

    /// Ends the run. A process that takes it over when it has ended does that once it has found the workers.
    async fn end_run(&mut self) -> bool {
        let is_news = !self.desk.journal.borrow().has_ended;
        if is_news {
            self.desk.record.note(Observation::RunEnded);
            self.desk.journal.borrow_mut().write_end();
            self.sync().await;
        }
        let now = self.local_now();
        let mut peers = self.sides.iter().flat_map(|side| side.coordinator.peers());
        let are_found = peers.all(|peer| peer.is_connected || peer.is_given_up);
        drop(peers);
        let is_due = (is_news || are_found) && !self.is_ending;
        if is_due {
            self.is_ending = true;
            self.sides.iter_mut().for_each(|side| side.coordinator.finish(now));
        }
        is_due
    }

    /// Takes the repetition as far as the groups have come; returns whether that is farther than before.
    fn advance(&mut self) -> bool {
        let now = self.local_now();
        let Some(repetition) = &mut self.repetition else { return false };
        let [servers, clients] = &mut self.sides;
        let phases: Vec<_> =
            repetition.advance(&mut servers.coordinator, &mut clients.coordinator, now).collect();
        // What the coordinators say explains the phases.
        (0..self.sides.len()).for_each(|at| self.listen(at));
        for &phase in &phases {
            self.desk.record.note(Observation::Phase(phase));
            self.desk.record.say(Speaker::Repetition, Kind::Event, || format!("{phase:?}"));
            if phase == RepetitionPhase::Over {
                let report = self.report();
                self.desk.report.replace(Some(report));
            }
            self.desk.journal.borrow_mut().write_phase(phase);
        }
        !phases.is_empty()
    }

    fn report(&self) -> Report {
        let [servers, clients] = [&self.sides[0].coordinator, &self.sides[1].coordinator];
        let journal = self.desk.journal.borrow();
        let written = journal.repetition.as_ref().and_then(|begun| begun.failure.as_ref());
        let failure = written.or(servers.failure()).or(clients.failure()).cloned();
        let known = self.sides.iter().flat_map(|side| {
            side.coordinator.peers().enumerate().map(|(index, peer)| Known {
                host: side.host(index),
                ending: peer.ending.cloned(),
                stage: peer.stage,
                is_given_up: peer.is_given_up,
                clock: peer.clock,
                started_at: peer.started_at,
            })
        });
        Report {
            gave_up: journal.gave_up(),
            failure,
            quiet: Repetition::quiet(servers, clients),
            start_at: clients.start_at(),
            known: known.collect(),
        }
    }

    // --- outputs ---

    /// Does what a coordinator wants until it wants to wait; returns whether that was anything.
    async fn drain(&mut self, at: usize) -> bool {
        let mut is_busy = false;
        loop {
            self.listen(at);
            let Some(output) = self.sides[at].outputs.pop_front() else {
                self.check_limits(at);
                return is_busy;
            };
            is_busy = true;
            // What was written down is on the disk before anything follows from it.
            self.sync().await;
            self.carry_out(at, output);
        }
    }

    /// Takes note of what a coordinator says, and keeps for later what it wants to be done.
    fn listen(&mut self, at: usize) {
        loop {
            let side = &mut self.sides[at];
            match side.coordinator.poll_output() {
                Output::Wait(until) => {
                    side.wait = until;
                    return;
                }
                Output::CheckKernel(index) => {
                    if let Dial::Up(socket) = &side.dials[index] {
                        side.coordinator.handle_kernel_counters(index, socket.traffic);
                    }
                }
                Output::Event(event) => {
                    self.desk.record.say(Speaker::Coordinator(side.group), Kind::Event, || of_event(&event));
                    self.note(at, &event);
                }
                output @ (Output::Dial(_) | Output::Transmit(_) | Output::Close(_)) => {
                    side.outputs.push_back(output);
                }
            }
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        match output {
            Output::Dial(index) => {
                let address = (self.desk.addresses[&self.sides[at].host(index)], PORT);
                self.sides[at].dials[index] = Dial::Dialing(Box::pin(TcpStream::connect(address)));
            }
            Output::Transmit(index) => self.send(at, index),
            Output::Close(index) => self.sides[at].dials[index] = Dial::None,
            Output::CheckKernel(_) | Output::Event(_) | Output::Wait(_) => {}
        }
    }

    fn send(&mut self, at: usize, index: usize) {
        let now = self.local_now();
        let side = &mut self.sides[at];
        while !side.coordinator.outgoing(index).is_empty() {
            let host = side.host(index);
            let Dial::Up(socket) = &mut side.dials[index] else { return };
            let waiting = side.coordinator.outgoing(index);
            let len = self.desk.options.network.piece_len(waiting.len(), &self.desk.random);
            let is_first = socket.traffic.sent_bytes == 0;
            match socket.send(&waiting[..len]) {
                Ok(0) => return,
                Ok(len) => {
                    self.desk.keep(host, &waiting[..len], is_first);
                    self.desk.record.note(Observation::Sent(host, End::Dialer, len));
                    side.coordinator.handle_sent(index, len, now);
                }
                Err(error) => return self.lose(at, index, &error),
            }
        }
    }

    fn note(&mut self, at: usize, event: &Event) {
        let group = self.sides[at].group;
        let record = Rc::clone(&self.desk.record);
        match event {
            Event::Worker(index, stage) => {
                let host = HostId { group, index: *index };
                record.note(Observation::Heard(host, *stage));
                let ending = self.sides[at].coordinator.peer(*index).ending.cloned();
                if let (Stage::Ended, Some(ending)) = (stage, ending) {
                    record.note(Observation::Learnt(host, Box::new(ending)));
                }
            }
            Event::Reached(milestone) => {
                self.note_dismissals(at);
                record.note(Observation::Reached(group, *milestone));
            }
            Event::Failed(failure) => {
                self.desk.journal.borrow_mut().write_failure(failure);
                record.note(Observation::Failed(group, Box::new(failure.clone())));
            }
            Event::Connected(_) => {
                self.desk.journal.borrow_mut().write_memories(&self.sides[at].coordinator);
            }
            Event::Finished => {
                self.desk.finished.borrow_mut().push(group);
                record.note(Observation::Finished(group));
            }
            Event::State { .. } | Event::Disconnected(..) => {}
        }
    }

    /// A coordinator that gives a worker up says so only in what it knows of it.
    fn note_dismissals(&mut self, at: usize) {
        let side = &mut self.sides[at];
        for index in 0..side.dials.len() {
            let is_given_up = side.coordinator.peer(index).is_given_up;
            if is_given_up && !std::mem::replace(&mut side.is_dismissed[index], true) {
                self.desk.record.note(Observation::Dismissed(side.host(index)));
            }
        }
    }

    // --- promises ---

    fn check_limits(&self, at: usize) {
        let side = &self.sides[at];
        for index in 0..side.dials.len() {
            let waiting = side.coordinator.outgoing(index).len();
            if waiting > MAX_OUTGOING_LEN {
                let text = format!("{waiting} bytes wait for {}", side.host(index));
                self.desk.record.breach(Promise::Limits, text);
            }
        }
    }

    /// Machines that go on without end while time stands still are left alone for ever.
    async fn check_rest(&mut self) {
        let (at, inputs) = self.inputs_at;
        self.inputs_at = if at == now() { (at, inputs + 1) } else { (now(), 1) };
        if self.inputs_at.1 > INPUTS_AT_ONCE_MAX {
            let text = "the coordinators go on without end while time stands still";
            self.desk.record.breach(Promise::Rest, text.into());
            std::future::pending::<()>().await;
        }
    }

    fn side_of(&mut self, host: HostId) -> &mut Side {
        &mut self.sides[usize::from(host.group == Group::Client)]
    }

    fn local_now(&self) -> Timestamp {
        self.desk.options.base.orchestrator.read(now())
    }
}

impl Side {
    fn host(&self, index: usize) -> HostId {
        HostId { group: self.group, index }
    }
}
