//! Replays one seed, or sweeps over many.

use clap::{Parser, ValueEnum};
use sim::check::Violation;
use sim::examine::{Finding, without_panic};
use sim::run::{Options, Run, Sizes};
use sim::sweep::{Tally, sweep};
use sim::world::{Entry, Kind};
use sim::{check, cpu_time, run, turmoil};
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
    /// What the machines run in.
    #[arg(long, value_enum, default_value = "memory")]
    engine: Engine,
    /// On so many threads, instead of one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

/// What the machines run in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    /// A world in memory: fast, with faults down to the single byte.
    Memory,
    /// Hosts and streams of turmoil.
    Turmoil,
}

impl Engine {
    fn examine(self, seed: u64, sizes: Sizes) -> Finding {
        match self {
            Self::Memory => sim::examine::examine(seed, sizes),
            Self::Turmoil => turmoil::examine(seed, sizes),
        }
    }

    /// What the run of `seed` is made of, and the command that makes it again.
    fn describe(self, seed: u64, sizes: Sizes) -> String {
        match self {
            Self::Memory => {
                let options = Options::of(seed, sizes);
                format!("{options}replay: {}", options.replay())
            }
            Self::Turmoil => {
                let options = turmoil::Options::of(seed, sizes);
                format!("{options}replay: {}", options.replay())
            }
        }
    }

    /// Makes the run of `seed`.
    fn run(self, seed: u64, sizes: Sizes, reader: fn(&Entry)) -> Run {
        match self {
            Self::Memory => Run::traced(Options::of(seed, sizes), reader),
            Self::Turmoil => turmoil::traced(turmoil::Options::of(seed, sizes), reader),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sizes = Sizes { servers: arguments.servers, clients: arguments.clients };
    let holds = match arguments.count {
        None => replay(arguments.engine, arguments.seed, sizes, arguments.verbose),
        Some(count) => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            many(arguments.engine, arguments.seed, count, sizes, arguments.threads.unwrap_or(cores))
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows the run of one seed; returns whether it keeps every rule.
fn replay(engine: Engine, seed: u64, sizes: Sizes, verbose: bool) -> bool {
    println!("{}\n", engine.describe(seed, sizes));
    let reader = if verbose { print_all } else { print_most };
    let violations = match without_panic(|| engine.run(seed, sizes, reader)) {
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
fn many(engine: Engine, seed: u64, count: u64, sizes: Sizes, threads: usize) -> bool {
    let is_terminal = std::io::stderr().is_terminal();
    let interval = Duration::from_millis(if is_terminal { 200 } else { 5000 });
    let begins = Instant::now();
    let seeds = seed..seed.saturating_add(count);
    let examine = |seed| engine.examine(seed, sizes);
    let tally = sweep(seeds, examine, threads, interval, |tally, elapsed| {
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
    summary(engine, &tally, sizes, threads, begins.elapsed());
    tally.findings.is_empty()
}

fn summary(engine: Engine, tally: &Tally, sizes: Sizes, threads: usize, elapsed: Duration) {
    let per_second = tally.runs as f64 / elapsed.as_secs_f64();
    println!("{} runs in {elapsed:.1?} on {threads} threads: {per_second:.0} runs/s", tally.runs);
    if let Some(time) = cpu_time() {
        println!("{:.0} runs for each second of a core", tally.runs as f64 / time.as_secs_f64());
    }
    println!("repetitions ended:");
    for (kind, count) in &tally.kinds {
        println!("  {count:>9}  {kind}");
    }
    for (checker, count) in &tally.broken {
        println!("broken by {count} runs: {checker}");
    }
    for finding in &tally.findings {
        println!("\n{}", engine.describe(finding.seed, sizes));
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
