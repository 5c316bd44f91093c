//! Time in the model. It has no length: what is due soon happens in any order with the rest, and a longer time
//! passes when nothing else is to happen, or as a fault.

use super::action::{Action, Fault, Place};
use super::host::Life;
use super::world::World;
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
