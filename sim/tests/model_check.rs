//! Every state that a few machines can come to.

use sim::model_check::{Action, Limits, Model, Mutation, Report, Rule, Setup};

fn explore(setup: Setup, faults: u8, mutation: Mutation) -> Report {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Model { setup, faults, mutation }.explore(Limits { states: 10_000_000, threads }, |_, _, _| {})
}

/// Every rule holds in every state, of which there are at least so many.
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
    assert!(report.is_complete && report.ends > 0 && report.states >= at_least, "{report:?}");
}

/// What is broken is found, as a breach of `rule`, within so many faults.
#[track_caller]
fn assert_found(mutation: Mutation, setup: Setup, faults: u8, rule: Rule) {
    let report = explore(setup, faults, mutation);
    let Some(found) = report.counterexample else { panic!("{mutation:?} is not found") };
    println!(
        "{mutation:?}: {} after {} actions and {} states",
        found.breach,
        found.path.len(),
        report.states
    );
    assert_eq!(found.breach.rule, rule, "{mutation:?}: {}", found.breach);
    let faults_in = found.path.iter().filter(|action| matches!(action, Action::Fault(_))).count();
    assert_eq!(faults_in, usize::from(faults), "{mutation:?} takes so many faults to be seen");
}

#[test]
fn nothing_goes_wrong_by_itself() {
    for setup in Setup::ALL {
        assert_holds(setup, 0, 80);
    }
}

#[test]
fn two_servers_and_a_fault() {
    assert_holds(Setup::Servers, 1, 10_000);
}

#[test]
fn two_clients_and_a_fault() {
    assert_holds(Setup::Clients, 1, 20_000);
}

#[test]
fn a_server_a_client_and_a_fault() {
    assert_holds(Setup::Both, 1, 20_000);
}

#[test]
fn a_program_that_starts_as_soon_as_its_worker_is_ready_is_found() {
    assert_found(Mutation::StartsWhenReady, Setup::Servers, 0, Rule::GroupReady);
    assert_found(Mutation::StartsWhenReady, Setup::Both, 0, Rule::Goal);
}

#[test]
fn a_program_that_is_never_stopped_is_found() {
    assert_found(Mutation::NeverStopsPrograms, Setup::Servers, 0, Rule::NoHarm);
}

#[test]
fn a_worker_that_hides_that_it_was_restarted_is_found() {
    assert_found(Mutation::KeepsSession, Setup::Servers, 1, Rule::Once);
}

#[test]
fn an_outcome_that_is_told_wrongly_is_found() {
    assert_found(Mutation::TellsAnotherOutcome, Setup::Clients, 1, Rule::Outcome);
}

#[test]
fn a_program_that_is_left_behind_is_found() {
    assert_found(Mutation::LeavesPrograms, Setup::Servers, 1, Rule::Outlives);
}

#[test]
fn a_world_in_which_no_time_passes_is_found_not_to_end() {
    assert_found(Mutation::StopsClocks, Setup::Clients, 0, Rule::CanEnd);
}

#[test]
fn a_process_that_takes_over_blindly_is_found() {
    assert_found(Mutation::TakesOverBlindly, Setup::Servers, 2, Rule::Released);
}
