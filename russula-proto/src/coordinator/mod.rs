//! The coordinator: brings one group of workers through a workflow, repetition by repetition.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Coordinator::poll_output`] until it says [`Output::Wait`].

mod clocks;
mod config;
mod dialing;
mod failure;
mod fingerprint;
mod group;
mod hearing;
mod output;
mod peer;
mod questions;
mod schedule;
mod speaking;
mod starts;
mod taking_over;
mod window;

use crate::noise::Entropy;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire::{Stage, WorkerMessage};
use crate::workflow::{CoordinatorWorkflow, Group, Milestone};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use peer::{Connection, Peer};
use questions::Questions;
use schedule::Schedule;
use window::Window;

pub use clocks::ClockOffset;
pub use config::{CoordinatorConfig, CoordinatorLimits, Phase};
pub use failure::{Failure, PeerError, Waiting};
pub use output::{Event, Output, PeerView};
pub use starts::StartSkew;

/// The coordinator of one group.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    workflow: Box<dyn CoordinatorWorkflow>,
    repetition: u32,
    program: u16,
    till: Option<Milestone>,
    announced: Option<Milestone>,
    aborted: bool,
    failure: Option<Failure>,
    peers: Vec<Peer>,
    /// How many peers that are not gone are in each stage.
    census: [usize; Stage::ALL.len()],
    /// How many peers have a connection or are to have one.
    open: usize,
    /// How many peers' clocks are still to be measured before the programs start together.
    unmeasured: usize,
    /// When the programs start together.
    start_at: Option<Timestamp>,
    /// Whether this repetition was begun by another process, which died.
    is_taken_over: bool,
    /// Whether that process may have told the workers to start.
    is_start_inherited: bool,
    window: Option<Window>,
    /// Whether anybody's part in this repetition has ended.
    has_heard_end: bool,
    /// Payload bytes of all control connections in both directions.
    control_bytes: u64,
    dials: u64,
    questions: Questions,
    schedule: Schedule,
    deadline: Option<(Phase, Timestamp)>,
    finishing: Option<Timestamp>,
    finished: bool,
    /// The longest time that a worker gives a program to end before it kills it.
    longest_kill_grace: Duration,
    lot: u64,
    outputs: VecDeque<Output>,
}

impl Coordinator {
    /// A coordinator that begins to dial its workers.
    pub fn new(config: CoordinatorConfig, now: Timestamp) -> Self {
        let peers: Vec<Peer> = (0..config.workers).map(|_| Peer::new(now)).collect();
        let mut census = [0; Stage::ALL.len()];
        census[Stage::Idle as usize] = peers.len();
        let mut coordinator = Self {
            workflow: config.group.coordinator(),
            repetition: 0,
            program: 0,
            till: None,
            announced: None,
            aborted: false,
            failure: None,
            census,
            open: peers.len(),
            unmeasured: 0,
            start_at: None,
            is_taken_over: false,
            is_start_inherited: false,
            window: None,
            has_heard_end: false,
            control_bytes: 0,
            dials: 0,
            questions: Questions::default(),
            schedule: Schedule::default(),
            deadline: None,
            finishing: None,
            finished: false,
            longest_kill_grace: Duration::ZERO,
            lot: config.session | 1,
            outputs: VecDeque::new(),
            peers,
            config,
        };
        for index in 0..coordinator.peers.len() {
            coordinator.dial(index, now);
        }
        coordinator
    }

    // --- what the coordinator knows ---

    /// The group.
    pub fn group(&self) -> Group {
        self.config.group
    }

