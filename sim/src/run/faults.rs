//! What goes wrong from outside in a run, and how it is mended.

use crate::Random;
use crate::model::{End, HostId};
use crate::run::options::Options;
use crate::world::{Death, Hold, Mangling, Stranger, World};
use std::fmt;
use std::time::Duration;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks, and both ends notice.
    Cut(HostId),
    /// The connection breaks, and only this end notices, until probes tell the other one.
    HalfOpen(HostId, End),
    /// Something does not get through for a while.
    Stall(HostId, Hold),
    /// Dials are refused for a while.
    Refuse(HostId),
    /// The worker process is killed with -9, and begun anew later.
    Crash(HostId),
    /// The host loses its power, and has it again later.
    Vanish(HostId),
    /// The program is killed with -9.
    KillProgram(HostId),
    /// The host tells its worker to end.
    ShutDown(HostId),
    /// The host is lost for good, and says so out of band.
    LoseHost(HostId),
    /// Somebody on the way changes the next bytes that this end sends.
    Mangle(HostId, End, Mangling),
    /// The process of the coordinators dies, and another one takes over later.
    CrashOrchestrator(Death),
    /// Somebody connects, so many times, and is none of us.
    Strangers(HostId, Stranger, u8),
    /// Another coordinator with the same key takes the worker over.
    Rival(HostId),
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

impl Fault {
    /// Whether a run gets over it within its limits, whenever it happens.
    pub fn is_benign(&self) -> bool {
        match self {
            Self::Cut(_)
            | Self::HalfOpen(_, End::Dialer)
            | Self::CrashOrchestrator(_)
            | Self::Strangers(..) => true,
            Self::HalfOpen(_, End::Worker)
            | Self::Stall(..)
            | Self::Refuse(_)
            | Self::Crash(_)
            | Self::Vanish(_)
            | Self::KillProgram(_)
            | Self::ShutDown(_)
            | Self::LoseHost(_)
            | Self::Mangle(..)
            | Self::Rival(_)
            | Self::GiveUp => false,
        }
    }

    /// Lets it happen.
    pub fn strike(self, world: &mut World) {
        world.say_fault(|| self.to_string());
        match self {
            Self::Cut(host) => world.cut(host),
            Self::HalfOpen(host, noticed_by) => world.cut_noticed_by(host, noticed_by),
            Self::Stall(host, hold) => world.hold(host, hold),
            Self::Refuse(host) => world.refuse(host, true),
            Self::Crash(host) => world.crash(host),
            Self::Vanish(host) => world.vanish(host),
            Self::KillProgram(host) => world.kill_program(host),
            Self::ShutDown(host) => world.shut_down(host),
            Self::LoseHost(host) => {
                world.vanish(host);
                world.lose_host(host, "the instance was terminated");
            }
            Self::Strangers(host, stranger, count) => {
                for _ in 0..count {
                    world.stranger(host, stranger);
                }
            }
            Self::Mangle(host, end, mangling) => world.mangle(host, end, mangling),
            Self::CrashOrchestrator(death) => world.crash_orchestrator(death),
            Self::Rival(host) => world.stranger(host, Stranger::Rival),
            Self::GiveUp => world.give_up(),
        }
    }

    /// Ends it, if it lasts.
    pub fn mend(self, world: &mut World) {
        match self {
            Self::Stall(host, _) => world.release(host),
            Self::Refuse(host) => world.refuse(host, false),
            Self::Rival(host) => world.strangers_leave(host),
            Self::Crash(host) | Self::ShutDown(host) => world.restart(host),
            Self::Vanish(host) => {
                world.restart(host);
                world.release(host);
            }
            Self::HalfOpen(..) => world.probe_connections(),
            Self::CrashOrchestrator(Death::Killed) => world.resume_orchestrator(),
            Self::CrashOrchestrator(Death::PowerLost) => {
                world.resume_orchestrator();
                world.probe_connections();
            }
            Self::Cut(_)
            | Self::KillProgram(_)
            | Self::LoseHost(_)
            | Self::Mangle(..)
            | Self::Strangers(..)
            | Self::GiveUp => {
                return;
            }
        }
        world.say_fault(|| format!("mended: {self}"));
    }

    fn lasts(&self, random: &mut Random) -> Duration {
        match self {
            Self::Stall(..)
            | Self::Refuse(_)
            | Self::Crash(_)
            | Self::Vanish(_)
            | Self::ShutDown(_)
            | Self::CrashOrchestrator(_)
            | Self::Rival(_)
            | Self::HalfOpen(..) => random.up_to(LASTS_MAX),
            Self::Cut(_)
            | Self::KillProgram(_)
            | Self::LoseHost(_)
            | Self::Mangle(..)
            | Self::Strangers(..)
            | Self::GiveUp => Duration::ZERO,
        }
    }

