//! The simulation itself: the hosts on turmoil's network, and what can be done to them from outside.

use super::ORCHESTRATOR;
use super::desk::{self, Desk};
use super::host::{self, Host, name};
use super::options::{Network, Options};
use super::record::{Record, moment};
use super::visitors::{Visit, Visitors};
use crate::model::{End, HostId, Observation};
use crate::toy_suite;
use crate::world::{Entry, Stranger};
use ::turmoil::{Builder, Sim};
use russula_proto::{Identity, Key, RunId, Timestamp};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

const VISITORS: &str = "visitors";

/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// All hosts.
pub(super) struct Simulation {
    sim: Sim<'static>,
    network: Network,
    key: Key,
    run: RunId,
    pub(super) record: Rc<Record>,
    pub(super) desk: Rc<Desk>,
    pub(super) hosts: BTreeMap<HostId, Rc<Host>>,
    visitors: Rc<Visitors>,
}

impl Simulation {
    /// Everything there is, before its first moment.
    pub(super) fn new(options: &Options, reader: Option<fn(&Entry)>) -> Self {
        let mut sim = builder(&options.network).build();
        let record = Rc::new(Record::new(reader));
        let run: RunId = "demo".parse().expect("a valid name");
        let bytes = [7; Key::LEN];
        let key = match options.base.is_encrypted {
            true => Key::from_bytes(bytes),
            false => Key::for_simulation(bytes, toy_suite::resolver),
        };
        // The coordinators come last, so that all workers listen when they dial for the first time.
        let hosts: BTreeMap<HostId, Rc<Host>> = options
            .base
            .hosts()
            .into_iter()
            .map(|id| (id, Rc::new(Host::new(id, options, run.clone(), key.clone(), Rc::clone(&record)))))
            .collect();
        for host in hosts.values().cloned() {
            sim.host(name(host.id), move || Rc::clone(&host).boot());
        }
        let visitors = Rc::new(Visitors::default());
        let of_host = Rc::clone(&visitors);
        sim.host(VISITORS, move || Rc::clone(&of_host).boot());
        let addresses = hosts.keys().map(|id| (*id, sim.lookup(name(*id)))).collect();
        let desk = Desk::new(options.clone(), run.clone(), key.clone(), Rc::clone(&record), addresses);
        let desk = Rc::new(desk);
        let of_host = Rc::clone(&desk);
        sim.host(ORCHESTRATOR, move || Rc::clone(&of_host).boot());
        Self { sim, network: options.network, key, run, record, desk, hosts, visitors }
    }

    /// The true time.
    pub(super) fn now(&self) -> Timestamp {
        moment(self.sim.elapsed())
    }

    /// Gives every host a turn.
    ///
    /// # Panics
    /// If a host has: its panic goes on here.
    pub(super) fn step(&mut self) {
        let from = self.record.len();
        let result = self.sim.step();
        self.record.end_turn(from);
        if let Err(error) = result {
            // Whoever catches panics has seen its message already; this one says nothing new.
            std::panic::resume_unwind(Box::new(error.to_string()));
        }
    }

    /// Something outside disturbs the way to a host, or the host.
    pub(super) fn disturb(&self, host: HostId) {
        self.record.note_at(self.now(), Observation::Disturbed(host));
    }

    // --- ways ---

    pub(super) fn hold(&self, host: HostId) {
        self.sim.hold(name(host), ORCHESTRATOR);
    }

    pub(super) fn partition(&self, host: HostId) {
        self.sim.partition(name(host), ORCHESTRATOR);
    }

    pub(super) fn partition_oneway(&self, host: HostId, silenced: End) {
        match silenced {
            End::Dialer => self.sim.partition_oneway(ORCHESTRATOR, name(host)),
            End::Worker => self.sim.partition_oneway(name(host), ORCHESTRATOR),
        }
    }

    pub(super) fn slow(&self, host: HostId, by: Duration) {
        let latency_max = self.network.latency_max + by;
        self.sim.set_link_max_message_latency(name(host), ORCHESTRATOR, latency_max);
    }

