//! A worker over TCP: listens for its coordinator and hands its programs to whoever runs them.

use super::READ_BUFFER_LEN;
use super::socket::{Readable, Received, Socket};
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::entropy;
use crate::sock_diag::KernelSockets;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry, Token};
use russula_proto::worker::{Finish, Output};
use russula_proto::{ConnectionId, Entropy, Outcome, StartFailure, Timestamp, Worker};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

const LISTENER: Token = Token(0);
/// The token that [`Programs`] may register one source with.
const PROGRAM: Token = Token(1);
const SHUTDOWN: Token = Token(2);
const ALARM: Token = Token(3);
const FIRST_CONNECTION: u64 = 16;

/// Most connections accepted before the established ones get their turn again, so that a storm of
/// strangers does not keep the coordinator waiting.
const ACCEPTS_AT_ONCE_MAX: usize = 64;

/// Before the next attempt to accept, after the system was out of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a worker can run, one at a time.
pub trait Programs {
    /// A program is likely to be started soon, and then quickly. Called once or more before [`Self::start`], or not
    /// at all.
    fn prepare(&mut self, program: u16, repetition: u32) {
        let _ = (program, repetition);
    }

    /// Starts a program. That it runs is told by [`Self::wake`], at once or later.
    ///
    /// `registry` and `token` are for one source that makes the worker call [`Self::wake`] when it becomes readable.
    ///
    /// # Errors
    /// If the program cannot be started.
    fn start(
        &mut self,
        program: u16,
        repetition: u32,
        registry: &Registry,
        token: Token,
    ) -> Result<(), StartFailure>;

    /// Asks the program to end.
    fn terminate(&mut self);

    /// Ends the program.
    fn kill(&mut self);

    /// What has become of the program; called whenever the worker is awake, until it returns `None`.
    fn wake(&mut self, registry: &Registry) -> Option<ProgramsWake>;

    /// When [`Self::wake`] is to be called next, apart from the registered source.
    fn next_wake(&self) -> Option<Instant>;
}

/// What has become of a program.
#[derive(Clone, Debug)]
pub enum ProgramsWake {
    /// It runs; a server's port is bound.
    Started,
    /// It does not run.
    StartFailed(StartFailure),
    /// It has ended.
    Ended(Outcome),
}

/// One worker with its sockets.
#[derive(Debug)]
pub struct WorkerDriver<P> {
    poll: Poll,
    alarm: Alarm,
    clock: Clock,
    listener: TcpListener,
    accept_again: Option<Timestamp>,
    worker: Worker,
    programs: P,
    sockets: BTreeMap<ConnectionId, Socket>,
    next_connection: u64,
    finished: Option<Finish>,
    buffer: Vec<u8>,
    /// `None` if the kernel does not tell its counters.
    kernel: Option<KernelSockets>,
}

