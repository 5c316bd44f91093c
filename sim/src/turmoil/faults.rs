//! What goes wrong in a run over turmoil.

use crate::Random;
use crate::model::{End, HostId};
use crate::run;
use crate::world::{Death, Hold, Stranger};
use std::fmt;
use std::time::Duration;

/// Something that goes wrong. A way is that between a host and the one of the coordinators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What is sent on the way is held back for a while, both ways.
    Hold(HostId),
    /// What is sent on the way is lost for a while, both ways; connections that were there break.
    Partition(HostId),
    /// The same, for what this end sends.
    PartitionOneWay(HostId, End),
    /// The way takes up to this much longer for a while.
    Slow(HostId, Duration),
    /// The connection breaks, and both ends notice.
    Cut(HostId),
    /// The host of a worker stops and comes up again; its last words arrive.
    Crash(HostId),
    /// The host loses its power: nobody is told. It comes up again.
    LosePower(HostId),
    /// The worker process is killed with -9, its host refuses connections, and a new one is begun.
    Kill(HostId),
    /// The program is killed with -9.
    KillProgram(HostId),
    /// The host tells its worker to end.
    ShutDown(HostId),
    /// The host is gone for good, and says so out of band.
    LoseHost(HostId),
    /// The host of the coordinators stops; another process takes the run over.
    CrashOrchestrator(Death),
    /// Somebody connects, so many times, and is none of us.
    Strangers(HostId, Stranger, u8),
    /// The user interrupts the repetition.
    GiveUp,
}

/// When something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedFault {
    /// In which repetition; the one after the last is the end of the run.
    pub repetition: u32,
    /// How long after its beginning.
    pub after: Duration,
    /// How long until it is mended, if it has to be mended.
    pub lasts: Duration,
    /// What goes wrong.
    pub fault: Fault,
}

/// Most faults in a repetition, those that strike several hosts at once counted once.
const FAULTS_MAX: u64 = 5;

/// Longest time until something is mended.
const LASTS_MAX: Duration = Duration::from_millis(4000);

impl Fault {
    /// How many kinds there are.
    pub const KINDS: usize = 14;

    /// The same in the words of the other engine, as far as the rules ask for it: whether a run gets over it, and
    /// whether all deadlines begin anew.
    pub(super) fn in_memory(self) -> run::Fault {
        match self {
            Self::Hold(host)
            | Self::Partition(host)
            | Self::PartitionOneWay(host, _)
            | Self::Slow(host, _) => run::Fault::Stall(host, Hold::ALL),
            Self::Cut(host) => run::Fault::Cut(host),
            Self::Crash(host) | Self::Kill(host) => run::Fault::Crash(host),
            Self::LosePower(host) => run::Fault::Vanish(host),
            Self::KillProgram(host) => run::Fault::KillProgram(host),
            Self::ShutDown(host) => run::Fault::ShutDown(host),
            Self::LoseHost(host) => run::Fault::LoseHost(host),
            Self::CrashOrchestrator(death) => run::Fault::CrashOrchestrator(death),
            Self::Strangers(host, stranger, count) => run::Fault::Strangers(host, stranger, count),
            Self::GiveUp => run::Fault::GiveUp,
        }
    }

    fn draw(random: &mut Random, host: HostId, is_gentle: bool) -> Self {
        let death = random.one_of(&[Death::Killed, Death::PowerLost]);
        let strangers = Self::Strangers(host, random.one_of(&Stranger::ALL), random.one_of(&[1, 1, 2, 12]));
        let draw = random.between(0, 99);
        if is_gentle {
            return match draw {
                0..50 => Self::Cut(host),
                50..85 => Self::CrashOrchestrator(death),
                _ => strangers,
            };
        }
        match draw {
            0..14 => Self::Hold(host),
            14..24 => Self::Partition(host),
            24..32 => Self::PartitionOneWay(host, random.one_of(&[End::Dialer, End::Worker])),
            32..38 => Self::Slow(host, Duration::from_millis(random.between(50, 400))),
            38..48 => Self::CrashOrchestrator(death),
            48..56 => Self::Crash(host),
            56..62 => Self::LosePower(host),
            62..67 => Self::Kill(host),
            67..81 => Self::Cut(host),
            81..85 => Self::KillProgram(host),
            85..87 => Self::ShutDown(host),
            87..88 => Self::LoseHost(host),
            88..97 => strangers,
            _ => Self::GiveUp,
        }
    }

