//! Coordinators over TCP: any number of groups on one thread and one poll.

use super::READ_BUFFER_LEN;
use super::socket::{Readable, Received, Socket};
use crate::clock::Clock;
use crate::entropy;
use crate::sock_diag::KernelSockets;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use russula_proto::coordinator::{Event, Output};
use russula_proto::{Coordinator, CoordinatorConfig, Failure, Milestone, Timestamp};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Tokens below this number are the caller's, for [`Coordinators::register`].
pub const WAKEUP_TOKENS: usize = 1 << 20;

/// Most workers of a group.
const GROUP_SIZE_MAX: usize = 1 << 16;

/// One of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(usize);

/// What [`Coordinators::wait`] returns with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A coordinator has something to say.
    Event(GroupId, Event),
    /// A source that the caller registered is ready.
    Ready(Token),
}

/// Why [`Coordinators::run_till`] did not get there.
#[derive(Debug, thiserror::Error)]
pub enum RunTillError {
    /// The repetition failed; everything that ran has been stopped.
    #[error("{0}")]
    Failed(Failure),
    /// The poll failed.
    #[error("the poll of the control connections failed")]
    Poll(#[from] io::Error),
}

/// Coordinators, each with the sockets to its workers.
#[derive(Debug)]
pub struct Coordinators {
    poll: Poll,
    clock: Clock,
    groups: Vec<Group>,
    notices: VecDeque<Notice>,
    buffer: Vec<u8>,
    /// `None` if the kernel does not tell its counters.
    kernel: Option<KernelSockets>,
}

#[derive(Debug)]
struct Group {
    coordinator: Coordinator,
    addresses: Vec<SocketAddr>,
    sockets: Vec<Option<Socket>>,
}

impl Coordinators {
    /// No groups yet.
    ///
    /// # Errors
    /// If the system gives no poll (out of file descriptors).
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            clock: Clock::start(),
            groups: Vec::new(),
            notices: VecDeque::new(),
            buffer: vec![0; READ_BUFFER_LEN],
            kernel: KernelSockets::open()
                .inspect_err(|error| tracing::debug!("the quiet window cannot be checked: {error}"))
                .ok(),
        })
    }

    /// Reads at most `len` bytes at once, to try the core with small pieces.
    #[must_use]
    pub fn with_read_buffer(mut self, len: usize) -> Self {
        self.buffer = vec![0; len.max(1)];
        self
    }

    /// Adds a group whose workers listen at `addresses`, and begins to dial them.
    ///
    /// # Panics
    /// If there are not as many addresses as workers.
    pub fn add(&mut self, config: CoordinatorConfig, addresses: Vec<SocketAddr>) -> GroupId {
        assert_eq!(addresses.len(), usize::from(config.workers), "one address per worker");
        let sockets = addresses.iter().map(|_| None).collect();
        let coordinator = Coordinator::new(config, self.clock.now());
        self.groups.push(Group { coordinator, addresses, sockets });
        let group = GroupId(self.groups.len() - 1);
        self.carry_out(group);
        group
    }

    /// Adds a source that wakes [`Self::wait`] when it becomes readable. `token` is below [`WAKEUP_TOKENS`].
    ///
    /// # Errors
    /// What the system says to it.
    pub fn register(&mut self, source: &mut impl Source, token: Token) -> io::Result<()> {
        assert!(token.0 < WAKEUP_TOKENS, "larger tokens are taken");
        self.poll.registry().register(source, token, Interest::READABLE)
    }

    /// A group's coordinator.
    pub fn get(&self, group: GroupId) -> &Coordinator {
        &self.groups[group.0].coordinator
    }

    /// Calls `f` with a group's coordinator and the time, and carries out what follows from it.
    pub fn with<T>(&mut self, group: GroupId, f: impl FnOnce(&mut Coordinator, Timestamp) -> T) -> T {
        let result = f(&mut self.groups[group.0].coordinator, self.clock.now());
        self.carry_out(group);
        result
    }

    /// As [`Self::with`], for two groups at once.
    ///
    /// # Panics
    /// If they are the same.
    pub fn with_both<T>(
        &mut self,
        (one, other): (GroupId, GroupId),
        f: impl FnOnce(&mut Coordinator, &mut Coordinator, Timestamp) -> T,
    ) -> T {
        let now = self.clock.now();
        let [a, b] = self.groups.get_disjoint_mut([one.0, other.0]).expect("two different groups");
        let result = f(&mut a.coordinator, &mut b.coordinator, now);
        self.carry_out(one);
        self.carry_out(other);
        result
    }

    /// Serves all connections until there is a notice, or `timeout` has passed.
    ///
    /// # Errors
    /// If the poll fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Option<Notice>> {
        if let Some(notice) = self.notices.pop_front() {
            return Ok(Some(notice));
        }
        let end = timeout.map(|timeout| self.clock.now() + timeout);
        let mut events = Events::with_capacity(1024);
        loop {
            let mut next = end;
            for index in 0..self.groups.len() {
                next = [next, self.carry_out(GroupId(index))].into_iter().flatten().min();
            }
            if let Some(notice) = self.notices.pop_front() {
                return Ok(Some(notice));
            }
            match self.poll.poll(&mut events, next.map(|at| self.clock.until(at))) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                self.handle_ready(event);
            }
            let now = self.clock.now();
            for group in &mut self.groups {
                group.coordinator.handle_timeout(now);
            }
            if self.notices.is_empty() && end.is_some_and(|end| end <= now) {
                return Ok(None);
            }
        }
    }

    /// Begins repetition `number` of a group with `program`, the index of one of its workers' programs.
    ///
    /// # Panics
    /// As [`Coordinator::begin`].
    pub fn begin(&mut self, group: GroupId, number: u32, program: u16) {
        self.with(group, |coordinator, now| coordinator.begin(number, program, now));
    }

    /// Takes a group to `milestone` and waits until it is there, whatever notices pass by meanwhile.
    ///
    /// # Errors
    /// If the repetition fails, in this group or in another one that has begun it; then everything that ran in
    /// all of them has been stopped, as far as it can be reached. [`Coordinator::failure`] tells whose it was.
    pub fn run_till(&mut self, group: GroupId, milestone: Milestone) -> Result<(), RunTillError> {
        self.with(group, |coordinator, now| coordinator.run_till(milestone, now));
        let repetition = self.get(group).repetition();
        loop {
            let mut begun = self.groups.iter().filter(|group| group.coordinator.repetition() == repetition);
            if let Some(failure) = begun.find_map(|group| group.coordinator.failure().cloned()) {
                self.stop(repetition)?;
                return Err(RunTillError::Failed(failure));
            }
            if self.get(group).reached() >= Some(milestone) {
                return Ok(());
            }
            self.wait(None)?;
        }
    }

    /// Gives `repetition` up in every group that has begun it, and waits until nothing of it runs any more.
    fn stop(&mut self, repetition: u32) -> io::Result<()> {
        let ids = || (0..self.groups.len()).map(GroupId);
        let begun: Vec<_> = ids().filter(|id| self.get(*id).repetition() == repetition).collect();
        for &group in &begun {
            self.with(group, Coordinator::abort);
        }
        while begun.iter().any(|group| self.get(*group).reached() != Some(Milestone::Done)) {
            self.wait(None)?;
        }
        Ok(())
    }

    /// Tells all workers that the run is over and waits until their connections are closed.
    ///
    /// # Errors
    /// If the poll fails.
    pub fn finish(&mut self) -> io::Result<()> {
        for index in 0..self.groups.len() {
            self.with(GroupId(index), |coordinator, now| coordinator.finish(now));
        }
        while self.groups.iter().any(|group| !group.coordinator.is_finished()) {
            self.wait(None)?;
        }
        Ok(())
    }

    /// Carries out what a coordinator wants until it wants to wait; returns until when.
    fn carry_out(&mut self, id: GroupId) -> Option<Timestamp> {
        let group = &mut self.groups[id.0];
        loop {
            match group.coordinator.poll_output() {
                Output::Dial(index) => {
                    let address = group.addresses[index];
                    match Socket::dial(address, self.poll.registry(), token(id, index)) {
                        Ok(socket) => group.sockets[index] = Some(socket),
                        Err(error) => {
                            let now = self.clock.now();
                            group.coordinator.handle_connection_failed(
                                index,
                                &dial_error(address, &error),
                                now,
                            );
                        }
                    }
                }
                Output::Transmit(index) => group.send(index, &self.clock, &self.poll),
                Output::Close(index) => group.close(index, &self.poll),
                Output::CheckKernel(index) => group.check_kernel(index, self.kernel.as_mut()),
                Output::Event(event) => self.notices.push_back(Notice::Event(id, event)),
                Output::Wait(until) => return until,
            }
        }
    }

    fn handle_ready(&mut self, event: &mio::event::Event) {
        let Some((id, index)) = worker_of(event.token()) else {
            return self.notices.push_back(Notice::Ready(event.token()));
        };
        let group = &mut self.groups[id.0];
        group.connect(index, &self.clock, &self.poll);
        group.send(index, &self.clock, &self.poll);
        group.receive(index, Readable::of(event), &self.clock, &self.poll, &mut self.buffer);
        self.carry_out(id);
    }
}

