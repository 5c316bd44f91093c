//! Workers that somebody started by hand, one for the server and one for the client of the tiny scenario, each with a
//! loopback address of its own, so that it can be killed and started again in the same place.

use crate::bench::{Bench, Finished, LEFT_MAX, Running, eventually, scenario};
use crate::ports::free_port;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// Name of the key file in the directory of the test.
pub(crate) const KEY_FILE: &str = "run.key";

/// A server's and a client's worker, both with the same drivers of the test.
pub(crate) struct Workers<'a> {
    bench: &'a Bench,
    drivers: Vec<&'a str>,
    args: Vec<&'a str>,
    pub(crate) server: Worker,
    pub(crate) client: Worker,
    /// Where the coordinator is told that they are.
    pub(crate) control: [SocketAddr; 2],
}

/// A worker, wherever it is in its life.
pub(crate) struct Worker {
    group: &'static str,
    pub(crate) listen: SocketAddr,
    own_args: [String; 2],
    process: Option<Running>,
}

impl<'a> Workers<'a> {
    /// Both run, at addresses that nobody else uses.
    pub(crate) fn start(bench: &'a Bench, drivers: &[&'a str], args: &[&'a str]) -> Self {
        Self::start_at(bench, drivers, &Place::new(), args)
    }

    /// Neither is started yet.
    pub(crate) fn planned(bench: &'a Bench, drivers: &[&'a str], args: &[&'a str]) -> Self {
        Self::planned_at(bench, drivers, &Place::new(), args)
    }

    /// Both run, and the server's driver is to listen at `place`.
    pub(crate) fn start_at(bench: &'a Bench, drivers: &[&'a str], place: &Place, args: &[&'a str]) -> Self {
        let mut workers = Self::planned_at(bench, drivers, place, args);
        workers.start_server();
        workers.start_client();
        workers
    }

    fn planned_at(bench: &'a Bench, drivers: &[&'a str], place: &Place, args: &[&'a str]) -> Self {
        if !bench.path(KEY_FILE).exists() {
            bench.run(&["key", KEY_FILE]).expect_code(0);
        }
        let worker = |group, place: &Place, own_args| {
            let listen = SocketAddr::new(place.address, free_port());
            Worker { group, listen, own_args, process: None }
        };
        let port = place.port;
        let server = worker("server", place, ["--port".into(), port.to_string()]);
        let server_address = format!("{}:{port}", place.address);
        let client = worker("client", &Place::new(), ["--server".into(), server_address]);
        let control = [server.listen, client.listen];
        Self { bench, drivers: drivers.to_vec(), args: args.to_vec(), server, client, control }
    }

    pub(crate) fn start_server(&mut self) {
        self.server.process = Some(self.start_worker(&self.server));
        self.server.expect_listening();
    }

    pub(crate) fn start_client(&mut self) {
        self.client.process = Some(self.start_worker(&self.client));
        self.client.expect_listening();
    }

    fn start_worker(&self, worker: &Worker) -> Running {
        let group = worker.group;
        let (listen, tiny) = (worker.listen.to_string(), scenario("tiny").display().to_string());
        let all = ["worker", group, "--listen", &listen, "--scenario", &tiny, "--key-file", KEY_FILE];
        let mut command = self.bench.command(&all);
        for driver in &self.drivers {
            let program = self.bench.drivers().join(format!("s2n-netbench-driver-{group}-{driver}"));
            command.args(["--driver", &format!("{driver}={}", program.display())]);
        }
        command.args(["--out", &format!("{group}-out")]).args(&worker.own_args).args(&self.args);
        self.bench.start(command)
    }

    /// `runner attach` with these arguments besides those that name the work and the workers.
    pub(crate) fn attach(&self, args: &[&str]) -> Running {
        self.bench.start(self.attach_command(args))
    }

    pub(crate) fn attach_command(&self, args: &[&str]) -> Command {
        self.attach_command_of(&scenario("tiny").display().to_string(), args)
    }

