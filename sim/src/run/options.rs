//! Everything about a run that is drawn from its seed.

use super::faults::{self, Fault, TimedFault};
use crate::Random;
use crate::model::HostId;
use crate::world::{Clock, NetworkOptions, Script, Split, Starts};
use russula_proto::{CoordinatorLimits, Exit, Group, StartFailure, WorkerLimits};
use std::fmt;
use std::time::Duration;

/// For a coordinator to come back, in every run.
pub const ORPHAN: Duration = Duration::from_secs(60);

/// Sizes that a user may fix instead of having them drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Servers.
    pub servers: Option<u16>,
    /// Clients.
    pub clients: Option<u16>,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the others were drawn from.
    pub seed: u64,
    /// What of them the user has fixed.
    pub sizes: Sizes,
    /// Workers in the group of servers.
    pub servers: u16,
    /// Workers in the group of clients.
    pub clients: u16,
    /// Repetitions with faults; one without follows them.
    pub repetitions: u32,
    /// No program fails by itself.
    pub is_healthy: bool,
    /// The machines are held to the caller's contract after every input.
    pub is_strict: bool,
    /// Links are encrypted as in earnest, which takes long.
    pub is_encrypted: bool,
    /// How the network behaves.
    pub network: NetworkOptions,
    /// The deadlines of the coordinators.
    pub coordinator: CoordinatorLimits,
    /// The deadlines of the workers.
    pub worker: WorkerLimits,
    /// What the host of the coordinators shows as the time.
    pub orchestrator: Clock,
    /// Each host with its clock and its program in each repetition.
    pub hosts: Vec<HostOptions>,
    /// What goes wrong, in order.
    pub faults: Vec<TimedFault>,
}

/// The options of a host.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Which.
    pub id: HostId,
    /// What it shows as the time.
    pub clock: Clock,
    /// Its program in each repetition.
    pub scripts: Vec<Script>,
}

impl Options {
    /// Draws them.
    pub fn of(seed: u64, sizes: Sizes) -> Self {
        let random = &mut Random::new(seed);
        let millis = Duration::from_millis;
        let (servers, clients) = (small(random), small(random));
        let mut options = Self {
            seed,
            sizes,
            servers: sizes.servers.unwrap_or(servers),
            clients: sizes.clients.unwrap_or(clients),
            repetitions: random.one_of(&[1, 1, 2, 2, 3]),
            is_healthy: random.chance(50),
            is_strict: random.chance(25),
            is_encrypted: random.index(128) == 0,
            network: network(random),
            coordinator: CoordinatorLimits {
                attempt: millis(random.between(500, 2000)),
                reconnect: millis(random.between(1000, 8000)),
                ready: Duration::from_secs(10),
                start: Duration::from_secs(5),
                run: Duration::from_secs(15),
                stop: Duration::from_secs(8),
                clock_exchanges: random.one_of(&[1, 2, 2, 8]),
                ..CoordinatorLimits::default()
            },
            worker: WorkerLimits { greeting: millis(1000), kill_grace: millis(500), orphan: ORPHAN },
            orchestrator: clock(random),
            hosts: vec![],
            faults: vec![],
        };
        for id in options.hosts() {
            let is_healthy = options.is_healthy;
            let mut scripts: Vec<Script> =
                (0..options.repetitions).map(|_| script(random, id.group, is_healthy)).collect();
            scripts.push(script(random, id.group, true));
            options.hosts.push(HostOptions { id, clock: clock(random), scripts });
        }
        let is_calm = random.chance(20);
        // The one after the last is the end of the run.
        for repetition in 1..=options.repetitions + 2 {
            let heals = repetition == options.repetitions + 1;
            if !is_calm && !heals {
                let mut faults = std::mem::take(&mut options.faults);
                faults::draw(random, repetition, &options, &mut faults);
                options.faults = faults;
            }
        }
        options
    }

    /// Every host, servers first.
    pub fn hosts(&self) -> Vec<HostId> {
        let of = |group, count: u16| (0..usize::from(count)).map(move |index| HostId { group, index });
        of(Group::Server, self.servers).chain(of(Group::Client, self.clients)).collect()
    }

