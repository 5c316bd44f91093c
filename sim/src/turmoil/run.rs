//! One run over turmoil: first a phase with faults, then one in which everything is mended and the run must come
//! to its end.

use super::desk;
use super::faults::Fault;
use super::host;
use super::network::Simulation;
use super::options::{ORPHAN, Options};
use crate::Random;
use crate::model::{End, HostId};
use crate::run::{self, Repetition};
use crate::world::{Death, Entry, GroupOptions, Kind, Speaker, World};
use russula_proto::{Group, Timestamp};
use std::time::Duration;

/// For the user to wait until the run is mended and ended again.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Most time from the repair of a way until a system has noticed that a connection over it is dead.
const NOTICED_MAX: Duration = Duration::from_millis(1500);

/// A run under way.
struct Player {
    simulation: Simulation,
    options: Options,
    random: Random,
    repetitions: Vec<Repetition>,
    /// What is still to come of earlier faults, latest first.
    coming: Vec<(Timestamp, Coming)>,
}

#[derive(Clone, Copy, Debug)]
enum Coming {
    Mended(Fault),
    /// This end notices that connections that were made before this moment are dead.
    Broken(HostId, End, Timestamp),
}

/// Makes the run of these options; `reader` is shown its trace.
pub(super) fn play(options: Options, reader: Option<fn(&Entry)>) -> run::Run {
    let mut player = Player {
        simulation: Simulation::new(&options, reader),
        random: Random::new(options.network.seed),
        options,
        repetitions: vec![],
        coming: vec![],
    };
    let repetitions = player.options.base.repetitions;
    let is_well = (1..=repetitions).all(|number| player.repetition(number, false));
    player.mend_everything();
    if is_well && player.repetition(repetitions + 1, true) {
        player.finish();
    }
    player.evidence()
}

impl Player {
    /// Returns whether it is over, and nothing was seen that makes it pointless to go on.
    fn repetition(&mut self, number: u32, is_calm: bool) -> bool {
        let begins = self.simulation.record.len();
        for of_host in &self.options.base.hosts {
            let script = of_host.scripts[number as usize - 1].clone();
            self.simulation.hosts[&of_host.id].script.replace(script);
        }
        self.simulation.desk.wanted.set(number);
        self.simulation.tell_orchestrator(desk::Command::Look);
        let limit = self.options.base.bound(number);
        let is_over = self
            .go_on(number, limit, |simulation| simulation.desk.journal.borrow().newest() == (number, true));
        let report = self.simulation.desk.report.take().filter(|_| is_over);
        let report = report.unwrap_or_default();
        self.repetitions.push(Repetition {
            number,
            is_calm,
            history: begins..self.simulation.record.len(),
            is_over,
            gave_up: report.gave_up,
            failure: report.failure,
            quiet: report.quiet,
            start_at: report.start_at,
            known: report.known,
        });
        is_over && !self.simulation.record.is_broken()
    }

    /// Goes on until `done` holds, but not beyond `limit`, and lets the faults of `number` strike meanwhile.
    /// Returns whether `done` holds.
    fn go_on(&mut self, number: u32, limit: Duration, done: impl Fn(&Simulation) -> bool) -> bool {
        let begins = self.simulation.now();
        let mut next = self.options.faults.partition_point(|timed| timed.repetition < number);
        loop {
            if done(&self.simulation) {
                return true;
            }
            let now = self.simulation.now();
            if now >= begins + limit || self.simulation.record.is_broken() {
                return false;
            }
            while let Some((_, coming)) = self.coming.pop_if(|(at, _)| *at <= now) {
                self.come(coming);
            }
            while let Some(timed) = self.options.faults.get(next).copied()
                && timed.repetition == number
                && begins + timed.after <= now
            {
                next += 1;
                self.strike(timed.fault, timed.lasts);
            }
            self.simulation.step();
        }
    }

    /// The end of the run, which may be disturbed too, and time enough for everybody to notice.
    fn finish(&mut self) {
        self.simulation.desk.wants_end.set(true);
        self.simulation.tell_orchestrator(desk::Command::Look);
        let number = self.options.base.repetitions + 2;
        if self.go_on(number, FINISH_LIMIT, Simulation::is_over) {
            return;
        }
        self.mend_everything();
        self.simulation.tell_orchestrator(desk::Command::Finish);
        self.go_on(number + 1, ORPHAN + FINISH_LIMIT, Simulation::is_over);
    }

    // --- faults ---

    fn strike(&mut self, fault: Fault, lasts: Duration) {
        self.say(|| fault.to_string());
        self.disturb(fault);
        let now = self.simulation.now();
        match fault {
            Fault::Hold(host) => self.simulation.hold(host),
            Fault::Partition(host) => self.partition(host, None, lasts),
            Fault::PartitionOneWay(host, end) => self.partition(host, Some(end), lasts),
            Fault::Slow(host, by) => self.simulation.slow(host, by),
            Fault::Cut(host) => {
                for end in [End::Dialer, End::Worker] {
                    self.simulation.break_at(host, end, now);
                }
            }
            Fault::Crash(host) => self.simulation.crash(host),
            Fault::LosePower(host) => {
                self.simulation.lose_power(host);
                self.notice(host, End::Dialer, lasts);
            }
            Fault::Kill(host) => self.command(host, host::Command::Kill),
            Fault::KillProgram(host) => self.command(host, host::Command::KillProgram),
            Fault::ShutDown(host) => self.command(host, host::Command::ShutDown),
            Fault::LoseHost(host) => {
                self.simulation.lose_power(host);
                self.simulation.tell_orchestrator(desk::Command::HostLost(host));
            }
            Fault::CrashOrchestrator(death) => self.crash_orchestrator(death, lasts),
            Fault::Strangers(host, stranger, count) => {
                (0..count).for_each(|_| self.simulation.visit(host, stranger));
            }
            Fault::GiveUp => self.simulation.tell_orchestrator(desk::Command::GiveUp),
        }
        if !lasts.is_zero() {
            self.expect(now + lasts, Coming::Mended(fault));
        }
    }

