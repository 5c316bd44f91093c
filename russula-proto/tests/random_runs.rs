//! Whole runs drawn from a seed: cuts, stalls, refused dials, splits, latencies, programs that fail.
//!
//! `SEED=17 cargo test -p russula-proto --test random_runs` replays one run and shows its log;
//! `RUNS=10000` makes more of them.

mod harness;
mod run;

use run::{Options, Run};

const RUNS: u64 = 300;

#[test]
fn every_run_ends_and_keeps_the_rules() {
    if let Some(seed) = variable("SEED") {
        let run = Run::of(seed);
        println!("{}", run.world.text());
        run.check();
        return;
    }
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..variable("RUNS").unwrap_or(RUNS) {
        let run = Run::of(seed);
        run.check();
        *kinds.entry(run.kind()).or_insert(0) += 1;
    }
    println!("{kinds:?}");
    assert!(kinds.len() >= 6, "the runs are too much alike: {kinds:?}");
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..20 {
        assert_eq!(Options::of(seed), Options::of(seed));
        assert_eq!(Run::of(seed).world.text(), Run::of(seed).world.text(), "seed {seed}");
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value:?} is no number")))
}
