//! How repetitions and runs end.

use crate::model::{HostId, Observation};
use crate::run::{Repetition, Run};
use russula_proto::{Ending, Exit, Group, Outcome, Stage};

/// In time, and a failure says whom it waited for.
pub(super) fn repetition_ends(_: &Run, repetition: &Repetition) -> Result<(), String> {
    if !repetition.is_over {
        return Err("it never ends".into());
    }
    match &repetition.failure {
        Some(failure) if failure.to_string().ends_with("for ") => {
            Err(format!("a failure without a name: {failure}"))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn broken_connections_do_no_harm(run: &Run, repetition: &Repetition) -> Result<(), String> {
    match &repetition.failure {
        Some(failure) if run.options.is_benign(repetition.number) => Err(failure.to_string()),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn mended_runs_succeed(_: &Run, repetition: &Repetition) -> Result<(), String> {
    let any_given_up = repetition.known.iter().any(|known| known.is_given_up);
    match &repetition.failure {
        Some(failure) if repetition.is_calm && !any_given_up => Err(failure.to_string()),
        Some(_) | None => Ok(()),
    }
}

/// Without a failure and an interrupt every client has succeeded, and every server was stopped.
pub(super) fn success_means_success(_: &Run, repetition: &Repetition) -> Result<(), String> {
    if repetition.failure.is_some() || repetition.gave_up || !repetition.is_over {
        return Ok(());
    }
    for known in &repetition.known {
        let is_right = match (known.host.group, &known.ending) {
            (Group::Server, Some(Ending::Stopped(_))) => true,
            (Group::Client, Some(Ending::Exited(outcome))) => outcome.exit == Exit::Code(0),
            (Group::Server | Group::Client | Group::Probe, _) => false,
        };
        if !is_right || known.stage != Stage::Released {
            return Err(format!("{}: {:?}, {:?}", known.host, known.ending, known.stage));
        }
    }
    Ok(())
}

/// What the coordinator knows of an outcome is what the program produced, and of every worker that is not lost
/// it knows it.
pub(super) fn outcomes_are_known(run: &Run, repetition: &Repetition) -> Result<(), String> {
    for known in &repetition.known {
        let produced: Option<&Outcome> = run.outcome_in(repetition, known.host);
        let outcome = known.ending.as_ref().and_then(|ending| ending.outcome());
        let is_expected = known.stage == Stage::Released && !known.is_given_up;
        if outcome.is_none() && is_forgotten(run, repetition, known.host) {
            continue;
        }
        if (outcome.is_some() || is_expected) && outcome != produced {
            return Err(format!("{} produced {produced:?}, known is {outcome:?}", known.host));
        }
    }
    Ok(())
}

/// Whether the worker was begun anew in `repetition`, so that what it saw before is lost.
fn is_forgotten(run: &Run, repetition: &Repetition, host: HostId) -> bool {
    let forgets = [Observation::WorkerUp(host), Observation::TakenOver(host)];
    run.seen_in(repetition).any(|seen| forgets.contains(seen))
}

pub(super) fn nothing_is_left(run: &Run) -> Result<(), String> {
    if run.repetitions.iter().any(|repetition| !repetition.is_over) {
        // The run was left where it stood, which is a violation by itself.
        return Ok(());
    }
    for host in run.world.hosts() {
        if host.program.is_some() {
            return Err(format!("the program of {}", host.id));
        }
        if host.worker.is_some() && host.has_met_coordinator {
            return Err(format!("the worker of {}", host.id));
        }
    }
    for group in [Group::Server, Group::Client] {
        let is_finished = |seen: &Observation| *seen == Observation::Finished(group);
        // Each process by itself; the last one has to come to its end.
        let newest = run.world.history.split(|(_, seen)| *seen == Observation::CoordinatorsGone).next_back();
        let finished = newest.map_or(0, |part| part.iter().filter(|(_, seen)| is_finished(seen)).count());
        if finished != 1 {
            return Err(format!("the {group}s' coordinator has finished {finished} times"));
        }
    }
    Ok(())
}
