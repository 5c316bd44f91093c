//! The coordinator: brings one group of workers through a workflow, repetition by repetition.
//!
//! The caller's contract is that of the crate: pass every input with the time, then drain
//! [`Coordinator::poll_output`] until it says [`Output::Wait`].

mod failure;
mod peer;
mod schedule;

use crate::identity::{Identity, RunId};
use crate::link::LinkError;
use crate::outcome::Ending;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire::{Goal, Position, Report, Stage, Target, Welcome, WorkerMessage};
use crate::workflow::{CoordinatorInput, CoordinatorWorkflow, Group, Milestone};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use peer::{Connection, Peer};
use schedule::Schedule;

pub use failure::{Failure, PeerError, Waiting};

/// What a coordinator is told when it is made.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// The run that the workers belong to.
    pub run: RunId,
    /// The group, which decides the workflow.
    pub group: Group,
    /// How many workers the group has.
    pub workers: u16,
    /// Its deadlines.
    pub limits: CoordinatorLimits,
    /// A random number for the jitter of the back-off.
    pub seed: u64,
}

/// How long a coordinator waits.
#[derive(Clone, Copy, Debug)]
pub struct CoordinatorLimits {
    /// For one attempt to connect and be welcomed.
    pub attempt: Duration,
    /// Before the second attempt; doubled for each one after it.
    pub backoff_min: Duration,
    /// Most time between two attempts.
    pub backoff_max: Duration,
    /// For a worker whose connection broke to be reached again.
    pub reconnect: Duration,
    /// For all workers to be ready.
    pub ready: Duration,
    /// For all programs to run.
    pub start: Duration,
    /// For all programs to end by themselves.
    pub run: Duration,
    /// For all programs to end after they were told to stop.
    pub stop: Duration,
}

impl Default for CoordinatorLimits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(5),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(2),
            reconnect: Duration::from_secs(30),
            ready: Duration::from_secs(30),
            start: Duration::from_secs(30),
            run: Duration::from_secs(3600),
            stop: Duration::from_secs(15),
        }
    }
}

/// The part of a repetition that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All workers are to become ready.
    Ready,
    /// All programs are to run.
    Start,
    /// All programs are to end by themselves.
    Run,
    /// All programs are to be stopped.
    Stop,
}

/// What the caller is to do. `usize` is a worker's index in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the worker; then [`Coordinator::handle_connected`] or [`Coordinator::handle_connection_failed`].
    Dial(usize),
    /// Write [`Coordinator::outgoing`] of this worker to its socket.
    Transmit(usize),
    /// Close this worker's socket, or give up dialing it.
    Close(usize),
    /// Something happened.
    Event(Event),
    /// Nothing more until the next input or this time.
    Wait(Option<Timestamp>),
}

/// What happened, for the caller and for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The workflow's state changed.
    State {
        /// The repetition.
        repetition: u32,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
    },
    /// A worker has answered.
    Connected(usize),
    /// A worker's connection is gone; it is dialed again.
    Disconnected(usize, PeerError),
    /// A worker is somewhere else than before.
    Worker(usize, Stage),
    /// The group has reached a milestone that was asked for. [`Milestone::Done`] comes also after a failure.
    Reached(Milestone),
    /// The repetition has failed; whatever runs is being stopped, and `Reached(Done)` follows.
    Failed(Failure),
    /// All connections are closed after [`Coordinator::finish`].
    Finished,
}