impl<P: Programs> WorkerDriver<P> {
    /// Listens at `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// If the address cannot be bound, or the system is out of file descriptors.
    pub fn bind(address: SocketAddr, worker: Worker, programs: P) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            alarm,
            clock: Clock::start(),
            listener,
            accept_again: None,
            worker,
            programs,
            sockets: BTreeMap::new(),
            next_connection: FIRST_CONNECTION,
            finished: None,
            buffer: vec![0; READ_BUFFER_LEN],
            kernel: KernelSockets::open()
                .inspect_err(|error| debug!("the quiet window cannot be checked: {error}"))
                .ok(),
        })
    }

    /// Reads at most `len` bytes at once, to try the core with small pieces.
    #[must_use]
    pub fn with_read_buffer(mut self, len: usize) -> Self {
        self.buffer = vec![0; len.max(1)];
        self
    }

    /// Where the worker listens.
    ///
    /// # Errors
    /// What the system says to it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Serves until the worker ends. `shutdown` is asked, whenever it is ready, whether the worker is to end.
    ///
    /// # Errors
    /// If the poll fails.
    pub fn run<S: Shutdown>(&mut self, shutdown: &mut S) -> io::Result<Finish> {
        shutdown.register(self.poll.registry(), SHUTDOWN)?;
        let mut events = Events::with_capacity(64);
        loop {
            let wait = self.carry_out();
            if let Some(reason) = self.finished {
                return Ok(reason);
            }
            let next_wake = self.next_wake(wait);
            let timeout = self.alarm.set(next_wake);
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    PROGRAM => {}
                    ALARM => self.alarm.handle_ready(),
                    SHUTDOWN => {
                        if shutdown.is_requested() {
                            self.worker.handle_shutdown(self.clock.now());
                        }
                    }
                    Token(connection) => {
                        self.handle_ready(ConnectionId(connection as u64), Readable::of(event));
                    }
                }
            }
            let now = self.clock.now();
            if self.accept_again.is_some_and(|at| at <= now) {
                self.accept();
            }
            self.worker.handle_timeout(now);
        }
    }

    /// When the worker has to be awake, whatever happens.
    fn next_wake(&self, wait: Option<Timestamp>) -> Option<Instant> {
        let core = [wait, self.accept_again].into_iter().flatten().min();
        [core.and_then(|at| self.clock.instant(at)), self.programs.next_wake()].into_iter().flatten().min()
    }

    /// Carries out what the worker wants, and tells it what became of its program, until both are at rest.
    fn carry_out(&mut self) -> Option<Timestamp> {
        loop {
            match self.worker.poll_output() {
                Output::Transmit(connection) => self.send(connection),
                Output::Close(connection) => self.close(connection),
                Output::Start { program, repetition } => self.start(program, repetition),
                Output::CheckKernel(connection) => self.check_kernel(connection),
                Output::Terminate => self.programs.terminate(),
                Output::Kill => {
                    warn!("the program did not end in time and is killed");
                    self.programs.kill();
                }
                Output::Event(event) => info!("{event}"),
                Output::Finished(reason) => self.finished = Some(reason),
                Output::Wait(until) => {
                    if let Some((program, repetition)) = self.worker.upcoming() {
                        self.programs.prepare(program, repetition);
                    }
                    if !self.wake_programs() {
                        return until;
                    }
                }
            }
        }
    }

    fn start(&mut self, program: u16, repetition: u32) {
        let started = self.programs.start(program, repetition, self.poll.registry(), PROGRAM);
        if let Err(failure) = started {
            warn!(repetition, program, "cannot start: {failure}");
            return self.worker.handle_start_failed(failure, self.clock.now());
        }
        // A program that runs already did so at this moment, and not when there is time to tell of it.
        self.wake_programs();
        // Where many workers of one machine start together, all of them do before any tells of it.
        std::thread::yield_now();
    }

    /// Whether there was news of the program.
    fn wake_programs(&mut self) -> bool {
        let Some(wake) = self.programs.wake(self.poll.registry()) else { return false };
        let now = self.clock.now();
        match wake {
            ProgramsWake::Started => self.worker.handle_started(now),
            ProgramsWake::StartFailed(failure) => self.worker.handle_start_failed(failure, now),
            ProgramsWake::Ended(outcome) => self.worker.handle_program_ended(outcome, now),
        }
        true
    }

    fn accept(&mut self) {
        self.accept_again = None;
        for _ in 0..ACCEPTS_AT_ONCE_MAX {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let connection = ConnectionId(self.next_connection);
                    self.next_connection += 1;
                    debug!(connection = connection.0, %peer, "accepted");
                    match Socket::accepted(stream, self.poll.registry(), token(connection)) {
                        Ok(socket) => {
                            let Some(entropy) = self.entropy() else { continue };
                            self.sockets.insert(connection, socket);
                            self.worker.handle_accepted(connection, entropy, self.clock.now());
                            // Before the next one: a coordinator that has said hello already is not
                            // taken for a silent stranger and does not make room for those behind it.
                            self.handle_ready(connection, Readable::Bytes);
                            self.carry_out();
                        }
                        Err(error) => warn!(%peer, "cannot serve a connection: {error}"),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!("cannot accept connections for now: {error}");
                    self.accept_again = Some(self.clock.now() + ACCEPT_RETRY);
                    return;
                }
            }
        }
        self.accept_again = Some(self.clock.now());
    }

    /// Fresh numbers for a connection. Without them it is not served: there is no handshake that is safe without.
    fn entropy(&self) -> Option<Entropy> {
        entropy::bytes().inspect_err(|error| warn!("no randomness for a connection: {error}")).ok()
    }

    fn check_kernel(&mut self, connection: ConnectionId) {
        let socket = self.sockets.get(&connection);
        let traffic = self.kernel.as_mut().zip(socket).and_then(|(kernel, s)| s.kernel_traffic(kernel));
        if let Some(traffic) = traffic {
            self.worker.handle_kernel_counters(connection, traffic);
        }
    }

    fn handle_ready(&mut self, connection: ConnectionId, readable: Readable) {
        self.send(connection);
        if readable == Readable::Nothing {
            return;
        }
        loop {
            let Some(socket) = self.sockets.get_mut(&connection) else { return };
            match socket.receive(&mut self.buffer) {
                Ok(Received::Bytes(len)) => {
                    self.worker.handle_bytes(connection, &self.buffer[..len], self.clock.now());
                    self.carry_out();
                    if readable.is_drained_by(len, self.buffer.len()) {
                        return;
                    }
                }
                Ok(Received::Nothing) => return,
                Ok(Received::End) => return self.end(connection),
                Err(error) => {
                    debug!(connection = connection.0, "the connection broke: {error}");
                    return self.end(connection);
                }
            }
        }
    }

    fn send(&mut self, connection: ConnectionId) {
        while !self.worker.outgoing(connection).is_empty() {
            let Some(socket) = self.sockets.get_mut(&connection) else { return };
            match socket.send(self.worker.outgoing(connection)) {
                Ok(0) => return,
                Ok(len) => self.worker.handle_sent(connection, len, self.clock.now()),
                Err(error) => {
                    debug!(connection = connection.0, "the connection broke: {error}");
                    return self.end(connection);
                }
            }
        }
    }

    fn end(&mut self, connection: ConnectionId) {
        self.close(connection);
        self.worker.handle_end(connection, self.clock.now());
    }

    fn close(&mut self, connection: ConnectionId) {
        if let Some(socket) = self.sockets.remove(&connection) {
            socket.close(self.poll.registry());
        }
    }
}

/// Something outside that can tell a worker to end: signals, the end of whoever started it.
pub trait Shutdown {
    /// Adds its sources to the poll.
    ///
    /// # Errors
    /// What the system says to it.
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// Whether the worker is to end; called when a source is ready.
    fn is_requested(&mut self) -> bool;
}

/// Nothing outside tells the worker to end.
impl Shutdown for () {
    fn register(&mut self, _: &Registry, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn is_requested(&mut self) -> bool {
        false
    }
}

fn token(ConnectionId(connection): ConnectionId) -> Token {
    Token(usize::try_from(connection).expect("fewer connections than addresses"))
}
