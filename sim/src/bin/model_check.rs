//! Explores the models as far as one likes.

use clap::Parser;
use sim::model_check::{Limits, Model, Mutation, Report, Setup};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Visits every state of one coordinator and two workers, and of a server and a client in a whole repetition.
#[derive(Debug, Parser)]
struct Arguments {
    /// At most so many faults in one run.
    #[arg(long, default_value_t = 1)]
    faults: u8,
    /// Only this model: servers, clients or both.
    #[arg(long)]
    setup: Option<String>,
    /// At most about so many states of each model.
    #[arg(long, default_value_t = 20_000_000)]
    states: usize,
    /// On so many threads, instead of one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits { states: arguments.states, threads: arguments.threads.unwrap_or(cores) };
    let is_asked = |setup: &Setup| arguments.setup.as_deref().is_none_or(|name| name == setup.name());
    let setups: Vec<Setup> = Setup::ALL.into_iter().filter(is_asked).collect();
    if setups.is_empty() {
        eprintln!("there is no such model; there are servers, clients and both");
        return ExitCode::FAILURE;
    }
    let mut holds = true;
    for setup in setups {
        let model = Model { setup, faults: arguments.faults, mutation: Mutation::None };
        let report = explore(model, limits);
        holds &= show(model, &report);
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore(model: Model, limits: Limits) -> Report {
    const BETWEEN: Duration = Duration::from_millis(500);
    let begin = Instant::now();
    let mut shown = begin;
    let is_terminal = std::io::stderr().is_terminal();
    let report = model.explore(limits, |states, transitions, depth| {
        if is_terminal && shown.elapsed() >= BETWEEN {
            shown = Instant::now();
            eprint!("\r{}: {states} states, {transitions} transitions, depth {depth}  ", model.setup.name());
            let _ = std::io::stderr().flush();
        }
    });
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    println!(
        "{} with up to {} faults: {} states, {} transitions, depth {}, {} ends, {:.1} s",
        model.setup.name(),
        model.faults,
        report.states,
        report.transitions,
        report.depth,
        report.ends,
        begin.elapsed().as_secs_f64(),
    );
    report
}

/// Shows how a rule is broken, if one is; returns whether all hold.
fn show(model: Model, report: &Report) -> bool {
    if let Some(found) = &report.counterexample {
        println!("{}", found.breach);
        for line in model.retell(&found.path) {
            println!("{line}");
        }
        return false;
    }
    if report.is_complete {
        println!("every rule holds in every state");
    } else {
        println!("every rule holds in the states that were visited, and there are more");
    }
    true
}
