//! Time in the model. It has no length: what is due soon happens in any order with the rest, and a longer time
//! passes when nothing else is to happen, or as a fault.

use super::action::{Action, Fault, Place};
use super::host::Life;
use super::world::{Side, World};
use russula_proto::Timestamp;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// Whatever is due within it happens in any order with the rest; a longer time passes only when nothing else is
/// to happen, or as a fault.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// Whoever waits for a time.
#[derive(Clone, Copy)]
pub(super) enum Timer {
    Coordinator(u8),
    Worker(Place),
}

impl Timer {
    pub(super) fn passes(self) -> Action {
        match self {
            Self::Coordinator(side) => Action::CoordinatorTime(side),
            Self::Worker(place) => Action::WorkerTime(place),
        }
    }

    pub(super) fn fails(self) -> Fault {
        match self {
            Self::Coordinator(side) => Fault::CoordinatorLimit(side),
            Self::Worker(place) => Fault::WorkerLimit(place),
        }
    }
}

impl World {
    pub(super) fn timers(&self) -> impl Iterator<Item = (Timestamp, Timer)> {
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
    pub(super) fn let_long_time_pass(&mut self) {
        let before = self.achieved();
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
            if self.achieved() != before || self.has_news() {
                return;
            }
        }
    }

    /// Whether something can happen that leads on.
    fn has_news(&self) -> bool {
        self.actions()
            .iter()
            .any(|action| !action.is_vain() && !matches!(action, Action::LongTime | Action::Fault(_)))
    }

    /// What dialing in vain leaves as it is, though it goes on: which of two hosts is dialed next is no news.
    fn achieved(&self) -> String {
        let side = |side: &Side| {
            let coordinator = &side.coordinator;
            let peers: Vec<_> =
                coordinator.peers().map(|peer| (peer.stage, peer.is_connected, peer.is_given_up)).collect();
            let lives: Vec<_> = side.hosts.iter().map(|host| (host.life, host.worker.is_some())).collect();
            let failed = coordinator.failure().is_some();
            (coordinator.reached(), failed, coordinator.is_finished(), side.is_done, peers, lives)
        };
        let sides: Vec<_> = self.sides.iter().map(side).collect();
        format!("{sides:?} {:?} {}", self.repetition, self.is_finishing)
    }

    pub(super) fn let_coordinator_time_pass(&mut self, side: u8) {
        let side = &mut self.sides[usize::from(side)];
        self.now = self.now.max(side.wait.unwrap_or(self.now));
        side.coordinator.handle_timeout(self.now);
    }

    pub(super) fn let_worker_time_pass(&mut self, place: Place) {
        let at = self.host(place).wait.unwrap_or(self.now);
        self.now = self.now.max(at);
        let now = self.now;
        if let Some(worker) = &mut self.host_mut(place).worker {
            worker.handle_timeout(now);
        }
    }
}

/// More attempts to dial than there are within any limit.
const VAIN_MAX: usize = 1000;
