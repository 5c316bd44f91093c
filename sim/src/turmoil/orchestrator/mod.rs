//! The process of the coordinators: moves bytes between the streams of turmoil and the machines, and writes down
//! what it has to know if it dies.
//!
//! The shape is that of the real driver, and like that one it has no decisions in it.

mod outputs;
mod progress;

use super::desk::{Command, Desk, GROUPS};
use super::record::now;
use super::socket::{Ready, Socket, alarm};
use crate::model::{End, HostId, Observation};
use crate::world::{Kind, Promise, Speaker};
use ::turmoil::net::TcpStream;
use russula_proto::coordinator::Output;
use russula_proto::{Coordinator, Group, Repetition, RepetitionPhase, Timestamp};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

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
        let mut sides = GROUPS.map(side);
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
            if self.desk.has_finished() {
                return;
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

    // --- promises ---

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
