//! Everything about a run over turmoil that is drawn from its seed.

use super::faults::{self, TimedFault};
use crate::Random;
use crate::run::{self, Sizes};
use crate::world::Split;
use std::fmt;
use std::time::Duration;

/// The numbers of this engine are others than those that the other one draws from the same seed.
const ENGINE: u64 = 0x7475_726d_6f69_6c00;

/// For a coordinator to come back, in every run: longer than it is ever away, shorter than in the other engine,
/// where waiting costs nothing.
pub(super) const ORPHAN: Duration = Duration::from_secs(30);

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What both engines have: hosts, programs, clocks, deadlines. Its faults are ours in its words.
    pub base: run::Options,
    /// How the network behaves.
    pub network: Network,
    /// What goes wrong, in order.
    pub faults: Vec<TimedFault>,
}

/// How turmoil's network behaves, and what the drivers do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// What decides about latencies, and about who takes a turn first.
    pub seed: u64,
    /// How long a host's turn is; what is sent in it leaves at its end.
    pub tick: Duration,
    /// Least latency of a segment, one way.
    pub latency_min: Duration,
    /// Most latency of a segment; a later one may overtake it.
    pub latency_max: Duration,
    /// Segments that a connection holds before the sender has to wait.
    pub capacity: usize,
    /// Hosts take their turns in an order that is drawn anew each time.
    pub random_order: bool,
    /// How many bytes a socket takes at once.
    pub split: Split,
    /// How many bytes a driver reads at once.
    pub read_len: usize,
    /// From the order to write something down until it is on the disk of the orchestrator.
    pub disk: Duration,
}

impl Options {
    /// Draws them.
    pub fn of(seed: u64, sizes: Sizes) -> Self {
        let random = &mut Random::new(seed ^ ENGINE);
        let mut base = run::Options::of(seed, sizes);
        base.worker.orphan = ORPHAN;
        base.is_encrypted = random.chance(12);
        let network = Network::draw(random, &base);
        let hosts = base.hosts();
        let (is_calm, is_gentle) = (random.chance(10), random.chance(40));
        let mut faults = vec![];
        // The one after the last is the end of the run.
        for repetition in 1..=base.repetitions + 2 {
            let heals = repetition == base.repetitions + 1;
            if !is_calm && !heals {
                faults::draw(random, repetition, &hosts, is_gentle, &mut faults);
            }
        }
        let in_memory = |timed: &TimedFault| run::TimedFault {
            repetition: timed.repetition,
            after: timed.after,
            lasts: timed.lasts,
            fault: timed.fault.in_memory(),
        };
        base.faults = faults.iter().map(in_memory).collect();
        Self { base, network, faults }
    }

    /// The command that makes this run again, with its trace.
    pub fn replay(&self) -> String {
        self.base.replay() + " --engine turmoil"
    }
}

impl Network {
    fn draw(random: &mut Random, base: &run::Options) -> Self {
        let millis = Duration::from_millis;
        let tick = millis(random.one_of(&[1, 2, 5]));
        // Two turns at least: whatever follows from something on another host is later than it, and the rounding
        // of timers is less than what a measured clock may be wrong.
        let latency_min = tick * 2 + random.up_to(millis(10));
        let disk = if random.chance(50) { millis(random.between(1, 3)) } else { Duration::ZERO };
        // The order to start together is given four times as early as a clock may be wrong, which is half of a
        // round trip, and at least the lead. More than that it must not take.
        let lead = base.coordinator.start_lead.max(latency_min * 4 - tick * 4);
        let jitter_max = lead.saturating_sub(latency_min + disk + tick * 2);
        let latency_max = latency_min + random.up_to(jitter_max);
        let split = match random.between(0, 99) {
            0..60 => Split::Whole,
            60..95 => Split::UpTo(random.one_of(&[10, 40, 100])),
            _ => Split::Bytes,
        };
        Self {
            seed: random.next(),
            tick,
            latency_min,
            latency_max,
            capacity: random.one_of(&[64, 256]),
            random_order: random.chance(50),
            split,
            read_len: random.one_of(&[1, 7, 100, 4096, 4096]),
            disk,
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, network, faults } = self;
        let run::Options { seed, servers, clients, repetitions, coordinator, worker, .. } = base;
        writeln!(
            f,
            "turmoil, seed {seed}: {servers} servers, {clients} clients, {repetitions} repetitions and a calm one"
        )?;
        let encryption = if base.is_encrypted { "in earnest" } else { "as a toy" };
        writeln!(f, "  {network:?}, encrypted {encryption}")?;
        writeln!(f, "  coordinators: {coordinator:?}, {:?}", base.orchestrator)?;
        writeln!(f, "  workers: {worker:?}")?;
        for host in &base.hosts {
            writeln!(f, "  {}: {:?}", host.id, host.clock)?;
            for (at, script) in host.scripts.iter().enumerate() {
                writeln!(f, "    repetition {}: {script:?}", at + 1)?;
            }
        }
        for TimedFault { repetition, after, lasts, fault } in faults {
            write!(f, "  repetition {repetition} + {after:?}: {fault}")?;
            if lasts.is_zero() { writeln!(f)? } else { writeln!(f, ", for {lasts:?}")? }
        }
        Ok(())
    }
}
