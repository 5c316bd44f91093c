//! Runs over the streams of turmoil: a fixed small sweep, and what makes its seeds worth something.

use sim::run::Sizes;
use sim::turmoil::{self, Fault, Options};
use sim::world::Entry;
use std::cell::RefCell;
use std::mem::discriminant;
use std::ops::Range;

/// Any size.
const SIZES: Sizes = Sizes { servers: None, clients: None };

/// Seeds of the sweep that every test run makes; long ones are `cargo run -p sim --release -- --engine turmoil`.
const SEEDS: Range<u64> = 0..16;

/// Names a seed to be examined too; CI sets it to a number made of the commit.
const SEED_VARIABLE: &str = "SIM_SEED";

#[test]
fn every_seed_keeps_every_rule() {
    keep_every_rule(SEEDS);
}

#[test]
fn seeds_from_outside_keep_every_rule() {
    let Ok(seed) = std::env::var(SEED_VARIABLE) else { return };
    let seed: u64 = seed.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE}={seed:?} is no number"));
    keep_every_rule(seed..seed.saturating_add(8));
}

fn keep_every_rule(seeds: Range<u64>) {
    for seed in seeds {
        let finding = turmoil::examine(seed, SIZES);
        let violations: Vec<String> = finding.violations.iter().map(ToString::to_string).collect();
        let options = Options::of(seed, SIZES);
        assert!(violations.is_empty(), "{options}{}\n{}", options.replay(), violations.join("\n"));
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    // Two with crashes of hosts on both sides, in pieces of few bytes; one that is encrypted in earnest.
    for seed in [4, 24, 36] {
        let (once, again) = (traced(seed), traced(seed));
        assert!(!once.0.is_empty() && !once.1.is_empty());
        assert_eq!(once.0, again.0, "seed {seed}: what was seen");
        assert_eq!(once.1, again.1, "seed {seed}: the trace");
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(traced(3).0, traced(4).0);
}

/// What was seen, and the trace.
fn traced(seed: u64) -> (Vec<String>, Vec<String>) {
    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(vec![]) };
    }
    fn keep(entry: &Entry) {
        LINES.with_borrow_mut(|lines| lines.push(entry.to_string()));
    }
    let run = turmoil::traced(Options::of(seed, SIZES), keep);
    let seen = run.world.history.iter().map(|(at, seen)| format!("{at} {seen:?}")).collect();
    (seen, LINES.take())
}

#[test]
fn every_fault_is_drawn() {
    let mut drawn = vec![];
    for seed in 0..300 {
        for timed in Options::of(seed, SIZES).faults {
            if !drawn.contains(&discriminant(&timed.fault)) {
                drawn.push(discriminant(&timed.fault));
            }
        }
    }
    assert_eq!(drawn.len(), Fault::KINDS);
}