/// What is known of a worker.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// Whether there is a connection on which the worker has answered.
    pub is_connected: bool,
    /// How far it is in this repetition.
    pub stage: Stage,
    /// How its part in this repetition ended.
    pub ending: Option<&'a Ending>,
    /// What it said of itself.
    pub welcome: Option<&'a Welcome>,
    /// When it last said something.
    pub last_contact: Option<Timestamp>,
    /// What last went wrong with it.
    pub last_error: Option<&'a PeerError>,
}

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
            lot: config.seed | 1,
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
            is_connected: peer.is_up(),
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
    pub fn run_till(&mut self, milestone: Milestone, now: Timestamp) {
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
            self.peers[index].open(identity);
            self.outputs.push_back(Output::Transmit(index));
        }
    }

    /// Bytes have arrived from worker `index`.
    pub fn handle_bytes(&mut self, index: usize, mut bytes: &[u8], now: Timestamp) {
        while !bytes.is_empty() {
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

    // --- the group ---

    /// Brings everything that follows from the inputs to rest.
    fn settle(&mut self, now: Timestamp) {
        if self.repetition > 0 {
            while self.step() {
                self.tell_everyone();
            }
            self.announce();
        }
        self.set_deadline(now);
        self.finish_if_due();
    }

    /// Applies what holds to the workflow; the only place where its state changes.
    fn step(&mut self) -> bool {
        let from = self.workflow.name();
        let slowest = Stage::ALL.into_iter().find(|stage| self.census[*stage as usize] > 0);
        let inputs = [
            self.aborted.then_some(CoordinatorInput::Abort),
            Some(CoordinatorInput::All(slowest.unwrap_or(Stage::Released))),
            self.till.map(CoordinatorInput::Till),
        ];
        let changed = inputs.into_iter().flatten().any(|input| self.workflow.handle(input));
        if changed {
            let to = self.workflow.name();
            self.event(Event::State { repetition: self.repetition, from, to });
        }
        changed
    }

    /// Announces the milestones that were asked for and are reached; after an abort only the last.
    fn announce(&mut self) {
        for milestone in Milestone::ALL {
            let due = self.till >= Some(milestone) && self.announced < Some(milestone);
            let reached = self.workflow.has_reached(milestone);
            if due && reached && (!self.aborted || milestone == Milestone::Done) {
                self.announced = Some(milestone);
                self.event(Event::Reached(milestone));
            }
        }
    }

    /// Gives the repetition under way up, if there is one.
    fn fail(&mut self, failure: Failure) {
        let under_way = self.repetition > 0 && !self.workflow.has_reached(Milestone::Done);
        if self.failure.is_none() && under_way && self.finishing.is_none() {
            self.failure = Some(failure.clone());
            self.event(Event::Failed(failure));
            self.stop_everything();
        }
    }

    fn stop_everything(&mut self) {
        self.till = Some(Milestone::Done);
        self.aborted = true;
        for index in 0..self.peers.len() {
            // Nothing was ever said to a worker that never answered: there is nothing to stop and to wait for.
            if self.peers[index].welcome.is_none() && !self.peers[index].is_gone() {
                self.peers[index].ending = Some(Ending::NotStarted);
                self.set_stage(index, Stage::Released);
            }
        }
    }

    fn phase(&self) -> Option<Phase> {
        let has = |milestone| self.workflow.has_reached(milestone);
        if self.repetition == 0 || has(Milestone::Done) || self.finishing.is_some() {
            return None;
        }
        match self.workflow.target() {
            Target::Ready => (self.till.is_some() && !has(Milestone::Ready)).then_some(Phase::Ready),
            Target::Run if !has(Milestone::WorkersRunning) => Some(Phase::Start),
            Target::Run => (self.till == Some(Milestone::Done)).then_some(Phase::Run),
            Target::Stop | Target::Release => Some(Phase::Stop),
        }
    }

    /// Keeps the deadline of the phase under way, or sets that of a new one.
    fn set_deadline(&mut self, now: Timestamp) {
        let phase = self.phase();
        if self.deadline.map(|(phase, _)| phase) != phase {
            self.deadline = phase.map(|phase| (phase, now + self.limit(phase)));
        }
    }

    fn limit(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Ready => self.config.limits.ready,
            Phase::Start => self.config.limits.start,
            Phase::Run => self.config.limits.run,
            Phase::Stop => self.config.limits.stop,
        }
    }

    fn handle_deadline(&mut self, phase: Phase) {
        let wanted = match phase {
            Phase::Ready => Stage::Ready,
            Phase::Start => Stage::Running,
            Phase::Run => Stage::Ended,
            Phase::Stop => Stage::Released,
        };
        let mut late = self.behind(wanted);
        if late.is_empty() {
            // All programs are where they should be; some worker does not know yet that this was heard.
            late = self.behind(Stage::Released);
        }
        let waiting = Waiting::of(late.iter().map(|&index| (index, self.peers[index].last_error.clone())));
        self.fail(Failure::Deadline { phase, limit: self.limit(phase), waiting });
        if phase == Phase::Ready {
            // Whoever has not answered in that time is not waited for in the next repetition either.
            late.retain(|index| self.peers[*index].welcome.is_none());
            late.into_iter().for_each(|index| self.give_up(index));
        } else if phase == Phase::Stop {
            // Whoever could not be stopped is left to its host; the run goes on to its end.
            for index in late {
                self.peers[index].last_error.get_or_insert(PeerError::NotStopped);
                self.give_up(index);
            }
        }
    }

    /// The workers that are not at `stage` yet.
    fn behind(&self, stage: Stage) -> Vec<usize> {
        let behind = |peer: &Peer| !peer.is_gone() && peer.stage < stage;
        (0..self.peers.len()).filter(|index| behind(&self.peers[*index])).collect()
    }

    fn finish_if_due(&mut self) {
        if self.finishing.is_some() && self.peers.iter().all(Peer::is_gone) {
            self.finishing = None;
            self.finished = true;
            self.repetition = 0;
            self.event(Event::Finished);
        }
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

    fn dial(&mut self, index: usize, now: Timestamp) {
        self.peers[index].connection = Connection::Dialing;
        self.set_timer(index, now + self.config.limits.attempt);
        self.outputs.push_back(Output::Dial(index));
    }

    /// The connection, or the attempt to make one, has come to nothing: dials again later, or gives up.
    fn disconnect(&mut self, index: usize, error: PeerError, now: Timestamp) {
        let was_up = match self.peers[index].connection {
            Connection::Down | Connection::Gone => return,
            Connection::Dialing | Connection::Greeting(_) => false,
            Connection::Up(_) => true,
        };
        self.outputs.push_back(Output::Close(index));
        self.peers[index].connection = Connection::Down;
        if self.finishing.is_some() {
            return self.give_up(index);
        }
        if was_up {
            self.peers[index].down_since = now;
        }
        self.peers[index].last_error = Some(error.clone());
        self.event(Event::Disconnected(index, error.clone()));
        let known = self.peers[index].welcome.is_some();
        if known && now.since(self.peers[index].down_since) >= self.config.limits.reconnect {
            return self.reject(index, Failure::Lost { index, error });
        }
        self.lot = next_lot(self.lot);
        let lot = self.lot;
        let delay = self.peers[index].back_off(&self.config.limits, lot);
        self.set_timer(index, now + delay);
    }

    fn handle_peer_timeout(&mut self, index: usize, now: Timestamp) {
        match self.peers[index].connection {
            Connection::Down => self.dial(index, now),
            Connection::Dialing | Connection::Greeting(_) => {
                self.disconnect(index, PeerError::NoAnswer, now);
            }
            Connection::Up(_) | Connection::Gone => {}
        }
    }

    /// Gives a worker up for a fault that dialing again does not mend, and the repetition with it.
    fn reject(&mut self, index: usize, failure: Failure) {
        self.peers[index].last_error = Some(failure.peer_error());
        self.give_up(index);
        self.fail(failure);
    }

    fn give_up(&mut self, index: usize) {
        if self.peers[index].is_gone() {
            return;
        }
        self.clear_timer(index);
        self.census[self.peers[index].stage as usize] -= 1;
        if !matches!(self.peers[index].connection, Connection::Down) {
            self.outputs.push_back(Output::Close(index));
        }
        self.peers[index].connection = Connection::Gone;
    }

    fn set_timer(&mut self, index: usize, at: Timestamp) {
        self.clear_timer(index);
        self.peers[index].timer = Some(at);
        self.schedule.insert(at, index);
    }

    fn clear_timer(&mut self, index: usize) {
        if let Some(at) = self.peers[index].timer.take() {
            self.schedule.remove(at, index);
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// For the workers to close their connections after they were told that the run is over.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

/// The next number of a xorshift sequence; the jitter needs no better one.
fn next_lot(mut lot: u64) -> u64 {
    lot ^= lot << 13;
    lot ^= lot >> 7;
    lot ^= lot << 17;
    lot
}
