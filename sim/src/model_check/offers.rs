//! What can happen in a state.

use super::action::{Action, Fault, Place};
use super::host::{Life, Program};
use super::mutation::Mutation;
use super::time::{SHORT, Timer};
use super::world::World;
use russula_proto::Group;

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
}

impl Action {
    /// Whether it leads nowhere, if nothing else happens.
    pub(super) fn is_vain(&self) -> bool {
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
