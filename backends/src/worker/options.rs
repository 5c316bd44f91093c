//! The command line of a worker: it alone decides what may be run.

use super::drivers::{DriverArg, DriverArgError, DriverEntry};
use crate::drivers::Role;
use crate::durations::{parse_interval, parse_limit};
use crate::key_file::{self, KeyError};
use crate::scenario::{Scenario, ScenarioError};
use crate::work;
use clap::{Parser, ValueEnum};
use russula_proto::{Group, Key, RunId, Work};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Most drivers that a worker can be given.
const DRIVERS_MAX: usize = 256;

/// A worker of a netbench run: waits for a coordinator and runs netbench drivers when it is told to.
///
/// A worker runs only what this command line names. The coordinator (`runner attach`, or a program
/// built on the library) chooses among the drivers by their place in the list, says when to start and
/// when to stop, and gets the outcome of each. Results and logs are written below --out.
///
/// By hand, with one server and one client, each on a host of its own:
///
///   anywhere$ runner key run.key       # and copy it to both hosts, readable for nobody else
///   server$ russula-worker server --listen 10.0.0.1:9000 --key-file run.key --scenario s.json \
///               --driver tcp
///   client$ russula-worker client --listen 10.0.0.2:9000 --key-file run.key --scenario s.json \
///               --driver tcp --server 10.0.0.1:4433
///   anywhere$ runner attach --key-file run.key --scenario s.json --driver tcp \
///               --server 10.0.0.1:9000 --client 10.0.0.2:9000
///
/// Whoever has the key can drive the worker, and nobody else: the control connection is encrypted,
/// and both sides prove that they have the key (Noise NNpsk0).
///
/// --driver NAME looks for s2n-netbench-driver-server-NAME and s2n-netbench-driver-client-NAME in
/// --driver-dir, then in the cache that `runner driver install` fills, then on PATH. The driver
/// `embedded` is also found beside this program. --driver NAME=PATH takes any program, under any name.
#[derive(Clone, Debug, Parser)]
#[command(name = "russula-worker", version, verbatim_doc_comment, after_long_help = EXIT_CODES)]
pub(super) struct Options {
    /// What this host does
    #[arg(value_enum)]
    pub(super) group: GroupName,

    /// Address and port for the coordinator; port 0 lets the kernel choose, and stdout tells which
    #[arg(long, value_name = "IP:PORT")]
    pub(super) listen: SocketAddr,

    /// The run that this worker belongs to; another run's coordinator is refused
    #[arg(long, value_name = "ID", default_value = "manual")]
    pub(super) run: RunId,

    /// File with the key of the run, which only its owner can read (`runner key FILE` makes one); `-` reads it from
    /// the first line of stdin
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: PathBuf,

    /// Place in the group, which is also the entry of the scenario's servers or clients that is played
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) index: u16,

    /// The scenario file, the same on every host
    #[arg(long, value_name = "FILE", required_if_eq_any([("group", "server"), ("group", "client")]))]
    pub(super) scenario: Option<PathBuf>,

    /// A driver, by name or with its program for this group; repeat it in the coordinator's order
    #[arg(long = "driver", value_name = "NAME[=PATH]")]
    pub(super) drivers: Vec<DriverArg>,

    /// Directory with driver programs, looked at before the driver cache and PATH
    #[arg(long, value_name = "DIR")]
    pub(super) driver_dir: Option<PathBuf>,

    /// Address that the driver uses on this host [default: that of --listen]
    #[arg(long, value_name = "IP")]
    pub(super) host: Option<IpAddr>,

    /// Port that a server listens on
    #[arg(long, value_name = "PORT", default_value_t = 4433, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,

    /// For clients: where the scenario's servers listen, one for each, in order
    #[arg(long = "server", value_name = "IP:PORT")]
    pub(super) servers: Vec<SocketAddr>,

    /// Directory for results and logs
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) out: PathBuf,

    /// Name of the scenario in the results [default: from its file name]
    #[arg(long, value_name = "NAME")]
    pub(super) scenario_name: Option<String>,

    /// Time between two samples of cpu, memory and throughput; 0 turns sampling off
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_interval)]
    pub(super) sample_interval: Duration,

    /// Run drivers under the stock collector at this path instead of sampling them
    #[arg(long, value_name = "PATH")]
    pub(super) stock_collector: Option<PathBuf>,

    /// How long a driver may take to end after SIGTERM before it gets SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_limit)]
    pub(super) kill_grace: Duration,

    /// How long to wait for a coordinator that went away
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_limit)]
    pub(super) orphan_timeout: Duration,

    /// End when stdin is closed, that is with whoever started this worker
    #[arg(long)]
    pub(super) exit_with_stdin: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  the coordinator said that the run is over
    2  a bad command line, or an address that cannot be listened on: nothing was started
    3  the coordinator went away and did not come back within --orphan-timeout
  130  a signal told the worker to end (or, with --exit-with-stdin, the end of stdin)

In each case the driver is stopped first. A worker that is killed takes its driver with it.
One line on stdout says where the worker listens; its log goes to stderr, RUST_LOG sets the level.";

/// The groups, as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupName {
    /// Runs a netbench server
    Server,
    /// Runs a netbench client
    Client,
    /// Runs nothing; answers that it is there
    Probe,
}

