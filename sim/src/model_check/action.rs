//! What can happen next in a state of the model.

use super::host::{Life, Program};
use super::mutation::Mutation;
use super::world::World;
use russula_proto::{Exit, Group, StartFailure, Timestamp};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

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

/// Whatever is due within it happens in any order with the rest; a longer time passes only when nothing else is
/// to happen, or as a fault.
const SHORT: Duration = Duration::from_secs(1);

impl World {
    /// Everything that can happen, in an order that is always the same.
    pub(super) fn actions(&self) -> Vec<Action> {
        if self.is_at_end() || self.breach.is_some() {
            return vec![];
        }
        let mut actions = vec![];
        for place in self.places() {
            self.actions_of_host(place, &mut actions);
        }
        let has_clocks = self.mutation != Mutation::StopsClocks;
        if has_clocks {
            self.add_due(&mut actions);
        }
        if has_clocks && actions.iter().all(|action| action.is_vain()) {
            actions.push(Action::LongTime);
        }
        if self.faults_left > 0 {
            let mut faults = vec![];
            self.add_faults(&actions, &mut faults);
            actions.extend(faults.into_iter().map(Action::Fault));
        }
        actions
    }

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

    // --- what can happen ---

    fn actions_of_host(&self, place: Place, actions: &mut Vec<Action>) {
        let host = self.host(place);
        if host.is_dialed {
            let attempt =
                if host.life == Life::Up { Action::Connect(place) } else { Action::FindNobody(place) };
            actions.push(attempt);
        }
        for (index, wire) in (0..).zip(&host.wires) {
            let (to_worker, to_dialer) = (&wire.to_worker.messages, &wire.to_dialer.messages);
            if wire.is_worker_open && (!to_worker.is_empty() || !wire.is_dialer_open) {
                actions.push(Action::ToWorker(place, index));
            }
            if wire.is_dialer_open && (!to_dialer.is_empty() || !wire.is_worker_open) {
                actions.push(Action::ToCoordinator(place, index));
            }
            if !wire.is_dialer_open && !to_worker.is_empty() {
                actions.push(Action::LoseToWorker(place, index));
            }
            if !wire.is_worker_open && !to_dialer.is_empty() {
                actions.push(Action::LoseToCoordinator(place, index));
            }
        }
        match host.program {
            Program::None => {}
            Program::Starting => actions.push(Action::Started(place)),
            Program::Running if self.group(place) == Group::Client => actions.push(Action::Ended(place)),
            Program::Running => {}
            Program::Stopping => actions.push(Action::Stopped(place)),
        }
        if host.life == Life::Down {
            actions.push(Action::Restart(place));
        }
    }

    fn add_due(&self, actions: &mut Vec<Action>) {
        let due = self.timers().filter(|(at, _)| *at <= self.now + SHORT);
        actions.extend(due.map(|(_, timer)| timer.passes()));
    }

    fn add_faults(&self, actions: &[Action], faults: &mut Vec<Fault>) {
        for place in self.places() {
            let host = self.host(place);
            for (index, wire) in (0..).zip(&host.wires) {
                if wire.is_dialer_open {
                    faults.push(Fault::CutCoordinator(place, index));
                }
                if wire.is_worker_open {
                    faults.push(Fault::CutWorker(place, index));
                }
            }
            if host.is_dialed && host.life == Life::Up {
                faults.push(Fault::Refuse(place));
            }
            if host.life == Life::Up {
                faults.extend([Fault::KillWorker(place), Fault::LoseHost(place)]);
            }
            match host.program {
                Program::Starting => faults.push(Fault::StartFails(place)),
                Program::Running => faults.push(Fault::ProgramFails(place)),
                Program::None | Program::Stopping => {}
            }
        }
        if !self.is_finishing {
            faults.push(Fault::Abort);
        }
        if self.sides.iter().any(|side| !side.coordinator.is_finished()) {
            faults.push(Fault::KillCoordinators);
        }
        let passes = |timer: &Timer| actions.contains(&timer.passes());
        faults.extend(self.timers().filter(|(_, timer)| !passes(timer)).map(|(_, timer)| timer.fails()));
    }

    // --- time ---

    fn timers(&self) -> impl Iterator<Item = (Timestamp, Timer)> {
        let coordinators =
            (0..).zip(&self.sides).filter_map(|(side, it)| Some((it.wait?, Timer::Coordinator(side))));
        let workers = self.places().filter_map(|place| {
            let host = self.host(place);
            host.worker.as_ref().and(host.wait).map(|at| (at, Timer::Worker(place)))
        });
        coordinators.chain(workers)
    }

