//! The table of mutations, without breaking anything.
//!
//! `cargo run -p sim --release --bin mutations` applies them and sees whether they are found.

use sim::check::{CHECKERS, PANIC};
use sim::mutations::MUTATIONS;
use std::path::Path;

#[test]
fn every_mutation_applies_to_the_core_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let errors: Vec<String> =
        MUTATIONS.iter().filter_map(|mutation| Some(mutation.apply(root).err()?.to_string())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_mutation_has_a_name_of_its_own_and_an_effect() {
    for (at, mutation) in MUTATIONS.iter().enumerate() {
        assert_ne!(mutation.from, mutation.to, "{}", mutation.name);
        assert!(MUTATIONS[..at].iter().all(|other| other.name != mutation.name), "{}", mutation.name);
    }
}

#[test]
fn every_checker_finds_a_mutation() {
    for mutation in &MUTATIONS {
        let is_checker = CHECKERS.iter().any(|checker| checker.name == mutation.caught_by);
        let is_known = is_checker || mutation.caught_by == PANIC;
        assert!(is_known, "{}: no checker {}", mutation.name, mutation.caught_by);
    }
    for checker in &CHECKERS {
        let finds = MUTATIONS.iter().any(|mutation| mutation.caught_by == checker.name);
        assert!(finds, "no mutation for {}", checker.name);
    }
}
