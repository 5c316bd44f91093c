//! What can happen next in a state of the model.

use super::host::{Life, Program};
use super::mutation::Mutation;
use super::world::World;
use russula_proto::{Exit, Group, StartFailure};
use std::fmt;

/// A host: the number of its group, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    side: u8,
    host: u8,
}

/// Something that can happen. Connections are counted from the oldest of their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The connection that a coordinator waits for is made, with its handshake.
    Connect(Place),
    /// The attempt to connect fails: there is nobody.
    FindNobody(Place),
    /// The next message arrives at the worker, or the end of the stream.
    ToWorker(Place, u8),
    /// The next message arrives at the coordinator, or the end of the stream.
    ToCoordinator(Place, u8),
    /// Of a connection that its coordinator has closed, what is under way is lost.
    LoseToWorker(Place, u8),
    /// Of a connection that its worker has closed, what is under way is lost.
    LoseToCoordinator(Place, u8),
    /// The program runs.
    Started(Place),
    /// The client has done its work.
    Ended(Place),
    /// The program that was told to stop has ended.
    Stopped(Place),
    /// A worker is started where one has died.
    Restart(Place),
    /// The time has come that a coordinator waits for.
    CoordinatorTime(u8),
    /// The time has come that a worker waits for.
    WorkerTime(Place),
    /// Nothing is under way, and whoever is dialed is not there: time passes until something else is due.
    LongTime,
    /// What may go wrong.
    Fault(Fault),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection breaks, as the coordinator sees it.
    CutCoordinator(Place, u8),
    /// A connection breaks, as the worker sees it.
    CutWorker(Place, u8),
    /// An attempt to connect fails although the worker is there.
    Refuse(Place),
    /// The coordinators' process dies, and another takes over.
    KillCoordinators,
    /// The worker dies with its program.
    KillWorker(Place),
    /// The host is gone for good.
    LoseHost(Place),
    /// The program cannot be started.
    StartFails(Place),
    /// The program ends by itself, and is not to.
    ProgramFails(Place),
    /// The user gives the repetition up.
    Abort,
    /// A deadline of a coordinator passes although something is under way.
    CoordinatorLimit(u8),
    /// A deadline of a worker passes although something is under way.
    WorkerLimit(Place),
}

impl World {
    /// Lets `action` happen, and everything that follows from it at once.
    pub(super) fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Connect(place) => self.connect(place.side(), place.host()),
            Action::FindNobody(place) => self.refuse(place),
            Action::ToWorker(place, wire) => self.deliver_to_worker(place.side(), place.host(), wire.into()),
            Action::ToCoordinator(place, wire) => {
                self.deliver_to_coordinator(place.side(), place.host(), wire.into());
            }
            Action::LoseToWorker(place, wire) => {
                self.host_mut(place).wires[usize::from(wire)].to_worker.lose()
            }
            Action::LoseToCoordinator(place, wire) => {
                self.host_mut(place).wires[usize::from(wire)].to_dialer.lose();
            }
            Action::Started(place) => {
                let host = self.host_mut(place);
                (host.program, host.has_run) = (Program::Running, true);
                if let Some(worker) = &mut host.worker {
                    worker.handle_started(now);
                }
            }
            Action::Ended(place) => self.end_program(place.side(), place.host(), Exit::Code(0)),
            Action::Stopped(place) => self.end_program(place.side(), place.host(), Exit::Signal(15)),
            Action::Restart(place) => {
                let has_new_session = self.mutation != Mutation::KeepsSession;
                self.host_mut(place).restart(has_new_session);
            }
            Action::CoordinatorTime(side) => self.let_coordinator_time_pass(side),
            Action::WorkerTime(place) => self.let_worker_time_pass(place),
            Action::LongTime => self.let_long_time_pass(),
            Action::Fault(fault) => {
                self.faults_left -= 1;
                self.is_harmed |= fault.is_harmful();
                self.go_wrong(fault);
            }
        }
        self.settle();
    }

    fn go_wrong(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::CutCoordinator(place, _) => {
                let coordinator = &mut self.sides[place.side()].coordinator;
                coordinator.handle_connection_failed(place.host(), "connection reset by peer", now);
            }
            Fault::CutWorker(place, wire) => {
                let host = self.host_mut(place);
                let socket = host.wires[usize::from(wire)].socket;
                if let Some(worker) = &mut host.worker {
                    worker.handle_end(socket, now);
                }
            }
            Fault::Refuse(place) => self.refuse(place),
            Fault::KillCoordinators => self.replace_coordinators(),
            Fault::KillWorker(place) => self.kill(place, Life::Down),
            Fault::LoseHost(place) => {
                self.kill(place, Life::Lost);
                let coordinator = &mut self.sides[place.side()].coordinator;
                coordinator.handle_host_lost(place.host(), "the instance was terminated", now);
            }
            Fault::StartFails(place) => {
                let host = self.host_mut(place);
                host.program = Program::None;
                if let Some(worker) = &mut host.worker {
                    worker.handle_start_failed(StartFailure::spawn("no such file"), now);
                }
            }
            Fault::ProgramFails(place) => self.end_program(place.side(), place.host(), Exit::Code(1)),
            Fault::Abort => self.abort(),
            Fault::CoordinatorLimit(side) => self.let_coordinator_time_pass(side),
            Fault::WorkerLimit(place) => self.let_worker_time_pass(place),
        }
    }

    // --- small things ---

    fn kill(&mut self, place: Place, life: Life) {
        let mutation = self.mutation;
        self.host_mut(place).kill(life, mutation);
    }

    pub(super) fn refuse(&mut self, place: Place) {
        self.host_mut(place).is_dialed = false;
        let now = self.now;
        let coordinator = &mut self.sides[place.side()].coordinator;
        coordinator.handle_connection_failed(place.host(), "connection refused", now);
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let hosts = |(side, it): (u8, &super::world::Side)| {
            let hosts = u8::try_from(it.hosts.len()).expect("the model has a few hosts");
            (0..hosts).map(move |host| Place { side, host })
        };
        (0..).zip(&self.sides).flat_map(hosts)
    }

    pub(super) fn host(&self, place: Place) -> &super::host::Host {
        &self.sides[place.side()].hosts[place.host()]
    }

    pub(super) fn host_mut(&mut self, place: Place) -> &mut super::host::Host {
        &mut self.sides[place.side()].hosts[place.host()]
    }

    pub(super) fn group(&self, place: Place) -> Group {
        self.sides[place.side()].coordinator.group()
    }
}

impl Fault {
    /// Whether it may fail a repetition. What only concerns connections, and coordinators, does no harm.
    fn is_harmful(self) -> bool {
        match self {
            Self::CutCoordinator(..) | Self::CutWorker(..) | Self::Refuse(_) | Self::KillCoordinators => {
                false
            }
            Self::KillWorker(_)
            | Self::LoseHost(_)
            | Self::StartFails(_)
            | Self::ProgramFails(_)
            | Self::Abort
            | Self::CoordinatorLimit(_)
            | Self::WorkerLimit(_) => true,
        }
    }
}

impl Place {
    fn side(self) -> usize {
        self.side.into()
    }

    pub(super) fn host(self) -> usize {
        self.host.into()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} host {}", self.side, self.host)
    }
}