    fn draw(random: &mut Random, host: HostId) -> Self {
        match random.between(0, 99) {
            0..20 => Self::Cut(host),
            20..30 => Self::CrashOrchestrator(random.one_of(&[Death::Killed, Death::PowerLost])),
            30..33 => {
                let mangling = random.one_of(&[Mangling::Flip, Mangling::FlipFirst, Mangling::Zero]);
                Self::Mangle(host, random.one_of(&[End::Dialer, End::Worker]), mangling)
            }
            33..45 => Self::HalfOpen(host, random.one_of(&[End::Dialer, End::Dialer, End::Worker])),
            45..65 => Self::Stall(
                host,
                Hold {
                    to_worker: random.chance(70),
                    to_coordinator: random.chance(70),
                    sockets_take: random.chance(50),
                },
            ),
            65..70 => Self::Refuse(host),
            70..76 => Self::Crash(host),
            76..79 => Self::Vanish(host),
            79..83 => Self::KillProgram(host),
            83..85 => Self::ShutDown(host),
            85..86 => Self::LoseHost(host),
            86..88 => Self::Rival(host),
            88..97 => {
                let stranger = random.one_of(&Stranger::ALL);
                Self::Strangers(host, stranger, random.one_of(&[1, 1, 2, 12]))
            }
            _ => Self::GiveUp,
        }
    }
}

/// The faults of one repetition, in order.
pub(super) fn draw(random: &mut Random, repetition: u32, options: &Options, out: &mut Vec<TimedFault>) {
    let begins = out.len();
    for _ in 0..random.between(0, FAULTS_MAX) {
        // Half of them while the programs are started, when most is said.
        let span = if random.chance(50) { 400 } else { 3500 };
        let after = random.up_to(Duration::from_millis(span));
        let host = random.one_of(&options.hosts());
        let fault = Fault::draw(random, host);
        let lasts = fault.lasts(random);
        // A network that falls apart takes several hosts with it at the same moment.
        let is_partition = matches!(fault, Fault::Stall(..)) && random.chance(25);
        out.push(TimedFault { repetition, after, lasts, fault });
        for other in options.hosts() {
            if let Fault::Stall(first, hold) = fault
                && is_partition
                && other != first
                && random.chance(50)
            {
                out.push(TimedFault { repetition, after, lasts, fault: Fault::Stall(other, hold) });
            }
        }
    }
    out[begins..].sort_by_key(|fault| fault.after);
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(host) => write!(f, "the connection to {host} breaks"),
            Self::HalfOpen(host, End::Dialer) => {
                write!(f, "the connection to {host} breaks, and the worker does not notice")
            }
            Self::HalfOpen(host, End::Worker) => {
                write!(f, "the connection to {host} breaks, and the coordinator does not notice")
            }
            Self::Stall(host, hold) => {
                let way = match (hold.to_worker, hold.to_coordinator) {
                    (true, true) => "to and from",
                    (true, false) => "to",
                    (false, true) => "from",
                    (false, false) => "(not at all)",
                };
                let sockets = if hold.sockets_take { ", sockets take bytes all the same" } else { "" };
                write!(f, "nothing gets through {way} {host}{sockets}")
            }
            Self::Refuse(host) => write!(f, "{host} refuses connections"),
            Self::Crash(host) => write!(f, "the worker of {host} is killed"),
            Self::Vanish(host) => write!(f, "{host} loses its power"),
            Self::KillProgram(host) => write!(f, "the program of {host} is killed"),
            Self::ShutDown(host) => write!(f, "{host} tells its worker to end"),
            Self::LoseHost(host) => write!(f, "{host} is gone for good"),
            Self::Strangers(host, stranger, count) => write!(f, "{count} x {stranger:?} connects to {host}"),
            Self::Mangle(host, End::Dialer, how) => write!(f, "somebody changes bytes to {host} ({how:?})"),
            Self::Mangle(host, End::Worker, how) => write!(f, "somebody changes bytes from {host} ({how:?})"),
            Self::CrashOrchestrator(Death::Killed) => {
                f.write_str("the process of the coordinators is killed")
            }
            Self::CrashOrchestrator(Death::PowerLost) => {
                f.write_str("the host of the coordinators loses its power")
            }
            Self::Rival(host) => write!(f, "another coordinator takes {host} over"),
            Self::GiveUp => f.write_str("the user interrupts"),
        }
    }
}

/// Most faults in a repetition, partitions counted once.
const FAULTS_MAX: u64 = 6;

/// Longest time until something is mended.
const LASTS_MAX: Duration = Duration::from_millis(4000);
