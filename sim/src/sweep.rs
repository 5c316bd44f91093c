//! Many seeds on all cores.

use crate::examine::Finding;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs that were made.
    pub runs: u64,
    /// How often each kind of end was seen, over all repetitions.
    pub kinds: BTreeMap<&'static str, u64>,
    /// How many runs broke each rule.
    pub broken: BTreeMap<&'static str, u64>,
    /// The first seeds that broke one.
    pub findings: Vec<Finding>,
}

/// Most findings that are kept.
pub const FINDINGS_MAX: usize = 10;

/// Seeds that a thread takes at once.
const BATCH: u64 = 32;

impl Tally {
    fn add(&mut self, finding: Finding) {
        self.runs += 1;
        for kind in &finding.kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
        for violation in &finding.violations {
            *self.broken.entry(violation.checker).or_default() += 1;
        }
        if !finding.violations.is_empty() {
            let place = self.findings.partition_point(|other| other.seed < finding.seed);
            self.findings.insert(place, finding);
            self.findings.truncate(FINDINGS_MAX);
        }
    }
}

/// Calls `examine` for every seed of `seeds`, on `threads` threads. `report` is called every `interval` with what came of it
/// so far, and the time since the beginning; when it says `false`, the sweep ends early.
pub fn sweep(
    seeds: Range<u64>,
    examine: impl Fn(u64) -> Finding + Sync,
    threads: usize,
    interval: Duration,
    mut report: impl FnMut(&Tally, Duration) -> bool,
) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let is_over = AtomicBool::new(false);
    let tally = Mutex::new(Tally::default());
    let begins = Instant::now();
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= seeds.end {
                return;
            }
            let findings: Vec<Finding> = (from..seeds.end.min(from + BATCH)).map(&examine).collect();
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            findings.into_iter().for_each(|finding| tally.add(finding));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut reported = begins;
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(POLL);
            if reported.elapsed() >= interval {
                reported = Instant::now();
                let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                if !report(&tally, begins.elapsed()) {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How often the sweep looks whether it is over.
const POLL: Duration = Duration::from_millis(10);
