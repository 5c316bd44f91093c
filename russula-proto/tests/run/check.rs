//! The rules that every run keeps.

use super::{Repetition, Run};
use crate::harness::{Fact, HostId};
use russula_proto::{Ending, Exit, Group, Outcome, Stage};

impl Run {
    /// Checks every rule; the first that is broken is shown with the seed and how to replay it.
    pub(crate) fn check(&self) {
        for repetition in &self.repetitions {
            self.ends(repetition);
            self.what_can_succeed_succeeds(repetition);
            self.success_means_success(repetition);
            self.starts_once(repetition);
            self.clients_start_after_servers_run(repetition);
            self.servers_stop_after_clients_are_done(repetition);
            self.outcomes_are_known(repetition);
            self.the_window_is_quiet(repetition);
        }
        self.nothing_is_left();
    }

    fn rule(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(
            holds,
            "{}\nseed {}: {:#?}\nreplay: SEED={} cargo test -p russula-proto --test random_runs -- --nocapture",
            what(),
            self.seed,
            self.options,
            self.seed
        );
    }

    /// In time, and a failure says whom it waited for.
    fn ends(&self, repetition: &Repetition) {
        self.rule(repetition.is_over, || format!("repetition {} never ends", repetition.number));
        let named = repetition.failure.as_ref().is_none_or(|failure| !failure.to_string().ends_with("for "));
        self.rule(named, || format!("repetition {}: a failure without a name", repetition.number));
    }

    /// Connections that break are made again, and nothing else comes of it.
    fn what_can_succeed_succeeds(&self, repetition: &Repetition) {
        if self.options.is_benign(repetition.number) {
            let failure = repetition.failure.as_ref();
            self.rule(failure.is_none(), || format!("repetition {}: {failure:?}", repetition.number));
        }
    }

    /// Without a failure and an interrupt every client has succeeded, and every server was stopped.
    fn success_means_success(&self, repetition: &Repetition) {
        if repetition.failure.is_some() || repetition.gave_up {
            return;
        }
        for (host, ending, stage) in &repetition.known {
            let healthy = match (host.group, ending) {
                (Group::Server, Some(Ending::Stopped(_))) => true,
                (Group::Client, Some(Ending::Exited(outcome))) => outcome.exit == Exit::Code(0),
                (Group::Server | Group::Client | Group::Probe, _) => false,
            };
            self.rule(healthy && *stage == Stage::Released, || {
                format!("repetition {} is said to be done, {host}: {ending:?}, {stage:?}", repetition.number)
            });
        }
    }

    fn starts_once(&self, repetition: &Repetition) {
        for (host, ..) in &repetition.known {
            let starts = self
                .history(repetition)
                .iter()
                .filter(|(_, fact)| matches!(fact, Fact::Started(h, _) if h == host));
            let starts = starts.count();
            self.rule(starts <= 1, || format!("{host} started {starts} times in {}", repetition.number));
        }
    }

    fn clients_start_after_servers_run(&self, repetition: &Repetition) {
        let history = self.history(repetition);
        let first_client = history
            .iter()
            .position(|(_, fact)| matches!(fact, Fact::Started(host, _) if host.group == Group::Client));
        let Some(first_client) = first_client else { return };
        for index in 0..usize::from(self.options.servers) {
            let server = HostId { group: Group::Server, index };
            let runs = history[..first_client].iter().any(|(_, fact)| *fact == Fact::Running(server));
            self.rule(runs, || format!("a client starts before {server} runs in {}", repetition.number));
        }
    }

    fn servers_stop_after_clients_are_done(&self, repetition: &Repetition) {
        let history = self.history(repetition);
        let first_stop = history
            .iter()
            .position(|(_, fact)| matches!(fact, Fact::Terminated(host) if host.group == Group::Server));
        let Some(first_stop) = first_stop else { return };
        let before = &history[..first_stop];
        let failed = before.iter().any(|(_, fact)| matches!(fact, Fact::Failed(..)));
        if failed || repetition.gave_up {
            return;
        }
        for index in 0..usize::from(self.options.clients) {
            let client = HostId { group: Group::Client, index };
            let done = before.iter().any(|(_, fact)| matches!(fact, Fact::Ended(host, _) if *host == client));
            self.rule(done, || {
                format!("a server is stopped before {client} is done in {}", repetition.number)
            });
        }
    }

    /// What the coordinator knows of an outcome is what the program produced, and of every worker that
    /// is not lost it knows it.
    fn outcomes_are_known(&self, repetition: &Repetition) {
        let history = self.history(repetition);
        for (host, ending, stage) in &repetition.known {
            let produced: Option<&Outcome> = history.iter().find_map(|(_, fact)| fact.outcome_of(*host));
            let known = ending.as_ref().and_then(|ending| ending.outcome());
            let complete = *stage == Stage::Released || known.is_some();
            self.rule(known.is_none_or(|known| Some(known) == produced), || {
                format!("repetition {}: {host} produced {produced:?}, known is {known:?}", repetition.number)
            });
            self.rule(!complete || known == produced, || {
                format!("repetition {}: {host} produced {produced:?}, known is {known:?}", repetition.number)
            });
        }
    }

    /// From the last client's report that it runs to the first end of a program, or a deadline, no connection
    /// carries a byte, unless somebody outside broke one.
    fn the_window_is_quiet(&self, repetition: &Repetition) {
        let disturbed = self.options.faults.iter().any(|(number, ..)| *number <= repetition.number);
        let history = self.history(repetition);
        let runs =
            |fact: &Fact| matches!(fact, Fact::Heard(host, Stage::Running) if host.group == Group::Client);
        let clients = usize::from(self.options.clients);
        if disturbed || history.iter().filter(|(_, fact)| runs(fact)).count() < clients {
            return;
        }
        let Some(opens) = history.iter().rposition(|(_, fact)| runs(fact)) else { return };
        let ended = |fact: &Fact| matches!(fact, Fact::Ended(..) | Fact::Failed(..));
        let Some(closes) = history.iter().position(|(_, fact)| ended(fact)) else { return };
        for (at, fact) in history.iter().take(closes).skip(opens) {
            let carries = matches!(fact, Fact::Sent(..) | Fact::Arrived(..));
            self.rule(!carries, || {
                format!("repetition {}: {fact:?} at {at} in the window", repetition.number)
            });
        }
    }

    /// After the end of the run no program is alive, and no worker that ever had a coordinator.
    fn nothing_is_left(&self) {
        for host in self.world.hosts() {
            self.rule(host.program.is_none(), || format!("the program of {} is left", host.id));
            let met = self.world.coordinator(host.id.group).peer(host.id.index).welcome.is_some();
            self.rule(!met || host.worker.is_none(), || format!("the worker {} is left", host.id));
        }
        for group in [Group::Server, Group::Client] {
            let finished = self.world.history.iter().filter(|(_, fact)| *fact == Fact::Finished(group));
            self.rule(finished.count() == 1, || format!("the {group}s' coordinator has not finished once"));
        }
    }
}
