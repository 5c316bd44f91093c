//! Whole runs over workers that were started by hand, coordinated through the library.

use crate::drivers;
use crate::support::{SERVERS, Site, WORKER, Worker, add_group, failure_of, files_below, spawn};
use backends::tcp::{Coordinators, GroupId, RunTillError};
use russula_proto::{Ending, Exit, Group, Milestone};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run as in `examples/two_groups.rs`.
struct Run {
    coordinators: Coordinators,
    servers: GroupId,
    clients: GroupId,
}

impl Run {
    fn new(servers: &[Worker], client: &Worker) -> Self {
        let mut coordinators = Coordinators::new().expect("a poll");
        let servers = servers.iter().collect::<Vec<_>>();
        let servers = add_group(&mut coordinators, "manual", Group::Server, &servers);
        let clients = add_group(&mut coordinators, "manual", Group::Client, &[client]);
        Self { coordinators, servers, clients }
    }

    fn repetition(&mut self, number: u32, program: u16) -> Result<(), RunTillError> {
        let (servers, clients) = (self.servers, self.clients);
        self.coordinators.begin(servers, number, program);
        self.coordinators.begin(clients, number, program);
        self.coordinators.run_till(servers, Milestone::Ready)?;
        self.coordinators.run_till(clients, Milestone::Ready)?;
        self.coordinators.run_till(servers, Milestone::WorkersRunning)?;
        self.coordinators.run_till(clients, Milestone::Done)?;
        self.coordinators.run_till(servers, Milestone::Done)
    }

    fn endings(&self, group: GroupId) -> Vec<Ending> {
        let peers = self.coordinators.get(group).peers();
        peers.map(|peer| peer.ending.expect("the repetition is over").clone()).collect()
    }

    fn assert_went_well(&self) {
        for ending in self.endings(self.servers) {
            assert!(
                matches!(&ending, Ending::Stopped(outcome) if outcome.exit == Exit::Signal(15)),
                "{ending}"
            );
        }
        for ending in self.endings(self.clients) {
            assert!(matches!(&ending, Ending::Exited(outcome) if outcome.exit == Exit::Code(0)), "{ending}");
        }
    }
}

fn servers(site: &Site, driver: &str) -> Vec<Worker> {
    (0..SERVERS).map(|index| site.server(index, driver, &[])).collect()
}

#[test]
fn repetitions_one_after_another_over_four_servers_and_a_client() {
    let site = Site::new();
    let mut servers = servers(&site, &drivers::server());
    let mut client = site.client(&drivers::client(), &[]);
    let mut run = Run::new(&servers, &client);
    for number in 1..=3 {
        // The client's driver fails unless every server listens.
        run.repetition(number, 0).expect("went well");
        run.assert_went_well();
    }
    run.coordinators.finish().expect("a poll");
    for worker in servers.iter_mut().chain([&mut client]) {
        worker.assert_ends_with(0);
        assert!(worker.log().contains("ends: the run is over"), "{}", worker.log());
    }
    let written = files_below(&site.path("client"));
    for file in [
        "logs/client-127.0.0.1.fake.stdout.log",
        "logs/client-127.0.0.1.fake-r2.stderr.log",
        "results/demo/fake/client-127.0.0.1.json",
        "results/demo/fake/client-127.0.0.1-r3.json",
    ] {
        assert!(written.iter().any(|written| written == file), "{file} is not among {written:?}");
    }
}

#[test]
fn a_server_that_ends_early_ends_the_run_of_the_clients_too() {
    let site = Site::new();
    // The fourth server is gone as soon as the client has connected to it.
    let mut servers = servers(&site, &drivers::server());
    servers[3] = site.server(3, &drivers::brief_server(), &[]);
    let client = site.client(&drivers::lingering_client(), &[]);
    let mut run = Run::new(&servers, &client);
    let failure = failure_of(run.repetition(1, 0));
    assert_eq!(failure.to_string(), "worker 3: the driver ended by itself with exit status 0");
    assert_eq!(run.coordinators.get(run.servers).failure(), Some(&failure));
    let ending = &run.endings(run.clients)[0];
    assert!(matches!(ending, Ending::Stopped(_)), "{ending}");
    // The workers are there for the next attempt.
    let failure = failure_of(run.repetition(2, 0));
    assert_eq!(failure.worker(), Some(3));
}

/// With the drivers and the generator of netbench, where `NETBENCH_STOCK_DIR` says that they are.
#[test]
fn the_stock_tcp_driver() {
    let Some(stock) = std::env::var_os("NETBENCH_STOCK_DIR").map(PathBuf::from) else {
        return eprintln!("skipped: NETBENCH_STOCK_DIR is not set");
    };
    let site = Site::new();
    let mut generator = Command::new(stock.join("s2n-netbench-scenarios"));
    let generator =
        generator.args(["--request_response.servers", "2"]).arg(site.path("")).stdout(Stdio::null());
    assert!(spawn(generator).wait().expect("it is our child").success());
    let scenario = site.path("request_response.json");
    let start = |name: &str, args: &[&str]| {
        let mut command = Command::new(WORKER);
        command.args(args).args(["--listen", "127.0.0.1:0", "--driver", "tcp", "--driver-dir"]).arg(&stock);
        command.arg("--key-file").arg(site.path("run.key"));
        command.arg("--scenario").arg(&scenario).arg("--out").arg(site.path(name));
        Worker::start(command, site.path(&format!("{name}.log")))
    };
    let ports = [site.port(0).to_string(), site.port(1).to_string()];
    let addresses = [format!("127.0.0.1:{}", ports[0]), format!("127.0.0.1:{}", ports[1])];
    let servers = [
        start("server0", &["server", "--port", &ports[0]]),
        start("server1", &["server", "--port", &ports[1], "--index", "1"]),
    ];
    let client = start("client", &["client", "--server", &addresses[0], "--server", &addresses[1]]);
    let mut run = Run::new(&servers, &client);
    run.repetition(1, 0).expect("went well");
    run.assert_went_well();
    let result = Path::new("client/results/request_response/tcp/client-127.0.0.1.json");
    let result = std::fs::read_to_string(site.path("").join(result)).expect("the client's result");
    assert!(result.lines().next().is_some_and(|header| header.contains("request_response")), "{result}");
    assert!(result.lines().count() > 1, "there are samples: {result}");
}
