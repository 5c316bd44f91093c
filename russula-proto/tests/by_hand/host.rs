//! A worker and its program in a run without a network.

use super::{outcome, worker_config};
use russula_proto::worker::Finish;
use russula_proto::{ConnectionId, Coordinator, Exit, Group, Timestamp, Traffic, Worker, worker};

/// A worker and its program.
pub(crate) struct Host {
    pub(crate) worker: Worker,
    group: Group,
    index: u16,
    /// How far its clock is ahead.
    pub(crate) clock_us: i64,
    /// Whether programs do at once what they are to do. Otherwise the test says when.
    pub(crate) is_prompt: bool,
    pub(crate) is_reachable: bool,
    pub(crate) cannot_be_killed: bool,
    /// Whether a kernel counts the bytes of the socket, at both ends.
    pub(crate) has_kernel: bool,
    /// Whether the kernel counts a byte more than there were, at the worker's end.
    pub(crate) kernel_is_wrong: bool,
    pub(crate) has_program: bool,
    pub(crate) was_told_to_stop: bool,
    /// Every start of a program: the repetition, and when.
    pub(crate) starts: Vec<(u32, Timestamp)>,
    pub(crate) finished: Option<Finish>,
    /// How many bytes of what the worker says get through; the rest is held.
    pub(crate) lets_through: Option<usize>,
    pub(super) held: Vec<u8>,
    pub(super) socket: Option<ConnectionId>,
    pub(super) carried: Traffic,
    restarts: u64,
}

impl Host {
    pub(super) fn new(group: Group, index: u16) -> Self {
        Self {
            worker: Worker::new(worker_config(group, index)),
            group,
            index,
            clock_us: 0,
            is_prompt: true,
            is_reachable: true,
            cannot_be_killed: false,
            has_kernel: true,
            kernel_is_wrong: false,
            has_program: false,
            was_told_to_stop: false,
            starts: vec![],
            finished: None,
            lets_through: None,
            held: vec![],
            socket: None,
            carried: Traffic::default(),
            restarts: 0,
        }
    }

    /// What the host's clock says.
    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        now.offset_by(self.clock_us)
    }

    pub(super) fn restart(&mut self) {
        self.restarts += 1;
        let mut config = worker_config(self.group, self.index);
        config.session += self.restarts;
        self.worker = Worker::new(config);
        self.has_program = false;
        self.was_told_to_stop = false;
        self.socket = None;
    }

    pub(super) fn socket_count(&self) -> u64 {
        self.socket.map_or(self.restarts << 32, |socket| socket.0 + 1)
    }

    pub(super) fn hang_up(&mut self, now: Timestamp) {
        if let Some(socket) = self.socket {
            self.worker.handle_end(socket, self.clock(now));
        }
    }

    pub(super) fn hear(&mut self, bytes: &[u8], now: Timestamp) {
        if let Some(socket) = self.socket {
            self.carried.received_bytes += bytes.len() as u64;
            self.worker.handle_bytes(socket, bytes, self.clock(now));
        }
    }

    pub(super) fn started(&mut self, now: Timestamp) {
        self.worker.handle_started(self.clock(now));
    }

    pub(super) fn ended(&mut self, exit: Exit, now: Timestamp) {
        assert!(self.has_program, "a program runs");
        self.has_program = false;
        self.worker.handle_program_ended(outcome(exit), self.clock(now));
    }

    pub(super) fn step(
        &mut self,
        index: usize,
        mut coordinator: Option<&mut Coordinator>,
        now: Timestamp,
    ) -> bool {
        let mut any = false;
        loop {
            match self.worker.poll_output() {
                worker::Output::Wait(_) => return any,
                worker::Output::Transmit(socket) => {
                    let bytes = self.worker.outgoing(socket).to_vec();
                    self.carried.sent_bytes += bytes.len() as u64;
                    self.worker.handle_sent(socket, bytes.len(), self.clock(now));
                    let len = self.lets_through.unwrap_or(bytes.len()).min(bytes.len());
                    self.lets_through = self.lets_through.map(|left| left - len);
                    self.held.extend_from_slice(&bytes[len..]);
                    if let Some(coordinator) = &mut coordinator {
                        coordinator.handle_bytes(index, &bytes[..len], now);
                    }
                }
                worker::Output::Close(socket) => {
                    if self.socket == Some(socket)
                        && let Some(coordinator) = &mut coordinator
                    {
                        coordinator.handle_end(index, now);
                    }
                }
                worker::Output::Start { repetition, .. } => {
                    assert!(!self.has_program, "one program at a time");
                    self.has_program = true;
                    self.was_told_to_stop = false;
                    self.starts.push((repetition, now));
                    if self.is_prompt {
                        self.started(now);
                    }
                }
                worker::Output::Terminate => {
                    self.was_told_to_stop = true;
                    if self.is_prompt {
                        self.ended(Exit::Signal(15), now);
                    }
                }
                worker::Output::Kill if self.cannot_be_killed => {}
                worker::Output::Kill => self.ended(Exit::Signal(9), now),
                worker::Output::CheckKernel(_) if !self.has_kernel => {}
                worker::Output::CheckKernel(socket) => {
                    let mut counted = self.carried;
                    counted.sent_bytes += u64::from(self.kernel_is_wrong);
                    self.worker.handle_kernel_counters(socket, counted);
                }
                worker::Output::Event(_) => {}
                worker::Output::Finished(why) => self.finished = Some(why),
            }
            any = true;
        }
    }
}
