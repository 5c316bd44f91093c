//! What the coordinator asks for, done; the caller's contract, checked; and what may follow from an input.

use super::Scene;
use super::host::Socket;
use russula_proto::coordinator::{Event, Output};
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::wire::{Position, Refusal, WorkerMessage};
use russula_proto::{Ending, Failure, Milestone, PeerError, Stage, Timestamp, Traffic};

/// What an input was.
pub(super) enum Cause {
    /// The user wants something.
    User,
    /// The user wants the run to end.
    Finish,
    /// Something on the way to a worker, that no worker has said.
    Path(usize),
    /// Messages of a worker.
    Messages(usize, Vec<WorkerMessage>),
    /// A host said out of band that it is gone.
    HostLost(usize),
    Time,
}

/// What the coordinator knows of its workers.
pub(super) struct Snapshot {
    repetition: u32,
    failure: Option<Failure>,
    peers: Vec<Known>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    stage: Stage,
    ending: Option<Ending>,
    is_connected: bool,
    is_given_up: bool,
    is_welcome: bool,
}

impl Scene {
    /// Does what the coordinator wants, until it wants nothing more.
    pub(super) fn drain(&mut self, cause: &Cause) {
        for _ in 0..OUTPUTS_MAX {
            let output = self.coordinator.poll_output();
            if let Output::Wait(at) = output {
                return self.rest(at);
            }
            self.obey(output, cause);
        }
        panic!("it does not come to rest");
    }

    fn obey(&mut self, output: Output, cause: &Cause) {
        match output {
            Output::Dial(index) => {
                let host = &mut self.hosts[index];
                assert!(matches!(host.socket, Socket::None), "worker {index} is dialed, or connected");
                assert!(self.finished == 0, "nobody is dialed once the run is over");
                host.socket = Socket::Dialed;
            }
            Output::Transmit(index) => {
                if let Some(connection) = self.hosts[index].connection() {
                    connection.is_announced = true;
                }
            }
            Output::Close(index) => {
                let socket = std::mem::replace(&mut self.hosts[index].socket, Socket::None);
                assert!(
                    !matches!(socket, Socket::None),
                    "the connection to worker {index} is closed already"
                );
            }
            Output::CheckKernel(index) => {
                self.coordinator.handle_kernel_counters(index, Traffic::default());
            }
            Output::Event(event) => self.note(event, cause),
            Output::Wait(_) => {}
        }
    }

    fn note(&mut self, event: Event, cause: &Cause) {
        match event {
            Event::State { repetition, from, to } => {
                assert_eq!((repetition, from), (self.words.repetition, self.state.as_str()));
                self.state = to.into();
            }
            Event::Connected(index) => {
                let is_welcome = |message: &WorkerMessage| matches!(message, WorkerMessage::Welcome(_));
                assert!(cause.has(index, is_welcome), "worker {index} has not answered");
            }
            Event::Disconnected(..) => {}
            Event::Worker(index, stage) => {
                let repetition = self.words.repetition;
                let says_so = |message: &WorkerMessage| {
                    matches!(message, WorkerMessage::Report(report)
                        if report.repetition == repetition && report.position.stage() == stage)
                };
                assert!(cause.has(index, says_so), "worker {index} has not said that it is {stage:?}");
            }
            Event::Reached(milestone) => self.note_reached(milestone),
            Event::Failed(failure) => assert_eq!(self.coordinator.failure(), Some(&failure)),
            Event::Finished => {
                assert!(self.is_finishing && self.coordinator.is_finished());
                self.finished += 1;
                assert_eq!(self.finished, 1, "a run ends once");
            }
        }
    }

    fn note_reached(&mut self, milestone: Milestone) {
        assert!(self.reached < Some(milestone), "{milestone} after {:?}", self.reached);
        self.reached = Some(milestone);
        let wanted = match milestone {
            Milestone::Ready => Stage::Ready,
            Milestone::WorkersRunning => Stage::Running,
            Milestone::Done => Stage::Released,
        };
        let is_there = |index| {
            let peer = self.coordinator.peer(index);
            // A probed worker has nothing that runs.
            peer.is_given_up || peer.stage >= wanted
        };
        assert!(
            (0..self.hosts.len()).all(is_there) || milestone != Milestone::Done,
            "not all are {wanted:?}"
        );
    }

    /// The coordinator is at rest, and stays there.
    fn rest(&mut self, at: Option<Timestamp>) {
        assert_eq!(self.coordinator.poll_output(), Output::Wait(at), "`Wait` is repeated");
        if at.is_none_or(|at| at > self.now) {
            self.coordinator.handle_timeout(self.now);
            assert_eq!(self.coordinator.poll_output(), Output::Wait(at), "an early timeout does nothing");
        }
        self.wait = at;
        assert_eq!(
            self.coordinator.reached(),
            self.reached.filter(|_| self.coordinator.repetition() > 0 || self.finished > 0)
        );
        for index in 0..self.hosts.len() {
            let waiting = self.coordinator.outgoing(index).len();
            let is_announced =
                self.hosts[index].connection().is_some_and(|connection| connection.is_announced);
            assert!(waiting <= MAX_OUTGOING_LEN, "{waiting} bytes wait for worker {index}");
            let is_dialed = self.hosts[index].is_dialed();
            assert!(!is_dialed || !self.coordinator.peer(index).is_given_up, "worker {index} is given up");
            assert!(waiting == 0 || is_announced, "{waiting} bytes wait for worker {index}, no `Transmit`");
        }
    }

    // --- what may follow ---