    /// Name of the workflow's state.
    pub fn state(&self) -> &'static str {
        self.workflow.name()
    }

    /// The repetition under way; 0 before the first.
    pub fn repetition(&self) -> u32 {
        self.repetition
    }

    /// The last milestone reached in this repetition, of those that were asked for.
    pub fn reached(&self) -> Option<Milestone> {
        self.announced
    }

    /// When the programs were to start together, once that is decided. `None` if another process may have decided
    /// it, by another clock.
    pub fn start_at(&self) -> Option<Timestamp> {
        self.start_at.filter(|_| !self.is_start_inherited)
    }

    /// Whether the state is at or past `milestone`, whether that was asked for or not.
    pub(crate) fn is_past(&self, milestone: Milestone) -> bool {
        self.repetition > 0 && self.workflow.has_reached(milestone)
    }

    /// Whether [`Self::finish`] has come to its end.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The first failure of this repetition.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// What is known of worker `index`.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn peer(&self, index: usize) -> PeerView<'_> {
        let peer = &self.peers[index];
        PeerView {
            is_connected: peer.is_up() && !peer.is_gone(),
            is_given_up: peer.is_gone(),
            has_left: peer.has_left,
            stage: peer.stage,
            ending: peer.ending.as_ref(),
            clock: peer.clock.best(),
            started_at: peer.clock.best().zip(peer.started_at).map(|(clock, at)| clock.from_worker(at)),
            quiet: peer.quiet,
            welcome: peer.welcome.as_ref(),
            last_contact: peer.last_contact,
            last_error: peer.last_error.as_ref(),
        }
    }

    /// What is known of every worker, by index.
    pub fn peers(&self) -> impl Iterator<Item = PeerView<'_>> {
        (0..self.peers.len()).map(|index| self.peer(index))
    }

    /// Bytes that wait to be written to worker `index`.
    pub fn outgoing(&self, index: usize) -> &[u8] {
        self.peers[index].link().map_or(&[], |link| link.outgoing())
    }

    // --- what the user wants ---

    /// Begins a repetition with `program`, the index of one of the workers' programs.
    ///
    /// # Panics
    /// If `repetition` is not larger than the one before, or that one is not done.
    pub fn begin(&mut self, repetition: u32, program: u16, now: Timestamp) {
        self.begin_with(repetition, program, now);
        self.settle(now);
    }

    fn begin_with(&mut self, repetition: u32, program: u16, now: Timestamp) {
        assert!(repetition > self.repetition, "repetitions grow");
        assert!(self.repetition == 0 || self.workflow.has_reached(Milestone::Done), "one after another");
        self.repetition = repetition;
        self.program = program;
        self.workflow = self.config.group.coordinator();
        self.till = None;
        self.announced = None;
        self.aborted = false;
        self.failure = None;
        self.start_at = None;
        (self.is_taken_over, self.is_start_inherited) = (false, false);
        self.window = None;
        self.has_heard_end = false;
        let exchanges = if self.workflow.starts_together() { self.config.limits.clock_exchanges } else { 0 };
        self.census = [0; Stage::ALL.len()];
        self.unmeasured = 0;
        self.questions.clear();
        for peer in &mut self.peers {
            peer.begin_repetition(exchanges);
            if !peer.is_gone() {
                self.census[Stage::Idle as usize] += 1;
                self.unmeasured += usize::from(exchanges > 0);
            }
        }
        self.tell_everyone(now);
        if let Some(index) = self.peers.iter().position(Peer::is_gone) {
            let error = self.peers[index].last_error.clone().unwrap_or(PeerError::Closed);
            self.fail(Failure::Lost { index, error });
        }
    }

    /// Takes the group to `milestone`; [`Event::Reached`] tells when it is there.
    ///
    /// # Panics
    /// If no repetition was begun.
    pub fn run_till(&mut self, milestone: Milestone, now: Timestamp) {
        assert!(self.repetition > 0, "a repetition is begun first");
        self.till = self.till.max(Some(milestone));
        self.settle(now);
    }

    /// Gives the repetition up: what runs is stopped, and [`Milestone::Done`] is reached after that.
    pub fn abort(&mut self, now: Timestamp) {
        self.stop_everything();
        self.settle(now);
    }

    /// Tells the workers that the run is over and closes the connections; ends with [`Event::Finished`].
    pub fn finish(&mut self, now: Timestamp) {
        if self.finishing.is_none() && !self.finished {
            self.finishing = Some(now + FINISH_LIMIT);
            for index in 0..self.peers.len() {
                // The process before this one may have had everybody there.
                let was_there = self.peers[index].welcome.is_some() || self.config.incarnation > 0;
                match self.peers[index].connection {
                    // Whoever was there and is not connected at this moment is dialed again within the limit.
                    Connection::Down if was_there => self.dial(index, now),
                    Connection::Dialing | Connection::Greeting(_) if was_there => {}
                    Connection::Up(_) => self.tell(index, now),
                    Connection::Down | Connection::Dialing | Connection::Greeting(_) | Connection::Gone => {
                        self.give_up(index)
                    }
                }
            }
            self.settle(now);
        }
    }

    // --- inputs ---

    /// The socket of worker `index` is connected. `entropy` is fresh for every connection.
    pub fn handle_connected(&mut self, index: usize, entropy: Entropy, now: Timestamp) {
        self.greet(index, entropy);
        self.settle(now);
    }

    /// Bytes have arrived from worker `index`.
    pub fn handle_bytes(&mut self, index: usize, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
            let Some(link) = self.peers[index].link_mut() else { return };
            let before = bytes.len();
            let received = link.receive::<WorkerMessage>(&mut bytes);
            let message_len = link.last_frame_len();
            self.control_bytes += (before - bytes.len()) as u64;
            self.say_hello(index);
            match received {
                Ok(Some(message)) => {
                    self.peers[index].last_contact = Some(now);
                    self.handle_message(index, message, message_len, now);
                }
                Ok(None) => return,
                Err(error) if error.is_authenticated() => {
                    self.reject(index, Failure::Protocol { index, error });
                }
                // Anybody on the way can have done that; the worker itself may be well.
                Err(error) => self.disconnect(index, PeerError::Protocol(error), now),
            }
            // Each message is brought to rest by itself: how the bytes were split makes no difference. The
            // peer hears what follows from it, and not what was wanted of it before.
            self.settle(now);
            self.tell(index, now);
        }
    }

    /// Worker `index` has closed its side.
    pub fn handle_end(&mut self, index: usize, now: Timestamp) {
        let Some(link) = self.peers[index].link() else { return };
        let error = link.handle_end().map_or_else(PeerError::Protocol, |()| PeerError::Closed);
        self.disconnect(index, error, now);
        self.settle(now);
    }

    /// Worker `index` could not be dialed, or its connection broke; `error` is the system's word for it.
    pub fn handle_connection_failed(&mut self, index: usize, error: &str, now: Timestamp) {
        self.disconnect(index, PeerError::Connection(Text::tail_of(error)), now);
        self.settle(now);
    }

    /// Worker `index` will not come back: its host says so, out of band.
    pub fn handle_host_lost(&mut self, index: usize, reason: &str, now: Timestamp) {
        if !self.peers[index].is_gone() && self.finishing.is_none() {
            let error = PeerError::Host(Text::tail_of(reason));
            self.reject(index, Failure::Lost { index, error });
            self.settle(now);
        }
    }

    /// The socket has taken `len` bytes of [`Self::outgoing`].
    pub fn handle_sent(&mut self, index: usize, len: usize, now: Timestamp) {
        if let Some(link) = self.peers[index].link_mut() {
            link.handle_sent(len);
            self.control_bytes += len as u64;
            self.tell(index, now);
        }
        self.settle(now);
    }

    /// The time that [`Output::Wait`] named has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(index) = self.schedule.pop_expired(now) {
            self.peers[index].timer = None;
            self.handle_peer_timeout(index, now);
        }
        if let Some((phase, at)) = self.deadline
            && at <= now
        {
            self.deadline = None;
            self.handle_deadline(phase);
        }
        if self.finishing.is_some_and(|at| at <= now) {
            for index in 0..self.peers.len() {
                self.give_up(index);
            }
        }
        self.settle(now);
    }

    // --- output ---

    /// What to do next; to be called until it returns [`Output::Wait`].
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let phase = self.deadline.map(|(_, at)| at);
        Output::Wait([phase, self.finishing, self.schedule.next()].into_iter().flatten().min())
    }

    // --- inside ---

    fn set_stage(&mut self, index: usize, stage: Stage) {
        if !self.peers[index].is_gone() {
            self.census[self.peers[index].stage as usize] -= 1;
            self.census[stage as usize] += 1;
        }
        self.peers[index].stage = stage;
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// For the workers to close their connections after they were told that the run is over.
const FINISH_LIMIT: Duration = Duration::from_secs(2);