    pub(crate) fn attach_command_of(&self, scenario: &str, args: &[&str]) -> Command {
        let [server, client] = self.control.map(|address| address.to_string());
        let all = [
            "attach",
            "--scenario",
            scenario,
            "--key-file",
            KEY_FILE,
            "--server",
            &server,
            "--client",
            &client,
        ];
        let mut command = self.bench.command(&all);
        for driver in &self.drivers {
            command.args(["--driver", driver]);
        }
        command.args(args).stdin(Stdio::piped());
        command
    }

    pub(crate) fn signal(&self, signal: Signal) {
        for worker in [&self.server, &self.client] {
            worker.process().signal(signal);
        }
    }

    /// Both end by themselves; what came of them, the server's first.
    pub(crate) fn end(self) -> [Finished; 2] {
        [self.server, self.client].map(|worker| {
            worker.process.unwrap_or_else(|| panic!("the {} was started", worker.group)).end_within(LEFT_MAX)
        })
    }

    /// The server's worker, where that of the client is gone.
    pub(crate) fn server_alone(self) -> Running {
        assert!(self.client.process.is_none(), "the client is gone");
        self.server.process.expect("the server was started")
    }

    /// Both end because they were told that the run is over.
    #[track_caller]
    pub(crate) fn expect_dismissed(self) {
        for worker in self.end() {
            worker.expect_code(0).expect_stderr(&["ends: the run is over"]);
        }
    }

    /// Each driver was started on each host exactly once in each of `rounds`.
    #[track_caller]
    pub(crate) fn expect_each_started_once(&self, rounds: u32) {
        let mut expected = BTreeMap::new();
        for worker in [&self.server, &self.client] {
            for driver in &self.drivers {
                for round in 1..=rounds {
                    let suffix = if round == 1 { String::new() } else { format!("-r{round}") };
                    expected.insert(format!("{}-{}.{driver}{suffix}", worker.group, worker.listen.ip()), 1);
                }
            }
        }
        assert_eq!(self.bench.starts(), expected);
    }
}

impl Worker {
    pub(crate) fn process(&self) -> &Running {
        self.process.as_ref().unwrap_or_else(|| panic!("the {} was started", self.group))
    }

    /// Ends it by force; what it ran ends with it.
    pub(crate) fn kill(&mut self) {
        let process = self.process.take().unwrap_or_else(|| panic!("the {} was started", self.group));
        process.signal(Signal::KILL);
        process.end_within(LEFT_MAX);
    }

    /// Waits until its log, since its last start, has this text.
    #[track_caller]
    pub(crate) fn expect_log(&self, text: &str) {
        self.process().expect_stderr(text);
    }

    /// Waits until its log, since its last start, has this text so many times.
    #[track_caller]
    pub(crate) fn expect_log_count(&self, text: &str, count: usize) {
        let what = format!("the log of the {} has {text:?} {count} times", self.group);
        eventually(&what, || self.process().stderr().matches(text).count() >= count);
    }

    fn expect_listening(&self) {
        let line = format!("listening on {}\n", self.listen);
        eventually(&format!("the {} listens", self.group), || self.process().stdout() == line);
    }
}

impl Bench {
    /// The starts of drivers whose scripts say `$NOTE`, by what the driver's logs are called.
    pub(crate) fn starts(&self) -> BTreeMap<String, u32> {
        let text = fs::read_to_string(self.path("starts")).unwrap_or_default();
        let mut starts = BTreeMap::new();
        for line in text.lines() {
            let name = line.rsplit('/').next().and_then(|name| name.strip_suffix(".stderr.log"));
            *starts.entry(name.unwrap_or(line).to_owned()).or_default() += 1;
        }
        starts
    }
}

/// A loopback address that no other test uses, and a port for a driver, which wants it to be free at every address.
pub(crate) struct Place {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [high, low] = u16::try_from(std::process::id() % 0x1_0000).expect("a remainder").to_be_bytes();
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        assert_ne!(nth, 0, "there are addresses for 255 places");
        let address = Ipv4Addr::new(127, 64 + high % 128, low, nth).into();
        Self { address, port: free_port() }
    }
}
