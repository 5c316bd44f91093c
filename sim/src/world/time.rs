//! How the world's time goes on: from one event or deadline to the next.

use super::queue::Happening;
use super::{HostId, MachineId, Promise, World};
use russula_proto::{Group, Timestamp};
use std::time::Duration;

/// Steps at one moment before the world says that the machines never come to rest.
const STEPS_WITHOUT_TIME_MAX: usize = 100_000;

impl World {
    /// Jumps to the next event or deadline and lets it happen; `false` if there is none, or no end of them.
    pub fn step(&mut self) -> bool {
        self.settle();
        match self.next_moment() {
            Some(at) => self.step_to(at),
            None => false,
        }
    }

    /// Steps until `done` holds; `false` if it does not within `limit`.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.settle();
        while !done(self) {
            match self.next_moment() {
                Some(at) if at <= end => {
                    if !self.step_to(at) {
                        return false;
                    }
                }
                Some(_) | None => {
                    self.now = end;
                    return false;
                }
            }
        }
        true
    }

    /// Steps as long as something is under way, deadlines apart.
    pub fn run_until_idle(&mut self) {
        self.settle();
        while !self.queue.is_empty() && self.step() {}
    }

    /// Steps through `duration` and ends at its end.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(duration, |_| false);
        self.now = end;
        self.settle();
    }

    /// When the next event or deadline is.
    pub fn next_moment(&self) -> Option<Timestamp> {
        let mut next = self.queue.next();
        let mut consider = |at: Option<Timestamp>| {
            if let Some(at) = at
                && next.is_none_or(|next| at < next)
            {
                next = Some(at);
            }
        };
        for side in self.sides.iter().flatten() {
            consider(side.wait);
            side.hosts.iter().for_each(|host| consider(host.wait));
        }
        next
    }

    /// What the host of the coordinators shows as the time.
    pub(super) fn orchestrator_now(&self) -> Timestamp {
        self.orchestrator.read(self.now)
    }

    /// What a host shows as the time.
    pub(super) fn host_now(&self, id: HostId) -> Timestamp {
        self.side(id.group).hosts[id.index].clock.read(self.now)
    }

    pub(super) fn schedule(&mut self, at: Timestamp, happening: Happening) {
        self.queue.push(at.max(self.now), happening);
    }

    fn step_to(&mut self, at: Timestamp) -> bool {
        self.steps_without_time = if at > self.now { 0 } else { self.steps_without_time + 1 };
        if self.steps_without_time > STEPS_WITHOUT_TIME_MAX {
            self.breach(Promise::Rest, || "the machines go on without end while time stands still".into());
            return false;
        }
        self.now = self.now.max(at);
        match self.queue.pop_due(self.now) {
            Some(happening) => self.happen(happening),
            None => self.time_out(),
        }
        self.settle();
        true
    }

    fn happen(&mut self, happening: Happening) {
        if happening.reaches().is_some_and(|(wire, end)| {
            let host = self.wire(wire).host;
            let hold = self.host_mut(host).hold;
            match end {
                crate::model::End::Worker => hold.to_worker,
                crate::model::End::Dialer => hold.to_coordinator,
            }
        }) {
            self.held.push(happening);
            return;
        }
        match happening {
            Happening::Dials(wire) => self.accept(wire),
            Happening::Answers(wire, is_accepted) => self.answer(wire, is_accepted),
            Happening::Arrives(wire, end, len) => self.arrive(wire, end, len),
            Happening::Closes(wire, end) => self.end_arrives(wire, end),
            Happening::Resets(wire, end) => self.break_at(wire, end),
            Happening::Runs(host, generation) => self.program_runs(host, generation),
            Happening::StartFails(host, generation) => self.program_start_fails(host, generation),
            Happening::Exits(host, generation, exit) => self.program_exits(host, generation, exit.into()),
        }
    }

    fn time_out(&mut self) {
        let now = self.now;
        let mut due = vec![];
        for group in Group::ALL {
            let Some(side) = &self.sides[group as usize] else { continue };
            if side.wait.is_some_and(|at| at <= now) {
                due.push(MachineId { group, index: None });
            }
            for (index, host) in side.hosts.iter().enumerate() {
                if host.wait.is_some_and(|at| at <= now) {
                    due.push(MachineId { group, index: Some(index) });
                }
            }
        }
        // All coordinators first.
        due.sort_by_key(|machine| machine.index.is_some());
        for MachineId { group, index } in due {
            match index {
                None => self.tell_coordinator(group, |coordinator, now| coordinator.handle_timeout(now)),
                Some(index) => {
                    let id = HostId { group, index };
                    self.tell_worker(id, |worker, now| worker.handle_timeout(now));
                }
            }
        }
    }
}
