//! Every state that a few machines can come to.

use sim::model_check::{Limits, Model, Mutation, Report, Rule, Setup};

fn explore(setup: Setup, faults: u8, mutation: Mutation) -> Report {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Model { setup, faults, mutation }.explore(Limits { states: 10_000_000, threads }, |_, _, _| {})
}

/// Every rule holds in every state, and there are about as many of those as one would think.
#[track_caller]
fn assert_holds(setup: Setup, faults: u8, at_least: usize) {
    let report = explore(setup, faults, Mutation::None);
    println!(
        "{} with up to {faults} faults: {} states, {} transitions, depth {}, {} ends",
        setup.name(),
        report.states,
        report.transitions,
        report.depth,
        report.ends
    );
    if let Some(found) = &report.counterexample {
        let story = Model { setup, faults, mutation: Mutation::None }.retell(&found.path).join("\n");
        panic!("{}\n{story}", found.breach);
    }
    assert!(report.is_complete && report.states >= at_least, "{report:?}");
}

#[test]
fn nothing_goes_wrong_by_itself() {
    for setup in Setup::ALL {
        assert_holds(setup, 0, 150);
    }
}

#[test]
fn two_servers_with_a_fault() {
    assert_holds(Setup::Servers, 1, 20_000);
}
