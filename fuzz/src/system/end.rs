//! The end of a run: everything heals, and then it has to be over in a bounded time, with nothing left.

use super::Town;
use russula_proto::Exit;

impl Town {
    pub(super) fn end(&mut self) {
        self.resume();
        self.heal_until(|town| !town.orchestrator.is_busy(), "the repetition does not end");
        self.finish();
        let is_over = |town: &Self| {
            let mut coordinators = town.orchestrator.coordinators.iter().flatten();
            let are_finished = coordinators.all(|coordinator| coordinator.is_finished());
            are_finished && town.hosts.iter().all(|host| host.worker.is_none() || !host.has_met)
        };
        self.heal_until(is_over, "the run does not end");
        if let Err(left) = self.model.end() {
            panic!("{left}");
        }
    }

    fn heal_until(&mut self, is_there: impl Fn(&Self) -> bool, complaint: &str) {
        for _ in 0..STEPS_MAX {
            self.flow();
            self.probe();
            self.flow();
            for host in 0..self.hosts.len() {
                self.go_on(host);
            }
            if is_there(self) {
                return;
            }
            self.wait();
        }
        panic!("{complaint}");
    }

    /// Programs start, end when they are told to, and clients also by themselves.
    fn go_on(&mut self, host: usize) {
        self.hold_servers(false);
        self.program_runs(host);
        let is_client = self.hosts[host].id.group == russula_proto::Group::Client;
        let is_terminated = self.hosts[host].program.as_ref().map(|program| program.is_terminated);
        match is_terminated {
            Some(true) => self.program_ends(host, Exit::Signal(15)),
            Some(false) if is_client => self.program_ends(host, Exit::Code(0)),
            Some(false) | None => {}
        }
    }
}

/// More steps than there are deadlines on the way.
const STEPS_MAX: usize = 1000;
