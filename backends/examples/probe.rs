//! The third workflow at work: asks every worker of a list whether it is there, and which version it is.
//!
//! ```text
//! $ runner key run.key
//! $ russula-worker probe --key-file run.key --listen 127.0.0.1:9001 --index 0
//! $ russula-worker probe --key-file run.key --listen 127.0.0.1:9002 --index 1
//! $ cargo run -p backends --example probe -- --key-file run.key 127.0.0.1:9001 127.0.0.1:9002
//! ```

use backends::durations::parse_limit;
use backends::key_file;
use backends::tcp::Coordinators;
use clap::Parser;
use russula_proto::{CoordinatorConfig, CoordinatorLimits, Group, Milestone, RunId};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Asks workers that were started as probes for a sign of life.
#[derive(Parser)]
struct Options {
    /// Where the workers listen, in the order of their --index
    #[arg(value_name = "IP:PORT", required = true)]
    workers: Vec<SocketAddr>,

    /// The key that the workers were started with
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,

    /// The run that the workers were started for
    #[arg(long, value_name = "ID", default_value = "manual")]
    run: RunId,

    /// How long to wait for all of them
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_limit)]
    timeout: Duration,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let config = CoordinatorConfig {
        run: options.run,
        group: Group::Probe,
        workers: u16::try_from(options.workers.len()).expect("a command line has no room for more"),
        limits: CoordinatorLimits { ready: options.timeout, ..CoordinatorLimits::default() },
        key: key_file::read(&options.key_file)?,
        session: backends::clock::session(),
        incarnation: 0,
        work: None,
    };
    let mut coordinators = Coordinators::new()?;
    let probes = coordinators.add(config, options.workers.clone());
    coordinators.begin(probes, 1, 0);
    let result = coordinators.run_till(probes, Milestone::Done);

    for (address, worker) in options.workers.iter().zip(coordinators.get(probes).peers()) {
        match (worker.welcome, worker.last_error) {
            (Some(welcome), _) => println!("{address}: alive, version {}", welcome.program_version),
            (None, Some(error)) => println!("{address}: {error}"),
            (None, None) => println!("{address}: no answer"),
        }
    }
    coordinators.finish()?;
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
