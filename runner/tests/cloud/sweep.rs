//! A fault at every call that a run makes, one at a time, and a killed orchestrator after every call: never a leak,
//! never a hang, always an error that names the operation and the resource. The same for the calls of its hosts, and
//! for those of `destroy` and `resume` of a run whose orchestrator was killed.
//!
//! The plain test command tries a few of these cases, some always and some by `SIM_SEED`. All of them:
//!
//! ```text
//! cargo test -p runner --test cloud -- --ignored --nocapture sweep
//! ```
//!
//! `SWEEP_CASES="run/ec2:RunInstances/3/throttle ..."` tries these only, `SWEEP_CALLERS="host resume"` what these call,
//! `SWEEP_FIRST=3` the first three calls of each operation. `SWEEP_LANES` says how many runs there are at a time, each in a cloud of its own.

mod case;
mod lane;
mod table;

use case::{Caller, Case, Fault};
use lane::{Lane, Site};
use std::sync::Mutex;
use std::time::Instant;
use table::{Table, label};

/// Cases that are tried every time: what creates, what could come late, what costs money as long as it stays.
const ALWAYS: [&str; 12] = [
    "run/ec2:RunInstances/3/lost_reply",
    "run/ec2:RunInstances/4/kill_destroy",
    "run/ec2:RunInstances/4/interrupt",
    "run/ec2:CreateSecurityGroup/1/interrupt",
    "run/ec2:TerminateInstances/1/error",
    "run/ec2:TerminateInstances/1/kill_resume",
    "run/ssm:SendCommand/4/kill_resume",
    "run/s3:PutObject/1/error",
    "run/s3:GetObject/3/kill_resume",
    "host/s3:GetObject/1/error",
    "destroy/ec2:TerminateInstances/1/interrupt",
    "resume/ssm:SendCommand/1/kill_resume",
];

/// And so many by the seed.
const DRAWN: usize = 3;

#[test]
fn a_fault_at_a_few_calls_leaves_nothing_and_is_named() {
    let mut lane = Lane::new();
    let sites = lane.sites(&Caller::ALL);
    let mut cases: Vec<Case> = ALWAYS.iter().map(|case| case.parse().expect("a case")).collect();
    let all = all_cases(&sites);
    let mut seed = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for _ in 0..DRAWN {
        seed = scrambled(seed);
        cases.push(all[usize::try_from(seed % all.len() as u64).expect("below a length")].clone());
    }
    let table = try_all(&cases, lane);
    // Polls are made as often as it takes, and may be one fewer; each of these is there for what happens at its call.
    let is_always = |case: &&String| ALWAYS.contains(&case.as_str());
    let missed: Vec<&String> = table.not_reached().iter().filter(is_always).collect();
    assert_eq!(missed, [""; 0], "the calls of a run have other numbers now");
}

#[test]
#[ignore = "many minutes: a fault at every call of a run"]
fn sweep() {
    let mut lane = Lane::new();
    let cases = match std::env::var("SWEEP_CASES") {
        Ok(text) => text.split_whitespace().map(|case| case.parse().expect("a case")).collect(),
        Err(_) => {
            let names = std::env::var("SWEEP_CALLERS").unwrap_or_default();
            let is_wanted = |caller: &Caller| names.is_empty() || names.contains(caller.name());
            let callers: Vec<Caller> = Caller::ALL.into_iter().filter(is_wanted).collect();
            let sites = lane.sites(&callers);
            for site in &sites {
                eprintln!("{:4} {}", site.calls, label(site.caller, &site.operation));
            }
            all_cases(&sites)
        }
    };
    try_all(&cases, lane);
}

/// Every call with every fault.
fn all_cases(sites: &[Site]) -> Vec<Case> {
    let first = std::env::var("SWEEP_FIRST").ok().and_then(|first| first.parse().ok()).unwrap_or(u64::MAX);
    let mut cases = vec![];
    for Site { caller, operation, calls } in sites {
        for nth in 1..=*(calls.min(&first)) {
            let case = |fault| Case { caller: *caller, operation: operation.clone(), nth, fault };
            cases.extend(Fault::ALL.map(case));
        }
    }
    cases
}

/// Tries the cases, a few at a time, and tells what came of them, which none of them may fail.
#[track_caller]
fn try_all(cases: &[Case], lane: Lane) -> Table {
    let begun = Instant::now();
    let first = Mutex::new(Some(lane));
    let table = Mutex::new(Table::default());
    let waiting = Mutex::new(cases.iter());
    std::thread::scope(|scope| {
        for _ in 0..lanes().min(cases.len()) {
            scope.spawn(|| {
                let lane = first.lock().expect("nobody panics with it").take();
                let mut lane = lane.unwrap_or_else(Lane::new);
                loop {
                    let Some(case) = waiting.lock().expect("no lane panics").next() else { return };
                    let result = lane.try_case(case);
                    if let Ok(ended) = &result {
                        eprintln!("{:5.0} s  {case}: {ended:?}", begun.elapsed().as_secs_f64());
                    }
                    if let Err(problem) = &result {
                        eprintln!("FAILED {case}: {problem}\n{}", case.replay());
                        // What was left there would be found in the next case again.
                        lane = Lane::new();
                    }
                    table.lock().expect("no lane panics").add(case, &result);
                }
            });
        }
    });
    let table = table.into_inner().expect("no lane panics");
    eprintln!("{table}{} cases in {:.0} s", cases.len(), begun.elapsed().as_secs_f64());
    assert_eq!(table.failed(), [""; 0], "each of these can be tried alone, see above");
    table
}

/// As many as there are processors, of which each run needs one most of the time.
fn lanes() -> usize {
    let wanted = std::env::var("SWEEP_LANES").ok().and_then(|lanes| lanes.parse().ok());
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
fn scrambled(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