    /// The longest time that a repetition may take: all its deadlines one after another, in both groups.
    /// After a takeover all of them begin anew.
    pub fn bound(&self, repetition: u32) -> Duration {
        let limits = &self.coordinator;
        let once = 2 * (limits.ready + limits.start + limits.run + limits.stop) + Duration::from_secs(10);
        let is_crash = |timed: &&TimedFault| {
            timed.repetition == repetition && matches!(timed.fault, Fault::CrashOrchestrator(_))
        };
        let crashes = u32::try_from(self.faults.iter().filter(is_crash).count()).unwrap_or(u32::MAX);
        once * (1 + crashes)
    }

    /// Whether everything that happens up to the end of `repetition` can be got over within the limits:
    /// connections break, and nothing worse.
    pub fn is_benign(&self, repetition: u32) -> bool {
        let mut faults = self.faults.iter().filter(|timed| timed.repetition <= repetition);
        self.is_healthy && faults.all(|timed| timed.fault.is_benign())
    }

    /// The command that makes this run again, with its trace.
    pub fn replay(&self) -> String {
        let mut command = format!("cargo run -p sim -- --seed {}", self.seed);
        if let Some(servers) = self.sizes.servers {
            command += &format!(" --servers {servers}");
        }
        if let Some(clients) = self.sizes.clients {
            command += &format!(" --clients {clients}");
        }
        command
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, servers, clients, repetitions, network, coordinator, .. } = self;
        writeln!(
            f,
            "seed {seed}: {servers} servers, {clients} clients, {repetitions} repetitions and a calm one"
        )?;
        let encryption = if self.is_encrypted { "in earnest" } else { "as a toy" };
        writeln!(f, "  network: {network:?}, encrypted {encryption}")?;
        writeln!(f, "  coordinators: {coordinator:?}, {:?}", self.orchestrator)?;
        writeln!(f, "  workers: {:?}", self.worker)?;
        for host in &self.hosts {
            writeln!(f, "  {}: {:?}", host.id, host.clock)?;
            for (at, script) in host.scripts.iter().enumerate() {
                writeln!(f, "    repetition {}: {script:?}", at + 1)?;
            }
        }
        for timed in &self.faults {
            let TimedFault { repetition, after, lasts, fault } = timed;
            write!(f, "  repetition {repetition} + {after:?}: {fault}")?;
            if lasts.is_zero() { writeln!(f)? } else { writeln!(f, ", for {lasts:?}")? }
        }
        Ok(())
    }
}

fn small(random: &mut Random) -> u16 {
    random.one_of(&[1, 2, 2, 3])
}

fn network(random: &mut Random) -> NetworkOptions {
    let millis = Duration::from_millis;
    let split = match random.between(0, 99) {
        0..60 => Split::Whole,
        60..99 => Split::UpTo(random.one_of(&[15, 40, 100])),
        _ => Split::Bytes,
    };
    NetworkOptions {
        latency: random.up_to(millis(20)),
        jitter: if random.chance(50) { random.up_to(millis(20)) } else { Duration::ZERO },
        split,
    }
}

fn clock(random: &mut Random) -> Clock {
    let offset_us = random.between(0, 10_000_000_000);
    let drift_ppm = i32::try_from(random.between(0, 200)).map_or(0, |drift| drift - 100);
    Clock { offset_us, drift_ppm }
}

fn script(random: &mut Random, group: Group, healthy: bool) -> Script {
    let mut script = match group {
        Group::Server | Group::Probe => Script::for_ever(),
        Group::Client => Script::running(random.up_to(Duration::from_millis(3000))),
    };
    script.start = random.up_to(Duration::from_millis(200));
    script.ignores_term = random.chance(20);
    if healthy || random.chance(70) {
        return script;
    }
    script.stderr = "error: ".repeat(random.index(60));
    match random.between(0, 5) {
        0 => script.starts = Starts::Fails(StartFailure::spawn("No such file or directory")),
        1 if group == Group::Server => script.starts = Starts::NeverListens,
        2 if group == Group::Client => script.run = None,
        3 => (script.exit, script.run) = (Exit::Signal(11), Some(random.up_to(Duration::from_millis(2000)))),
        _ => (script.exit, script.run) = (Exit::Code(1), Some(random.up_to(Duration::from_millis(2000)))),
    }
    script
}
