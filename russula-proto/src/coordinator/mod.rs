//! The coordinator: brings one group of workers through a workflow, repetition by repetition.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Coordinator::poll_output`] until it says [`Output::Wait`].

mod config;
mod dialing;
mod failure;
mod group;
mod output;
mod peer;
mod schedule;

use crate::identity::Identity;
use crate::link::LinkError;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire::{Goal, Hello, Position, Report, Stage, Target, Welcome, WorkerMessage};
use crate::workflow::{CoordinatorWorkflow, Group, Milestone};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use peer::{Connection, Peer};
use schedule::Schedule;

pub use config::{CoordinatorConfig, CoordinatorLimits, Phase};
pub use failure::{Failure, PeerError, Waiting};
pub use output::{Event, Output, PeerView};

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
    schedule: Schedule,
    deadline: Option<(Phase, Timestamp)>,
    finishing: Option<Timestamp>,
    finished: bool,
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
            schedule: Schedule::default(),
            deadline: None,
            finishing: None,
            finished: false,
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
            stage: peer.stage,
            ending: peer.ending.as_ref(),
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
        assert!(repetition > self.repetition, "repetitions grow");
        assert!(self.repetition == 0 || self.workflow.has_reached(Milestone::Done), "one after another");
        self.repetition = repetition;
        self.program = program;
        self.workflow = self.config.group.coordinator();
        self.till = None;
        self.announced = None;
        self.aborted = false;
        self.failure = None;
        self.census = [0; Stage::ALL.len()];
        for peer in &mut self.peers {
            peer.begin_repetition();
            if !peer.is_gone() {
                self.census[Stage::Idle as usize] += 1;
            }
        }
        self.tell_everyone();
        if let Some(index) = self.peers.iter().position(Peer::is_gone) {
            let error = self.peers[index].last_error.clone().unwrap_or(PeerError::Closed);
            self.fail(Failure::Lost { index, error });
        }
        self.settle(now);
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
                if self.peers[index].is_up() {
                    self.tell(index);
                } else {
                    self.give_up(index);
                }
            }
            self.settle(now);
        }
    }

    // --- inputs ---

    /// The socket of worker `index` is connected.
    pub fn handle_connected(&mut self, index: usize, _now: Timestamp) {
        let identity = Identity {
            run: self.config.run.clone(),
            group: self.config.group,
            index: u16::try_from(index).expect("the group has at most 65,535 workers"),
        };
        if matches!(self.peers[index].connection, Connection::Dialing) {
            let (session, work) = (self.config.session, self.config.work);
            self.peers[index].open(Hello { worker: identity, session, work });
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    /// Bytes have arrived from worker `index`.
    pub fn handle_bytes(&mut self, index: usize, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
            if self.peers[index].is_dismissed {
                return;
            }
            let Some(link) = self.peers[index].link_mut() else { return };
            match link.receive::<WorkerMessage>(&mut bytes) {
                Ok(Some(message)) => {
                    self.peers[index].last_contact = Some(now);
                    self.handle_message(index, message);
                }
                Ok(None) => return,
                Err(error) => self.reject(index, Failure::Protocol { index, error }),
            }
            // Each message is brought to rest by itself: how the bytes were split makes no difference. The
            // peer hears what follows from it, and not what was wanted of it before.
            self.settle(now);
            self.tell(index);
        }
    }

    /// Worker `index` has closed its side.
    pub fn handle_end(&mut self, index: usize, now: Timestamp) {
        let Some(link) = self.peers[index].link() else { return };
        let error = match link.handle_end() {
            Ok(()) => PeerError::Closed,
            Err(LinkError::Truncated) => PeerError::Truncated,
            Err(error @ (LinkError::Stranger(_) | LinkError::Version { .. } | LinkError::Decode(_))) => {
                return self.reject(index, Failure::Protocol { index, error });
            }
        };
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
            self.tell(index);
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

    // --- messages ---

    fn handle_message(&mut self, index: usize, message: WorkerMessage) {
        let greeting = matches!(self.peers[index].connection, Connection::Greeting(_));
        match message {
            WorkerMessage::Welcome(welcome) if greeting => self.handle_welcome(index, welcome),
            WorkerMessage::Refused(refusal) if greeting => {
                self.reject(index, Failure::Refused { index, refusal });
            }
            WorkerMessage::Report(report) if !greeting => self.handle_report(index, report),
            WorkerMessage::Welcome(_) | WorkerMessage::Refused(_) | WorkerMessage::Report(_) => {
                self.reject(index, Failure::OutOfOrder { index });
            }
        }
    }

    fn handle_welcome(&mut self, index: usize, welcome: Welcome) {
        self.clear_timer(index);
        let restarted = self.peers[index].welcome(welcome);
        self.event(Event::Connected(index));
        let stage = self.peers[index].stage;
        if restarted && (Stage::Starting..=Stage::Running).contains(&stage) {
            self.fail(Failure::Restarted { index });
        }
        if restarted && stage < Stage::Ended {
            self.set_stage(index, Stage::Idle);
        }
    }

    fn handle_report(&mut self, index: usize, report: Report) {
        let stage = report.position.stage();
        if report.repetition != self.repetition || stage <= self.peers[index].stage {
            return;
        }
        if let Position::Ended(ending) = report.position {
            let failed = self.workflow.is_failure(&ending) && !self.aborted;
            self.peers[index].ending = Some(ending.clone());
            if failed {
                self.fail(Failure::Worker { index, ending });
            }
        }
        self.set_stage(index, stage);
        self.event(Event::Worker(index, stage));
    }

    // --- one worker ---

    /// Says to a worker what is to be said, if its connection has room.
    fn tell(&mut self, index: usize) {
        let finishing = self.finishing.is_some();
        let goal = Goal {
            repetition: self.repetition,
            program: self.program,
            // A worker whose ending has arrived may forget it, whatever the others do.
            target: match self.peers[index].ending {
                Some(_) => Target::Release,
                None => self.workflow.target(),
            },
        };
        let peer = &mut self.peers[index];
        let queued = if finishing { peer.say_finish() } else { self.repetition > 0 && peer.say(goal) };
        if queued {
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    fn tell_everyone(&mut self) {
        for index in 0..self.peers.len() {
            self.tell(index);
        }
    }

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
