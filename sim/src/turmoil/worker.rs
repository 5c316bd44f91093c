//! A worker process: moves bytes between the streams of turmoil and the machine, and runs its program.
//!
//! The shape is that of the real driver, and like that one it has no decisions in it.

use super::host::{Command, Host};
use super::programs::{Change, Programs};
use super::record::now;
use super::socket::{Ready, Socket, alarm};
use crate::model::{End, Observation};
use crate::world::{Kind, Promise};
use ::turmoil::net::{TcpListener, TcpStream};
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::worker::{Event, MAX_GREETINGS, Output};
use russula_proto::{ConnectionId, Group, StartFailure, Timestamp, Worker, WorkerConfig};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Most inputs at one moment before it is said that the machine never comes to rest.
const INPUTS_AT_ONCE_MAX: usize = 20_000;

/// Most outputs after an input before the same is said.
pub(super) const OUTPUTS_AT_ONCE_MAX: usize = 20_000;

/// The port of a server's program, for those failures that name it.
const PROGRAM_PORT: u16 = 4433;

/// A worker process.
pub(super) struct Process {
    host: Rc<Host>,
    worker: Worker,
    listener: TcpListener,
    coordinator: IpAddr,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: u64,
    programs: Programs,
    /// When the worker wants to be called, by its own clock.
    wait: Option<Timestamp>,
    end: Option<Ending>,
    buffer: Vec<u8>,
    /// Inputs since the time went on.
    inputs_at: (Timestamp, usize),
}

struct Connection {
    socket: Socket,
    /// It comes from the host of the coordinators.
    is_coordinators: bool,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The worker says so.
    Finished,
    /// It was killed.
    Killed,
    /// It was killed, and another one is to begin.
    Replaced,
}

enum Input {
    Command(Command),
    Accepted(TcpStream, SocketAddr),
    Socket(ConnectionId, Ready),
    Time,
}

impl Process {
    /// A process that has just begun.
    pub(super) fn new(host: Rc<Host>, config: WorkerConfig, listener: TcpListener) -> Self {
        let buffer = vec![0; host.network.read_len];
        Self {
            host,
            worker: Worker::new(config),
            listener,
            coordinator: ::turmoil::lookup(super::ORCHESTRATOR),
            connections: BTreeMap::new(),
            next_connection: 0,
            programs: Programs::default(),
            wait: None,
            end: None,
            buffer,
            inputs_at: (Timestamp::ZERO, 0),
        }
    }

    /// Serves until the process ends; returns whether another one is to begin at once.
    pub(super) async fn run(&mut self) -> bool {
        loop {
            self.carry_out();
            match self.end {
                Some(Ending::Finished) => {
                    self.host.is_up.set(false);
                    self.host.record.note(Observation::WorkerEnded(self.host.id));
                    return false;
                }
                Some(Ending::Killed | Ending::Replaced) => {
                    self.host.lose_process(now());
                    return self.end == Some(Ending::Replaced);
                }
                None => {}
            }
            let input = self.next_input().await;
            self.check_rest().await;
            self.handle(input);
            self.carry_out();
            self.time_out();
        }
    }

    async fn next_input(&mut self) -> Input {
        let wait = self.wait.map(|at| self.host.clock.when(at));
        let next = [wait, self.programs.next()].into_iter().flatten().min();
        let Self { host, listener, connections, buffer, .. } = self;
        let mut accepting = pin!(listener.accept());
        let mut alarm = pin!(alarm(next));
        poll_fn(|context| {
            if let Poll::Ready(command) = host.mailbox.poll(context) {
                return Poll::Ready(Input::Command(command));
            }
            for (id, connection) in connections.iter_mut() {
                if let Poll::Ready(ready) = connection.socket.poll(context, buffer) {
                    return Poll::Ready(Input::Socket(*id, ready));
                }
            }
            if let Poll::Ready(Ok((stream, peer))) = accepting.as_mut().poll(context) {
                return Poll::Ready(Input::Accepted(stream, peer));
            }
            alarm.as_mut().poll(context).map(|()| Input::Time)
        })
        .await
    }

    // --- inputs ---