impl From<GroupName> for Group {
    fn from(name: GroupName) -> Self {
        match name {
            GroupName::Server => Self::Server,
            GroupName::Client => Self::Client,
            GroupName::Probe => Self::Probe,
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Group::from(*self).name())
    }
}

/// The options, checked as a whole.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) group: Group,
    pub(super) index: u16,
    pub(super) host: IpAddr,
    pub(super) port: u16,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) scenario_file: PathBuf,
    pub(super) scenario_name: String,
    pub(super) work: Work,
    pub(super) traces: Vec<String>,
    pub(super) multiplex: bool,
    pub(super) drivers: Vec<DriverEntry>,
    pub(super) out: PathBuf,
    pub(super) sample_interval: Option<Duration>,
    pub(super) stock_collector: Option<PathBuf>,
}

/// Options that do not fit together, or not to the scenario.
#[derive(Debug, thiserror::Error)]
pub(super) enum OptionsError {
    #[error("{0}")]
    Scenario(#[from] ScenarioError),
    #[error("--index {index}: the scenario has {count} {group} entries, the first is number 0")]
    Index { index: u16, count: usize, group: Group },
    #[error(
        "--server was given {given} times, the scenario has {expected} servers: give one address for each"
    )]
    Servers { given: usize, expected: usize },
    #[error("a {0} needs at least one --driver")]
    NoDriver(Group),
    #[error("a probe runs nothing: leave --driver out")]
    DriverOfProbe,
    #[error("{0}")]
    Driver(#[from] DriverArgError),
    #[error("--driver was given {0} times, at most {DRIVERS_MAX} are possible")]
    TooManyDrivers(usize),
    #[error("--driver {0} was given twice")]
    DriverTwice(String),
    #[error("the scenario file cannot be read again: {0}")]
    Digest(#[source] io::Error),
    #[error("the working directory cannot be found out: {0}")]
    Directory(#[source] io::Error),
}

impl Options {
    /// The key of the run; what follows it on stdin stays there.
    pub(super) fn read_key(&self) -> Result<Key, KeyError> {
        if self.key_file.as_os_str() == "-" {
            key_file::read_from(&mut Unbuffered)
        } else {
            key_file::read(&self.key_file)
        }
    }

    pub(super) fn prepare(&self) -> Result<Prepared, OptionsError> {
        let group = Group::from(self.group);
        let scenario = self.scenario.as_deref().map(Scenario::load).transpose()?;
        let drivers = self.find_drivers(group)?;
        if let Some(scenario) = &scenario {
            self.check_against(scenario, group)?;
        }
        Ok(Prepared {
            group,
            index: self.index,
            host: self.host.unwrap_or(self.listen.ip()),
            port: self.port,
            servers: self.servers.clone(),
            scenario_file: absolute(self.scenario.clone().unwrap_or_default())?,
            scenario_name: match (&self.scenario_name, &scenario) {
                (Some(name), _) => name.clone(),
                (None, Some(scenario)) => scenario.name().to_owned(),
                (None, None) => String::new(),
            },
            work: self.work(&drivers)?,
            traces: scenario.as_ref().map(|s| s.traces().to_vec()).unwrap_or_default(),
            multiplex: scenario.as_ref().is_some_and(Scenario::needs_multiplex),
            drivers,
            out: absolute(self.out.clone())?,
            sample_interval: (!self.sample_interval.is_zero()).then_some(self.sample_interval),
            stock_collector: self.stock_collector.clone(),
        })
    }

    fn work(&self, drivers: &[DriverEntry]) -> Result<Work, OptionsError> {
        let names = drivers.iter().map(|driver| driver.name.as_str());
        let of = |scenario: &PathBuf| work::of(scenario, names).map_err(OptionsError::Digest);
        self.scenario.as_ref().map_or(Ok(Work::default()), of)
    }

    fn find_drivers(&self, group: Group) -> Result<Vec<DriverEntry>, OptionsError> {
        let role = match group {
            Group::Server => Role::Server,
            Group::Client => Role::Client,
            Group::Probe if self.drivers.is_empty() => return Ok(Vec::new()),
            Group::Probe => return Err(OptionsError::DriverOfProbe),
        };
        if self.drivers.is_empty() {
            return Err(OptionsError::NoDriver(group));
        }
        if self.drivers.len() > DRIVERS_MAX {
            return Err(OptionsError::TooManyDrivers(self.drivers.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.drivers.iter().find(|driver| !names.insert(&driver.name)) {
            return Err(OptionsError::DriverTwice(twice.name.clone()));
        }
        let find = |driver: &DriverArg| driver.find(role, self.driver_dir.as_deref());
        Ok(self.drivers.iter().map(find).collect::<Result<_, _>>()?)
    }

    fn check_against(&self, scenario: &Scenario, group: Group) -> Result<(), OptionsError> {
        let count = match group {
            Group::Server => scenario.servers().len(),
            Group::Client => scenario.clients().len(),
            Group::Probe => return Ok(()),
        };
        if usize::from(self.index) >= count {
            return Err(OptionsError::Index { index: self.index, count, group });
        }
        let (given, expected) = (self.servers.len(), scenario.servers().len());
        if group == Group::Client && given != expected {
            return Err(OptionsError::Servers { given, expected });
        }
        Ok(())
    }
}

/// Stdin without the buffer of the standard library, which would take what is not asked for.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, OptionsError> {
    if path.as_os_str().is_empty() {
        Ok(path)
    } else {
        std::path::absolute(path).map_err(OptionsError::Directory)
    }
}