    /// Which timers are due, which soon, and in which order the others are; with the hosts in this order.
    pub(super) fn hash_timers(&self, hosts: &[usize], hasher: &mut impl Hasher) {
        let mut later: Vec<(Timestamp, usize)> = vec![];
        for (number, side) in self.sides.iter().enumerate() {
            let waits =
                hosts.iter().map(|host| &side.hosts[*host]).map(|host| host.worker.as_ref().and(host.wait));
            for (place, wait) in std::iter::once(side.wait).chain(waits).enumerate() {
                let is_short = wait.map(|at| at <= self.now + SHORT);
                is_short.hash(hasher);
                if let (Some(false), Some(at)) = (is_short, wait) {
                    later.push((at, number * (hosts.len() + 1) + place));
                }
            }
        }
        later.sort_unstable();
        later.iter().for_each(|(_, place)| place.hash(hasher));
    }

    /// Dialing in vain comes back to the same state again and again, until a limit has passed.
    fn let_long_time_pass(&mut self) {
        let before = self.fingerprint();
        for _ in 0..VAIN_MAX {
            let Some((_, timer)) = self.timers().min_by_key(|(at, _)| *at) else { return };
            match timer {
                Timer::Coordinator(side) => self.let_coordinator_time_pass(side),
                Timer::Worker(place) => self.let_worker_time_pass(place),
            }
            self.settle();
            let places: Vec<Place> = self.places().collect();
            for place in places {
                if self.host(place).is_dialed && self.host(place).life != Life::Up {
                    self.refuse(place);
                    self.settle();
                }
            }
            if self.fingerprint() != before {
                return;
            }
        }
    }

    fn let_coordinator_time_pass(&mut self, side: u8) {
        let side = &mut self.sides[usize::from(side)];
        self.now = self.now.max(side.wait.unwrap_or(self.now));
        side.coordinator.handle_timeout(self.now);
    }

    fn let_worker_time_pass(&mut self, place: Place) {
        let at = self.host(place).wait.unwrap_or(self.now);
        self.now = self.now.max(at);
        let now = self.now;
        if let Some(worker) = &mut self.host_mut(place).worker {
            worker.handle_timeout(now);
        }
    }

    // --- small things ---

    fn kill(&mut self, place: Place, life: Life) {
        let mutation = self.mutation;
        self.host_mut(place).kill(life, mutation);
    }

    fn refuse(&mut self, place: Place) {
        self.host_mut(place).is_dialed = false;
        let now = self.now;
        let coordinator = &mut self.sides[place.side()].coordinator;
        coordinator.handle_connection_failed(place.host(), "connection refused", now);
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let hosts = |(side, it): (u8, &super::world::Side)| {
            let hosts = u8::try_from(it.hosts.len()).expect("the model has a few hosts");
            (0..hosts).map(move |host| Place { side, host })
        };
        (0..).zip(&self.sides).flat_map(hosts)
    }

    fn host(&self, place: Place) -> &super::host::Host {
        &self.sides[place.side()].hosts[place.host()]
    }

    fn host_mut(&mut self, place: Place) -> &mut super::host::Host {
        &mut self.sides[place.side()].hosts[place.host()]
    }

    fn group(&self, place: Place) -> Group {
        self.sides[place.side()].coordinator.group()
    }
}

/// More attempts to dial than there are within any limit.
const VAIN_MAX: usize = 1000;

impl Action {
    /// Whether it leads nowhere, if nothing else happens.
    fn is_vain(&self) -> bool {
        match self {
            Self::FindNobody(_) | Self::CoordinatorTime(_) | Self::Restart(_) => true,
            Self::Connect(_)
            | Self::ToWorker(..)
            | Self::ToCoordinator(..)
            | Self::LoseToWorker(..)
            | Self::LoseToCoordinator(..)
            | Self::Started(_)
            | Self::Ended(_)
            | Self::Stopped(_)
            | Self::WorkerTime(_)
            | Self::LongTime
            | Self::Fault(_) => false,
        }
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

#[derive(Clone, Copy)]
enum Timer {
    Coordinator(u8),
    Worker(Place),
}

impl Timer {
    fn passes(self) -> Action {
        match self {
            Self::Coordinator(side) => Action::CoordinatorTime(side),
            Self::Worker(place) => Action::WorkerTime(place),
        }
    }

    fn fails(self) -> Fault {
        match self {
            Self::Coordinator(side) => Fault::CoordinatorLimit(side),
            Self::Worker(place) => Fault::WorkerLimit(place),
        }
    }
}

impl Place {
    fn side(self) -> usize {
        self.side.into()
    }

    fn host(self) -> usize {
        self.host.into()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} host {}", self.side, self.host)
    }
}