    fn handle(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.obey(command),
            Input::Accepted(stream, peer) => self.accept(stream, peer),
            Input::Socket(id, Ready::Writable) => self.send(id),
            Input::Socket(id, Ready::Bytes(len)) => self.receive(id, len),
            Input::Socket(id, Ready::End | Ready::Broken(_)) => self.lose(id),
            Input::Time => {}
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Kill => self.end = Some(Ending::Killed),
            Command::Begin => self.end = Some(Ending::Replaced),
            Command::ShutDown => {
                self.host.record.note(Observation::ShutDown(self.host.id));
                self.worker.handle_shutdown(self.local_now());
            }
            Command::KillProgram => self.programs.signal(9, now()),
            Command::Break(before) => {
                let is_old = |c: &Connection| c.is_coordinators && c.socket.opened_at <= before;
                let old = self.connections.iter().filter(|(_, c)| is_old(c)).map(|(id, _)| *id);
                for id in old.collect::<Vec<_>>() {
                    self.lose(id);
                    self.carry_out();
                }
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, peer: SocketAddr) {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let is_coordinators = peer.ip() == self.coordinator;
        self.connections.insert(id, Connection { socket: Socket::new(stream), is_coordinators });
        self.worker.handle_accepted(id, self.host.entropy(), self.local_now());
    }

    fn receive(&mut self, id: ConnectionId, len: usize) {
        let is_coordinators = self.connections.get(&id).is_some_and(|c| c.is_coordinators);
        if is_coordinators {
            self.host.record.note(Observation::Arrived(self.host.id, End::Worker, len));
        }
        if !is_coordinators {
            // What is due by now is not the stranger's doing.
            self.worker.handle_timeout(self.local_now());
        }
        let before = self.worker_state();
        self.worker.handle_bytes(id, &self.buffer[..len], self.local_now());
        if !is_coordinators && before != self.worker_state() {
            let text = format!("a stranger takes {} from {before:?}", self.host.id);
            self.host.record.breach(Promise::Intruders, text);
        }
    }

    fn worker_state(&self) -> (&'static str, u32, bool) {
        (self.worker.state(), self.worker.repetition(), self.worker.is_attached())
    }

    /// The connection is no more.
    fn lose(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.worker.handle_end(id, self.local_now());
    }

    /// What time brings: to the program, and to the worker.
    fn time_out(&mut self) {
        while self.end.is_none()
            && let Some(change) = self.programs.change(now())
        {
            self.tell(change);
            self.carry_out();
        }
        self.worker.handle_timeout(self.local_now());
    }

    fn tell(&mut self, change: Change) {
        let (id, local_now) = (self.host.id, self.local_now());
        let record = &self.host.record;
        match change {
            Change::Runs => {
                record.note(Observation::Running(id));
                record.say(id, Kind::Program, || "the program runs".into());
                self.worker.handle_started(local_now);
            }
            Change::StartFailed(failure) => {
                record.note(Observation::StartFailed(id));
                record.say(id, Kind::Program, || failure.to_string());
                self.worker.handle_start_failed(failure, local_now);
            }
            Change::Ended { outcome, before_listening } => {
                record.note(Observation::Ended(id, Box::new(outcome.clone())));
                record.say(id, Kind::Program, || format!("the program ends, {}", outcome.exit));
                if before_listening && id.group == Group::Server {
                    let failure = StartFailure::EndedBeforeListening { port: PROGRAM_PORT, outcome };
                    self.worker.handle_start_failed(failure, local_now);
                } else {
                    self.worker.handle_program_ended(outcome, local_now);
                }
            }
        }
    }

    // --- outputs ---

    fn carry_out(&mut self) {
        for _ in 0..OUTPUTS_AT_ONCE_MAX {
            match self.worker.poll_output() {
                Output::Transmit(id) => self.send(id),
                Output::Close(id) => {
                    self.connections.remove(&id);
                }
                Output::Start { program: _, repetition } => self.start(repetition),
                Output::CheckKernel(id) => {
                    if let Some(connection) = self.connections.get(&id) {
                        self.worker.handle_kernel_counters(id, connection.socket.traffic);
                    }
                }
                Output::Terminate => self.terminate(),
                Output::Kill => {
                    self.host.record.say(self.host.id, Kind::Program, || "KILL".into());
                    self.programs.signal(9, now());
                }
                Output::Event(event) => {
                    if matches!(event, Event::Attached(_)) {
                        self.host.has_met_coordinator.set(true);
                    }
                    self.host.record.say(self.host.id, Kind::Event, || event.to_string());
                }
                Output::Finished(reason) => {
                    self.host.record.say(self.host.id, Kind::Event, || format!("ends: {reason}"));
                    self.end = self.end.or(Some(Ending::Finished));
                }
                Output::Wait(at) => {
                    self.wait = at;
                    return self.check_limits();
                }
            }
        }
        self.host.record.breach(Promise::Rest, format!("{} has no end of outputs", self.host.id));
    }

    fn send(&mut self, id: ConnectionId) {
        while !self.worker.outgoing(id).is_empty() {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let waiting = self.worker.outgoing(id);
            let len = self.host.network.piece_len(waiting.len(), &self.host.random);
            match connection.socket.send(&waiting[..len]) {
                Ok(0) => return,
                Ok(len) => {
                    if connection.is_coordinators {
                        self.host.record.note(Observation::Sent(self.host.id, End::Worker, len));
                    }
                    self.worker.handle_sent(id, len, self.local_now());
                }
                Err(_) => return self.lose(id),
            }
        }
    }

    fn start(&mut self, repetition: u32) {
        let id = self.host.id;
        self.host.record.note(Observation::Started(id, repetition));
        self.host.record.say(id, Kind::Program, || "starts its program".into());
        if self.programs.is_any() {
            let text = format!("{id} starts a program while another one runs");
            self.host.record.breach(Promise::Contract, text);
        }
        self.programs.start(self.host.script.borrow().clone(), now());
    }

    fn terminate(&mut self) {
        self.host.record.note(Observation::Terminated(self.host.id));
        let heeds = self.programs.terminate(now());
        self.host.record.say(self.host.id, Kind::Program, || {
            if heeds { "TERM".into() } else { "TERM, which the program ignores".into() }
        });
    }

    // --- promises ---

    fn check_limits(&self) {
        let longest = self.connections.keys().map(|id| self.worker.outgoing(*id).len()).max().unwrap_or(0);
        let host = self.host.id;
        if longest > MAX_OUTGOING_LEN {
            self.host.record.breach(Promise::Limits, format!("{longest} bytes wait at {host}"));
        }
        if self.connections.len() > MAX_GREETINGS + 1 {
            let text = format!("{host} has {} connections", self.connections.len());
            self.host.record.breach(Promise::Limits, text);
        }
    }

    /// A machine that goes on without end while time stands still is left alone for ever.
    async fn check_rest(&mut self) {
        let (at, inputs) = self.inputs_at;
        self.inputs_at = if at == now() { (at, inputs + 1) } else { (now(), 1) };
        if self.inputs_at.1 > INPUTS_AT_ONCE_MAX {
            let text = format!("{} goes on without end while time stands still", self.host.id);
            self.host.record.breach(Promise::Rest, text);
            std::future::pending::<()>().await;
        }
    }

    fn local_now(&self) -> Timestamp {
        self.host.clock.read(now())
    }
}