    /// Whatever was done to the way is undone; what was held back arrives.
    pub(super) fn release(&self, host: HostId) {
        self.sim.release(name(host), ORCHESTRATOR);
        self.sim.set_link_max_message_latency(name(host), ORCHESTRATOR, self.network.latency_max);
    }

    /// This end of the connection to `host` breaks, if it was made before `before`.
    pub(super) fn break_at(&self, host: HostId, end: End, before: Timestamp) {
        match end {
            End::Dialer => self.tell_orchestrator(desk::Command::Break(host, before)),
            End::Worker => self.hosts[&host].mailbox.post(host::Command::Break(before)),
        }
    }

    // --- hosts ---

    /// The host stops: its software is gone, and what it sent last arrives.
    pub(super) fn crash(&mut self, host: HostId) {
        self.hosts[&host].lose_process(self.now());
        self.hosts[&host].mailbox.clear();
        self.sim.crash(name(host));
    }

    /// The host loses its power: nothing of it arrives any more.
    pub(super) fn lose_power(&mut self, host: HostId) {
        self.partition(host);
        self.sim.partition(name(host), VISITORS);
        self.crash(host);
    }

    /// The host boots, and anybody reaches it again.
    pub(super) fn boot(&mut self, host: HostId) {
        self.crash(host);
        self.release(host);
        self.sim.release(name(host), VISITORS);
        self.sim.bounce(name(host));
    }

    /// The host of the coordinators stops, and their process with it, if it has not ended yet.
    pub(super) fn crash_orchestrator(&mut self) {
        if self.desk.is_up.replace(false) {
            self.record.note_at(self.now(), Observation::CoordinatorsGone);
            self.desk.mailbox.clear();
            self.sim.crash(ORCHESTRATOR);
        }
    }

    /// Somebody says something to the process of the coordinators, if there is one to hear it.
    pub(super) fn tell_orchestrator(&self, command: desk::Command) {
        if self.desk.is_up.get() {
            self.desk.mailbox.post(command);
        }
    }

    /// The host of the coordinators boots, and another process takes the run over, if there is something left of it.
    pub(super) fn boot_orchestrator(&mut self) {
        if !self.desk.is_up.get() && !self.desk.has_finished() {
            self.desk.is_up.set(true);
            self.sim.bounce(ORCHESTRATOR);
        }
    }

    // --- strangers ---

    /// A stranger connects to `host`.
    pub(super) fn visit(&mut self, host: HostId, stranger: Stranger) {
        let index = u16::try_from(host.index).expect("groups are small");
        let identity = Identity { run: self.run.clone(), group: host.group, index };
        let recorded = self.desk.recorded.borrow().get(&host).cloned().unwrap_or_default();
        let entropy = self.desk.random.borrow_mut().bytes();
        let keys = [&self.key, &Key::from_bytes(entropy)];
        let speech = stranger.speech(keys, &identity, &recorded, entropy);
        let (says, pace) = (speech.says, speech.pace);
        self.visitors.mailbox.post(Visit { to: self.desk.addresses[&host], says, pace });
    }

    /// Whether nothing is there any more that the run has begun.
    pub(super) fn is_over(&self) -> bool {
        let is_left = |host: &Rc<Host>| host.is_up.get() && host.has_met_coordinator.get();
        self.desk.has_finished() && !self.hosts.values().any(is_left)
    }
}

fn builder(network: &Network) -> Builder {
    let mut builder = Builder::new();
    builder
        .rng_seed(network.seed)
        .epoch(UNIX_EPOCH)
        .simulation_duration(FOR_EVER)
        .tick_duration(network.tick)
        .min_message_latency(network.latency_min)
        .max_message_latency(network.latency_max)
        .tcp_capacity(network.capacity);
    if network.random_order {
        builder.enable_random_order();
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::without_panic;
    use crate::run::Sizes;

    #[test]
    fn a_panic_on_a_host_is_a_violation_that_says_where() {
        let violation = without_panic(|| {
            let mut simulation = Simulation::new(&Options::of(0, Sizes::default()), None);
            simulation.sim.host("broken", || async { panic!("the machine is broken") });
            simulation.step();
        })
        .unwrap_err();
        assert!(violation.why.contains("the machine is broken"), "{violation}");
        assert!(violation.why.contains("network.rs"), "{violation}");
    }
}