    /// What is sent is lost. Segments that are lost are not sent again, so connections that were there are dead;
    /// either end notices at a moment of its own.
    fn partition(&mut self, host: HostId, silenced: Option<End>, lasts: Duration) {
        match silenced {
            None => self.simulation.partition(host),
            Some(end) => self.simulation.partition_oneway(host, end),
        }
        self.notice(host, End::Dialer, lasts);
        self.notice(host, End::Worker, lasts);
    }

    fn crash_orchestrator(&mut self, death: Death, lasts: Duration) {
        let hosts = self.options.base.hosts();
        if death == Death::PowerLost && self.simulation.desk.is_up.get() {
            for host in hosts {
                self.simulation.partition(host);
                self.notice(host, End::Worker, lasts);
            }
        }
        self.simulation.crash_orchestrator();
    }

    /// From now until after the repair, this end notices that its connection is dead.
    fn notice(&mut self, host: HostId, end: End, lasts: Duration) {
        let now = self.simulation.now();
        let at = now + self.random.up_to(lasts + NOTICED_MAX);
        self.expect(at, Coming::Broken(host, end, now));
    }

    fn come(&mut self, coming: Coming) {
        match coming {
            Coming::Broken(host, end, before) => {
                self.simulation.disturb(host);
                self.simulation.break_at(host, end, before);
            }
            Coming::Mended(fault) => self.mend(fault),
        }
    }

    fn mend(&mut self, fault: Fault) {
        self.say(|| format!("mended: {fault}"));
        self.disturb(fault);
        match fault {
            Fault::Hold(host)
            | Fault::Partition(host)
            | Fault::PartitionOneWay(host, _)
            | Fault::Slow(host, _) => self.simulation.release(host),
            Fault::Crash(host) | Fault::LosePower(host) => self.simulation.boot(host),
            Fault::Kill(host) | Fault::ShutDown(host) => self.command(host, host::Command::Begin),
            Fault::CrashOrchestrator(death) => {
                if death == Death::PowerLost {
                    self.options.base.hosts().into_iter().for_each(|host| self.simulation.release(host));
                }
                self.simulation.boot_orchestrator();
            }
            Fault::Cut(_)
            | Fault::KillProgram(_)
            | Fault::LoseHost(_)
            | Fault::Strangers(..)
            | Fault::GiveUp => {}
        }
    }

    fn mend_everything(&mut self) {
        while let Some((_, coming)) = self.coming.pop() {
            self.come(coming);
        }
    }

    fn disturb(&self, fault: Fault) {
        match fault {
            Fault::Hold(host)
            | Fault::Partition(host)
            | Fault::PartitionOneWay(host, _)
            | Fault::Slow(host, _)
            | Fault::Cut(host)
            | Fault::Crash(host)
            | Fault::LosePower(host)
            | Fault::Kill(host)
            | Fault::KillProgram(host)
            | Fault::ShutDown(host)
            | Fault::LoseHost(host) => self.simulation.disturb(host),
            Fault::CrashOrchestrator(_) => {
                self.options.base.hosts().into_iter().for_each(|host| self.simulation.disturb(host));
            }
            Fault::Strangers(..) | Fault::GiveUp => {}
        }
    }

    fn command(&self, host: HostId, command: host::Command) {
        self.simulation.hosts[&host].mailbox.post(command);
    }

    fn expect(&mut self, at: Timestamp, coming: Coming) {
        let place = self.coming.partition_point(|(other, _)| *other > at);
        self.coming.insert(place, (at, coming));
    }

    fn say(&self, text: impl FnOnce() -> String) {
        self.simulation.record.say_at(self.simulation.now(), Speaker::Outside, Kind::Fault, text);
    }

    // --- what came of it ---

    /// The run as the rules look at it: the same as that of the other engine.
    fn evidence(self) -> run::Run {
        let Self { simulation, options, repetitions, .. } = self;
        let mut world = World::new(options.base.seed);
        world.orchestrator = options.base.orchestrator;
        for (group, workers) in [(Group::Server, options.base.servers), (Group::Client, options.base.clients)]
        {
            world.add_group(group, &GroupOptions::of(workers));
        }
        for (id, host) in &simulation.hosts {
            let as_seen = world.host(*id);
            as_seen.clock = host.clock;
            as_seen.has_met_coordinator = host.has_met_coordinator.get();
            if !host.is_up.get() {
                as_seen.worker = None;
            }
        }
        world.history = simulation.record.take_seen();
        world.breaches = simulation.record.take_breaches();
        run::Run::recorded(options.base, world, repetitions)
    }
}