    pub(super) fn snapshot(&self) -> Snapshot {
        let known = |peer: russula_proto::PeerView<'_>| Known {
            stage: peer.stage,
            ending: peer.ending.cloned(),
            is_connected: peer.is_connected,
            is_given_up: peer.is_given_up,
            is_welcome: peer.welcome.is_some(),
        };
        Snapshot {
            repetition: self.coordinator.repetition(),
            failure: self.coordinator.failure().cloned(),
            peers: self.coordinator.peers().map(known).collect(),
        }
    }

    pub(super) fn check_change(&mut self, before: &Snapshot, cause: &Cause) {
        let after = self.snapshot();
        if before.failure != after.failure {
            self.check_failure(before, &after, cause);
        }
        for (index, (before, after)) in before.peers.iter().zip(&after.peers).enumerate() {
            self.check_peer(index, before, after, cause);
        }
    }

    fn check_failure(&self, before: &Snapshot, after: &Snapshot, cause: &Cause) {
        let Some(failure) = &after.failure else { panic!("a failure is forgotten within a repetition") };
        assert!(before.failure.is_none(), "the first failure counts");
        assert!(!self.is_finishing && before.repetition == after.repetition);
        let is_explained = match (failure, cause) {
            (Failure::Deadline { .. }, Cause::Time) => true,
            (Failure::Lost { index, .. }, Cause::Path(cause) | Cause::HostLost(cause)) => index == cause,
            (Failure::Lost { .. }, Cause::Time) => true,
            // Who is refused for too long by a worker that listens to somebody else has lost it.
            (Failure::Lost { index, error }, Cause::Messages(cause, _)) => {
                index == cause && *error == PeerError::Refused(Refusal::Stale)
            }
            (
                Failure::Worker { index, .. }
                | Failure::Restarted { index }
                | Failure::Refused { index, .. }
                | Failure::OutOfOrder { index },
                Cause::Messages(cause, _),
            ) => index == cause,
            (
                Failure::Deadline { .. }
                | Failure::Lost { .. }
                | Failure::Worker { .. }
                | Failure::Restarted { .. }
                | Failure::Refused { .. }
                | Failure::OutOfOrder { .. }
                | Failure::Protocol { .. },
                _,
            ) => false,
        };
        assert!(is_explained, "{failure}");
        assert!(!failure.to_string().ends_with("for "), "a failure without a name: {failure}");
    }

    fn check_peer(&self, index: usize, before: &Known, after: &Known, cause: &Cause) {
        assert!(!before.is_given_up || after.is_given_up, "who is given up stays so");
        if before.is_given_up != after.is_given_up {
            let may_be = cause.is_about(index) || matches!(cause, Cause::Time | Cause::Finish);
            assert!(may_be, "worker {index} is given up");
        }
        if !before.is_welcome && after.is_welcome || !before.is_connected && after.is_connected {
            assert!(cause.has(index, |message| matches!(message, WorkerMessage::Welcome(_))));
        }
        if before.ending != after.ending {
            assert_eq!(before.ending, None, "an ending is known for good");
            let is_reported = |message: &WorkerMessage| match message {
                WorkerMessage::Report(report) => match &report.position {
                    Position::Ended(ending) | Position::Released(ending) => {
                        Some(ending) == after.ending.as_ref()
                    }
                    Position::Idle | Position::Ready | Position::Starting | Position::Running => false,
                },
                WorkerMessage::Welcome(_)
                | WorkerMessage::Refused(_)
                | WorkerMessage::Clock(_)
                | WorkerMessage::Farewell => false,
            };
            let was_never_there = !before.is_welcome && after.ending == Some(Ending::NotStarted);
            assert!(
                was_never_there || cause.has(index, is_reported),
                "nobody has said that: {:?}",
                after.ending
            );
        }
        let moved_by = cause.is_about(index) || before.is_welcome == after.is_welcome && !after.is_welcome;
        assert!(
            before.stage == after.stage || moved_by || matches!(cause, Cause::Time),
            "worker {index} moved"
        );
        if let Cause::Messages(about, messages) = cause
            && *about == index
            && !before.is_given_up
            && let [message] = &messages[..]
        {
            check_message(before, after, message);
        }
    }
}

/// One message that makes no sense where it is said gives its worker up; no other does.
fn check_message(before: &Known, after: &Known, message: &WorkerMessage) {
    let is_out_of_order = match message {
        WorkerMessage::Welcome(_) => before.is_connected,
        WorkerMessage::Refused(Refusal::Stale) => before.is_connected,
        WorkerMessage::Refused(Refusal::Scenario { .. } | Refusal::Drivers { .. }) => true,
        WorkerMessage::Report(_) | WorkerMessage::Clock(_) => !before.is_connected,
        WorkerMessage::Farewell => return assert!(after.is_given_up, "it has left"),
    };
    if is_out_of_order {
        assert!(after.is_given_up, "{message:?} is out of order");
    }
}

impl Cause {
    fn has(&self, index: usize, is_it: impl Fn(&WorkerMessage) -> bool) -> bool {
        match self {
            Self::Messages(about, messages) => *about == index && messages.iter().any(is_it),
            Self::User | Self::Finish | Self::Path(_) | Self::HostLost(_) | Self::Time => false,
        }
    }

    fn is_about(&self, index: usize) -> bool {
        match self {
            Self::Path(about) | Self::HostLost(about) | Self::Messages(about, _) => *about == index,
            Self::User | Self::Finish | Self::Time => false,
        }
    }
}

/// More than one input can lead to.
const OUTPUTS_MAX: usize = 100_000;