    fn lasts(self, random: &mut Random) -> Duration {
        match self {
            Self::Hold(_)
            | Self::Partition(_)
            | Self::PartitionOneWay(..)
            | Self::Slow(..)
            | Self::Crash(_)
            | Self::LosePower(_)
            | Self::Kill(_)
            | Self::ShutDown(_)
            | Self::CrashOrchestrator(_) => random.up_to(LASTS_MAX),
            Self::Cut(_) | Self::KillProgram(_) | Self::LoseHost(_) | Self::Strangers(..) | Self::GiveUp => {
                Duration::ZERO
            }
        }
    }

    /// The same on another host, if it is of the network: one that falls apart takes several hosts with it.
    fn also_at(self, host: HostId) -> Option<Self> {
        match self {
            Self::Hold(_) => Some(Self::Hold(host)),
            Self::Partition(_) => Some(Self::Partition(host)),
            Self::PartitionOneWay(_, end) => Some(Self::PartitionOneWay(host, end)),
            Self::Slow(_, by) => Some(Self::Slow(host, by)),
            Self::Cut(_) => Some(Self::Cut(host)),
            Self::Crash(_)
            | Self::LosePower(_)
            | Self::Kill(_)
            | Self::KillProgram(_)
            | Self::ShutDown(_)
            | Self::LoseHost(_)
            | Self::CrashOrchestrator(_)
            | Self::Strangers(..)
            | Self::GiveUp => None,
        }
    }

    fn host(self) -> Option<HostId> {
        match self {
            Self::Hold(host)
            | Self::Partition(host)
            | Self::PartitionOneWay(host, _)
            | Self::Slow(host, _)
            | Self::Cut(host)
            | Self::Crash(host)
            | Self::LosePower(host)
            | Self::Kill(host)
            | Self::KillProgram(host)
            | Self::ShutDown(host)
            | Self::LoseHost(host)
            | Self::Strangers(host, ..) => Some(host),
            Self::CrashOrchestrator(_) | Self::GiveUp => None,
        }
    }
}

/// The faults of one repetition, in order. Gentle ones are those that a run gets over.
pub(super) fn draw(
    random: &mut Random,
    repetition: u32,
    hosts: &[HostId],
    is_gentle: bool,
    out: &mut Vec<TimedFault>,
) {
    let begins = out.len();
    for _ in 0..random.between(0, FAULTS_MAX) {
        // Half of them while the programs are started, when most is said.
        let span = if random.chance(50) { 400 } else { 3500 };
        let after = random.up_to(Duration::from_millis(span));
        let host = random.one_of(hosts);
        let fault = Fault::draw(random, host, is_gentle);
        let lasts = fault.lasts(random);
        out.push(TimedFault { repetition, after, lasts, fault });
        if random.chance(25) {
            let others = hosts.iter().filter(|host| fault.host() != Some(**host) && random.chance(50));
            let also = others.filter_map(|host| fault.also_at(*host));
            out.extend(also.map(|fault| TimedFault { repetition, after, lasts, fault }));
        }
    }
    out[begins..].sort_by_key(|fault| fault.after);
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(host) => write!(f, "everything to and from {host} is held back"),
            Self::Partition(host) => write!(f, "everything to and from {host} is lost"),
            Self::PartitionOneWay(host, End::Dialer) => write!(f, "everything to {host} is lost"),
            Self::PartitionOneWay(host, End::Worker) => write!(f, "everything from {host} is lost"),
            Self::Slow(host, by) => write!(f, "the way to {host} takes up to {by:?} longer"),
            Self::Cut(host) => write!(f, "the connection to {host} breaks"),
            Self::Crash(host) => write!(f, "{host} stops"),
            Self::LosePower(host) => write!(f, "{host} loses its power"),
            Self::Kill(host) => write!(f, "the worker of {host} is killed"),
            Self::KillProgram(host) => write!(f, "the program of {host} is killed"),
            Self::ShutDown(host) => write!(f, "{host} tells its worker to end"),
            Self::LoseHost(host) => write!(f, "{host} is gone for good"),
            Self::CrashOrchestrator(Death::Killed) => f.write_str("the host of the coordinators stops"),
            Self::CrashOrchestrator(Death::PowerLost) => {
                f.write_str("the host of the coordinators loses its power")
            }
            Self::Strangers(host, stranger, count) => write!(f, "{count} x {stranger:?} connects to {host}"),
            Self::GiveUp => f.write_str("the user interrupts"),
        }
    }
}
