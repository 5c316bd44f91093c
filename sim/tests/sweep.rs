//! A small sweep over fixed seeds, and one over a seed from outside.
//!
//! `cargo run -p sim --release -- --count 100000` makes a larger one, `cargo run -p sim -- --seed 17` replays a run.

use sim::examine::examine;
use sim::run::{Options, Run, Sizes};
use sim::sweep::sweep;
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// Few enough for a debug build.
const SEEDS: Range<u64> = 0..1500;

/// Names a seed to be examined too; CI sets it to a number made of the commit.
const SEED_VARIABLE: &str = "SIM_SEED";

#[test]
fn every_run_of_a_small_sweep_keeps_the_rules() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let examine = |seed| examine(seed, Sizes::default());
    let tally = sweep(SEEDS, examine, threads, Duration::from_secs(60), |_, _| true);
    for finding in &tally.findings {
        let options = Options::of(finding.seed, Sizes::default());
        println!("{options}replay: {}", options.replay());
        finding.violations.iter().for_each(|violation| println!("{violation}"));
    }
    assert!(tally.findings.is_empty(), "{:?}", tally.broken);
    assert_eq!(tally.runs, SEEDS.end - SEEDS.start);
    assert!(tally.kinds.len() >= 8, "the runs are too much alike: {:?}", tally.kinds);
}

#[test]
fn the_run_of_a_seed_from_outside_keeps_the_rules() {
    let Ok(seed) = std::env::var(SEED_VARIABLE) else { return };
    let seed: u64 = seed.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE}={seed:?} is no number"));
    for seed in seed..seed.saturating_add(100) {
        let finding = examine(seed, Sizes::default());
        let replay = Options::of(seed, Sizes::default()).replay();
        assert!(finding.violations.is_empty(), "{:?}\nreplay: {replay}", finding.violations);
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..40 {
        let trace = || {
            let options = Options::of(seed, Sizes::default());
            let text = options.to_string();
            (text, Run::traced(options, |_| {}).world.text())
        };
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}

#[test]
fn a_trace_changes_nothing() {
    for seed in 0..40 {
        let options = || Options::of(seed, Sizes::default());
        let (with, without) = (Run::traced(options(), |_| {}), Run::of(options()));
        assert_eq!(with.world.history, without.world.history, "seed {seed}");
    }
}
