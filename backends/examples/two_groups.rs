//! A tool of one's own on the library: one run over a group of servers and a group of clients.
//!
//! The workers are `russula-worker` processes that somebody has started, here with a program of each kind:
//!
//! ```text
//! $ runner key run.key
//! $ russula-worker server --key-file run.key --listen 127.0.0.1:9001 --scenario s.json --driver tcp --port 4433
//! $ russula-worker client --key-file run.key --listen 127.0.0.1:9002 --scenario s.json --driver tcp \
//!       --server 127.0.0.1:4433
//! $ cargo run -p backends --example two_groups -- --key-file run.key \
//!       --server 127.0.0.1:9001 --client 127.0.0.1:9002
//! ```

use backends::key_file;
use backends::tcp::{Coordinators, GroupId, RunTillError};
use clap::Parser;
use russula_proto::{Coordinator, CoordinatorConfig, CoordinatorLimits, Group, Key, Milestone, RunId};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the servers and the clients once: servers first, clients till they are done, then the servers stop.
#[derive(Parser)]
struct Options {
    /// Where the servers' workers listen, in the order of their --index
    #[arg(long = "server", value_name = "IP:PORT", num_args = 1.., required = true)]
    servers: Vec<SocketAddr>,

    /// Where the clients' workers listen, in the order of their --index
    #[arg(long = "client", value_name = "IP:PORT", num_args = 1.., required = true)]
    clients: Vec<SocketAddr>,

    /// The key that the workers were started with
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,

    /// The run that the workers were started for
    #[arg(long, value_name = "ID", default_value = "manual")]
    run: RunId,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    // One thread and one poll serve both groups, however many workers they have.
    let mut coordinators = Coordinators::new()?;
    let key = key_file::read(&options.key_file)?;
    let config = |group, workers: &[SocketAddr]| config(&options.run, &key, group, workers);
    let servers = coordinators.add(config(Group::Server, &options.servers), options.servers.clone());
    let clients = coordinators.add(config(Group::Client, &options.clients), options.clients.clone());

    let result = run(&mut coordinators, servers, clients);
    for group in [servers, clients] {
        print_outcomes(coordinators.get(group));
    }
    // The workers end; without this they would wait for us to come back.
    coordinators.finish()?;
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunTillError::Failed(_)) => Ok(ExitCode::FAILURE),
        Err(error @ RunTillError::Poll(_)) => Err(error.into()),
    }
}

/// The run itself. Whatever fails, in either group, ends it: by then everything has been stopped again.
fn run(coordinators: &mut Coordinators, servers: GroupId, clients: GroupId) -> Result<(), RunTillError> {
    for group in [servers, clients] {
        // Repetition 1, with the workers' program 0: the first --driver of their command lines.
        coordinators.begin(group, 1, 0);
    }
    coordinators.run_till(servers, Milestone::Ready)?;
    coordinators.run_till(clients, Milestone::Ready)?;
    coordinators.run_till(servers, Milestone::WorkersRunning)?;
    coordinators.run_till(clients, Milestone::Done)?;
    coordinators.run_till(servers, Milestone::Done)
}

fn config(run: &RunId, key: &Key, group: Group, workers: &[SocketAddr]) -> CoordinatorConfig {
    CoordinatorConfig {
        run: run.clone(),
        group,
        workers: u16::try_from(workers.len()).expect("a command line has no room for more"),
        // Every wait has a deadline; here each can be chosen.
        limits: CoordinatorLimits::default(),
        key: key.clone(),
        session: backends::clock::session(),
        // It has not taken over from one that died.
        incarnation: 0,
        work: None,
    }
}

fn print_outcomes(coordinator: &Coordinator) {
    let group = coordinator.group();
    if let Some(failure) = coordinator.failure() {
        println!("the {group}s failed: {failure}");
    }
    for (index, worker) in coordinator.peers().enumerate() {
        match (worker.ending, worker.last_error) {
            (Some(ending), _) => println!("{group} {index}: {ending}"),
            (None, Some(error)) => println!("{group} {index}: {error}"),
            (None, None) => println!("{group} {index}: did not run"),
        }
        if let Some(outcome) = worker.ending.and_then(|ending| ending.outcome()) {
            let (seconds, cpu) = (outcome.duration_us as f64 / 1e6, outcome.cpu_us as f64 / 1e6);
            println!("    {seconds:.2} s, cpu {cpu:.2} s, at most {} KiB", outcome.max_rss_bytes / 1024);
            for line in outcome.stderr_tail.as_str().lines() {
                println!("    stderr: {line}");
            }
        }
    }
}