impl Group {
    fn connect(&mut self, index: usize, clock: &Clock, poll: &Poll) {
        let Some(socket) = &mut self.sockets[index] else { return };
        match socket.finish_connecting() {
            Ok(true) => match entropy::bytes() {
                Ok(entropy) => self.coordinator.handle_connected(index, entropy, clock.now()),
                Err(error) => self.fail(index, &format!("no randomness: {error}"), clock, poll),
            },
            Ok(false) => {}
            Err(error) => {
                let error = dial_error(self.addresses[index], &error);
                self.fail(index, &error, clock, poll);
            }
        }
    }

    fn send(&mut self, index: usize, clock: &Clock, poll: &Poll) {
        while !self.coordinator.outgoing(index).is_empty() {
            let Some(socket) = &mut self.sockets[index] else { return };
            match socket.send(self.coordinator.outgoing(index)) {
                Ok(0) => return,
                Ok(len) => self.coordinator.handle_sent(index, len, clock.now()),
                Err(error) => return self.fail(index, &error.to_string(), clock, poll),
            }
        }
    }

    fn receive(&mut self, index: usize, readable: Readable, clock: &Clock, poll: &Poll, buffer: &mut [u8]) {
        if readable == Readable::Nothing {
            return;
        }
        loop {
            let Some(socket) = &mut self.sockets[index] else { return };
            match socket.receive(buffer) {
                Ok(Received::Bytes(len)) => {
                    self.coordinator.handle_bytes(index, &buffer[..len], clock.now());
                    if readable.is_drained_by(len, buffer.len()) {
                        return;
                    }
                }
                Ok(Received::Nothing) => return,
                Ok(Received::End) => {
                    self.close(index, poll);
                    return self.coordinator.handle_end(index, clock.now());
                }
                Err(error) => return self.fail(index, &error.to_string(), clock, poll),
            }
        }
    }

    fn check_kernel(&mut self, index: usize, kernel: Option<&mut KernelSockets>) {
        let socket = self.sockets[index].as_ref();
        if let Some(traffic) = kernel.zip(socket).and_then(|(kernel, socket)| socket.kernel_traffic(kernel)) {
            self.coordinator.handle_kernel_counters(index, traffic);
        }
    }

    fn fail(&mut self, index: usize, error: &str, clock: &Clock, poll: &Poll) {
        self.close(index, poll);
        self.coordinator.handle_connection_failed(index, error, clock.now());
    }

    fn close(&mut self, index: usize, poll: &Poll) {
        if let Some(socket) = self.sockets[index].take() {
            socket.close(poll.registry());
        }
    }
}

fn dial_error(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot connect to {address}: {error}")
}

fn token(GroupId(group): GroupId, index: usize) -> Token {
    Token(WAKEUP_TOKENS + group * GROUP_SIZE_MAX + index)
}

fn worker_of(Token(token): Token) -> Option<(GroupId, usize)> {
    let worker = token.checked_sub(WAKEUP_TOKENS)?;
    Some((GroupId(worker / GROUP_SIZE_MAX), worker % GROUP_SIZE_MAX))
}
