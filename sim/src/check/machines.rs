//! What holds of the machines by themselves, and of all that was seen.

use crate::model::Model;
use crate::run::Run;
use crate::world::Promise;

pub(super) fn rest(run: &Run) -> Result<(), String> {
    is_kept(run, Promise::Rest)
}

pub(super) fn contract(run: &Run) -> Result<(), String> {
    is_kept(run, Promise::Contract)
}

pub(super) fn limits(run: &Run) -> Result<(), String> {
    is_kept(run, Promise::Limits)
}

pub(super) fn intruders(run: &Run) -> Result<(), String> {
    is_kept(run, Promise::Intruders)
}

pub(super) fn model(run: &Run) -> Result<(), String> {
    let mut model = Model::new(run.options.hosts());
    for (at, seen) in &run.world.history {
        model.observe(seen).map_err(|forbidden| format!("at {at}: {forbidden}"))?;
    }
    if run.repetitions.iter().all(|repetition| repetition.is_over) { model.end() } else { Ok(()) }
}

fn is_kept(run: &Run, promise: Promise) -> Result<(), String> {
    match run.world.breaches.iter().find(|breach| breach.promise == promise) {
        Some(breach) => Err(format!("at {}: {}", breach.at, breach.text)),
        None => Ok(()),
    }
}
