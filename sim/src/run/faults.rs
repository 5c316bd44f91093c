//! What goes wrong from outside in a run, and how it is mended.

use crate::Random;
use crate::model::{End, HostId};
use crate::run::options::Options;
use crate::world::{Hold, World};
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
    /// Somebody connects, so many times, and is none of us.
    Strangers(HostId, Stranger, u8),
    /// The user interrupts the repetition.
    GiveUp,
}

/// What somebody says who is none of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Nothing.
    Silent,
    /// A request of another protocol.
    Http,
    /// The beginning of our protocol, and then nothing.
    Beginning,
    /// The beginning of our protocol, and then a length of four gigabytes.
    GiantLength,
    /// The beginning of our protocol, and then anything.
    Garbage,
    /// The beginning of our protocol, one byte a second.
    Slow,
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
            Self::Cut(_) | Self::HalfOpen(_, End::Dialer) | Self::Strangers(..) => true,
            Self::HalfOpen(_, End::Worker)
            | Self::Stall(..)
            | Self::Refuse(_)
            | Self::Crash(_)
            | Self::Vanish(_)
            | Self::KillProgram(_)
            | Self::ShutDown(_)
            | Self::LoseHost(_)
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
                    let (says, pace) = stranger.says();
                    world.paced_stranger(host, says, pace);
                }
            }
            Self::GiveUp => world.give_up(),
        }
    }

    /// Ends it, if it lasts.
    pub fn mend(self, world: &mut World) {
        match self {
            Self::Stall(host, _) => world.release(host),
            Self::Refuse(host) => world.refuse(host, false),
            Self::Crash(host) | Self::ShutDown(host) => world.restart(host),
            Self::Vanish(host) => {
                world.restart(host);
                world.release(host);
            }
            Self::HalfOpen(..) => world.probe_connections(),
            Self::Cut(_) | Self::KillProgram(_) | Self::LoseHost(_) | Self::Strangers(..) | Self::GiveUp => {
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
            | Self::HalfOpen(..) => random.up_to(LASTS_MAX),
            Self::Cut(_) | Self::KillProgram(_) | Self::LoseHost(_) | Self::Strangers(..) | Self::GiveUp => {
                Duration::ZERO
            }
        }
    }

    fn draw(random: &mut Random, host: HostId) -> Self {
        match random.between(0, 99) {
            0..30 => Self::Cut(host),
            30..45 => Self::HalfOpen(host, random.one_of(&[End::Dialer, End::Dialer, End::Worker])),
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
            86..97 => {
                let stranger = random.one_of(&Stranger::ALL);
                Self::Strangers(host, stranger, random.one_of(&[1, 1, 2, 7]))
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

impl Stranger {
    const ALL: [Self; 6] =
        [Self::Silent, Self::Http, Self::Beginning, Self::GiantLength, Self::Garbage, Self::Slow];

    fn says(self) -> (Vec<u8>, Duration) {
        let preamble = russula_proto::wire::preamble();
        let then = |bytes: &[u8]| [&preamble[..], bytes].concat();
        let (bytes, pace) = match self {
            Self::Silent => (vec![], 0),
            Self::Http => (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 0),
            Self::Beginning => (preamble[..3].to_vec(), 0),
            Self::GiantLength => (then(&[0xff; 12]), 0),
            Self::Garbage => (then(&[0, 0, 0, 9, 7, 1, 200, 3, 4, 5, 6, 7, 8, 9, 10, 11]), 0),
            Self::Slow => (then(&[0, 0, 0, 40]), 1000),
        };
        (bytes, Duration::from_millis(pace))
    }
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
            Self::GiveUp => f.write_str("the user interrupts"),
        }
    }
}

/// Most faults in a repetition, partitions counted once.
const FAULTS_MAX: u64 = 6;

/// Longest time until something is mended.
const LASTS_MAX: Duration = Duration::from_millis(4000);
