//! Everything about a run that is drawn from its seed.

use crate::harness::{HostId, NetworkOptions, Random, Script, Split, Starts};
use russula_proto::{CoordinatorLimits, Exit, Group, StartFailure, WorkerLimits};
use std::time::Duration;

pub(super) const ORPHAN: Duration = Duration::from_secs(60);

/// What goes wrong from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut(HostId),
    CutUnnoticed(HostId),
    Hold(HostId),
    Refuse(HostId),
    Stranger(HostId),
    Silence(HostId),
    /// Ends `Hold` and `Refuse`.
    Heal(HostId),
    GiveUp,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) servers: u16,
    pub(crate) clients: u16,
    pub(crate) repetitions: u32,
    /// No program fails by itself.
    pub(crate) is_healthy: bool,
    pub(crate) network: NetworkOptions,
    pub(crate) coordinator: CoordinatorLimits,
    pub(crate) worker: WorkerLimits,
    /// Each host's program in each repetition.
    pub(crate) scripts: Vec<(HostId, Vec<Script>)>,
    /// The repetition, the time since it began, the fault; in order.
    pub(crate) faults: Vec<(u32, Duration, Fault)>,
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Options {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let millis = Duration::from_millis;
        let (servers, clients) = (small(random), small(random));
        let repetitions = random.between(1, 3) as u32;
        let network = NetworkOptions {
            latency: random.up_to(millis(20)),
            jitter: if random.chance(50) { random.up_to(millis(20)) } else { Duration::ZERO },
            split: [Split::Whole, Split::Bytes, Split::Random][random.between(0, 2) as usize],
        };
        let coordinator = CoordinatorLimits {
            attempt: millis(random.between(500, 2000)),
            reconnect: millis(random.between(1000, 8000)),
            ready: Duration::from_secs(10),
            start: Duration::from_secs(5),
            run: Duration::from_secs(15),
            stop: Duration::from_secs(8),
            ..CoordinatorLimits::default()
        };
        let worker = WorkerLimits { greeting: millis(1000), kill_grace: millis(500), orphan: ORPHAN };
        let mut options = Self {
            servers,
            clients,
            repetitions,
            is_healthy: random.chance(50),
            network,
            coordinator,
            worker,
            scripts: vec![],
            faults: vec![],
        };
        let hosts = options.hosts();
        let (healthy, calm) = (options.is_healthy, random.chance(50));
        for host in &hosts {
            let scripts = (0..repetitions).map(|_| script(random, host.group, healthy)).collect();
            options.scripts.push((*host, scripts));
        }
        for repetition in 1..=repetitions {
            if !calm {
                options.add_faults(random, repetition, &hosts);
            }
        }
        options
    }

    /// The longest time that a repetition may take: all its deadlines one after another, in both groups.
    pub(crate) fn bound(&self) -> Duration {
        let limits = &self.coordinator;
        2 * (limits.ready + limits.start + limits.run + limits.stop) + Duration::from_secs(10)
    }

    /// Whether everything that happens up to the end of `repetition` can be got over within the limits:
    /// connections break, and nothing worse.
    pub(crate) fn is_benign(&self, repetition: u32) -> bool {
        let is_benign = |fault: &Fault| match fault {
            Fault::Cut(_) | Fault::CutUnnoticed(_) | Fault::Stranger(_) | Fault::Silence(_) => true,
            Fault::Hold(_) | Fault::Refuse(_) | Fault::Heal(_) | Fault::GiveUp => false,
        };
        let mut faults = self.faults.iter().filter(|(number, ..)| *number <= repetition);
        self.is_healthy && faults.all(|(_, _, fault)| is_benign(fault))
    }

    fn hosts(&self) -> Vec<HostId> {
        let of = |group, count: u16| (0..usize::from(count)).map(move |index| HostId { group, index });
        of(Group::Server, self.servers).chain(of(Group::Client, self.clients)).collect()
    }

    fn add_faults(&mut self, random: &mut Random, repetition: u32, hosts: &[HostId]) {
        let mut faults = vec![];
        for _ in 0..random.between(0, 6) {
            // Half of them while the programs are started, when most is said.
            let span = if random.chance(50) { 400 } else { 3500 };
            let at = random.up_to(Duration::from_millis(span));
            let host = hosts[random.between(0, hosts.len() as u64 - 1) as usize];
            let (fault, lasts) = match random.between(0, 11) {
                0..=3 => (Fault::Cut(host), false),
                4..=5 => (Fault::CutUnnoticed(host), false),
                6..=7 => (Fault::Hold(host), true),
                8 => (Fault::Refuse(host), true),
                9 => (Fault::Stranger(host), false),
                10 => (Fault::Silence(host), false),
                _ => (if random.chance(30) { Fault::GiveUp } else { Fault::Cut(host) }, false),
            };
            faults.push((repetition, at, fault));
            if lasts {
                let heals = at + random.up_to(Duration::from_millis(4000));
                faults.push((repetition, heals, Fault::Heal(host)));
            }
        }
        faults.sort_by_key(|fault| fault.1);
        self.faults.extend(faults);
    }
}

fn small(random: &mut Random) -> u16 {
    random.between(1, 3) as u16
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
    script.stderr = "error: ".repeat(random.between(0, 60) as usize);
    match random.between(0, 5) {
        0 => script.starts = Starts::Fails(StartFailure::spawn("No such file or directory")),
        1 if group == Group::Server => script.starts = Starts::NeverListens,
        2 if group == Group::Client => script.run = None,
        3 => (script.exit, script.run) = (Exit::Signal(11), Some(random.up_to(Duration::from_millis(2000)))),
        _ => (script.exit, script.run) = (Exit::Code(1), Some(random.up_to(Duration::from_millis(2000)))),
    }
    script
}
