//! Replays one seed, or sweeps over many.

use clap::Parser;
use sim::check::Violation;
use sim::examine::without_panic;
use sim::run::{Options, Run, Sizes};
use sim::sweep::{Tally, sweep};
use sim::world::{Entry, Kind};
use sim::{check, run};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Runs the protocol in a world in memory.
///
/// Without --count one run is made and shown with everything that happened in it.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seed of the run, or of the first of them.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Makes the runs of so many seeds and checks them all.
    #[arg(long)]
    count: Option<u64>,
    /// So many servers, instead of a number drawn from the seed.
    #[arg(long)]
    servers: Option<u16>,
    /// So many clients, instead of a number drawn from the seed.
    #[arg(long)]
    clients: Option<u16>,
    /// Shows sockets and clocks too.
    #[arg(long)]
    verbose: bool,
    /// On so many threads, instead of one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sizes = Sizes { servers: arguments.servers, clients: arguments.clients };
    let holds = match arguments.count {
        None => replay(arguments.seed, sizes, arguments.verbose),
        Some(count) => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            many(arguments.seed, count, sizes, arguments.threads.unwrap_or(cores))
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows the run of one seed; returns whether it keeps every rule.
fn replay(seed: u64, sizes: Sizes, verbose: bool) -> bool {
    let options = Options::of(seed, sizes);
    print!("{options}");
    println!("replay: {}\n", options.replay());
    let violations =
        match without_panic(|| Run::traced(options, if verbose { print_all } else { print_most })) {
            Ok(run) => {
                println!();
                for repetition in &run.repetitions {
                    let failure =
                        repetition.failure.as_ref().map_or(String::new(), |failure| format!(": {failure}"));
                    println!("repetition {}: {}{failure}", repetition.number, run::Run::kind(repetition));
                }
                check::violations(&run)
            }
            Err(panic) => vec![panic],
        };
    show(&violations);
    violations.is_empty()
}

/// Makes and checks the runs of many seeds; returns whether all keep every rule.
fn many(seed: u64, count: u64, sizes: Sizes, threads: usize) -> bool {
    let is_terminal = std::io::stderr().is_terminal();
    let interval = Duration::from_millis(if is_terminal { 200 } else { 5000 });
    let begins = Instant::now();
    let tally = sweep(seed..seed.saturating_add(count), sizes, threads, interval, |tally, elapsed| {
        let per_second = tally.runs as f64 / elapsed.as_secs_f64();
        let broken = tally.broken.values().sum::<u64>();
        let text = format!("{} of {count} runs, {per_second:.0} runs/s, {broken} violations", tally.runs);
        if is_terminal {
            eprint!("\r{text}\x1b[K");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
        true
    });
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    summary(&tally, sizes, threads, begins.elapsed());
    tally.findings.is_empty()
}

fn summary(tally: &Tally, sizes: Sizes, threads: usize, elapsed: Duration) {
    let per_second = tally.runs as f64 / elapsed.as_secs_f64();
    let per_thread = per_second / threads as f64;
    println!(
        "{} runs in {elapsed:.1?} on {threads} threads: {per_second:.0} runs/s, {per_thread:.0} on each",
        tally.runs
    );
    println!("repetitions ended:");
    for (kind, count) in &tally.kinds {
        println!("  {count:>9}  {kind}");
    }
    for (checker, count) in &tally.broken {
        println!("broken by {count} runs: {checker}");
    }
    for finding in &tally.findings {
        println!("\n{}", Options::of(finding.seed, sizes).replay());
        show(&finding.violations);
    }
}

fn print_all(entry: &Entry) {
    println!("{entry}");
}

fn print_most(entry: &Entry) {
    match entry.kind {
        Kind::Socket | Kind::Clock => {}
        Kind::Message | Kind::Event | Kind::Program | Kind::Fault => println!("{entry}"),
    }
}

fn show(violations: &[Violation]) {
    for violation in violations {
        println!("{violation}");
    }
}
