//! The quiet window.

use crate::model::{HostId, Observation};
use crate::run::{Repetition, Run};
use russula_proto::{Group, KernelCheck, Stage};

pub(super) fn is_quiet(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let history = &run.world.history[repetition.history.clone()];
    let Some(opens) = opens(run, history.iter().map(|(_, seen)| seen)) else { return Ok(()) };
    let mut disturbed: Vec<HostId> = vec![];
    for (at, (time, seen)) in history.iter().enumerate() {
        if let Observation::Disturbed(host) | Observation::ShutDown(host) = seen {
            disturbed.push(*host);
        }
        let closes = matches!(
            seen,
            Observation::Ended(..)
                | Observation::Failed(..)
                | Observation::GivenUp
                | Observation::WorkerKilled(_)
                | Observation::CoordinatorsGone
        );
        if closes && at > opens {
            return Ok(());
        }
        if let Observation::Sent(host, end, len) | Observation::Arrived(host, end, len) = seen
            && at > opens
            && !disturbed.contains(host)
        {
            return Err(format!("{len} bytes at {time} between {host} and its coordinator, seen at {end:?}"));
        }
    }
    Ok(())
}

pub(super) fn count_is_right(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let is_disturbance = |seen: &Observation| {
        matches!(seen, Observation::Disturbed(_) | Observation::ShutDown(_) | Observation::CoordinatorsGone)
    };
    let is_disturbed = run.seen_in(repetition).any(is_disturbance);
    let Some(quiet) = repetition.quiet.filter(|_| !is_disturbed) else { return Ok(()) };
    // A window that is ended by an end was open all the time; what else ends it is not quiet by itself.
    if repetition.failure.is_some() || repetition.gave_up {
        return Ok(());
    }
    for (side, counted) in [("coordinators", quiet.coordinators), ("clients", quiet.clients)] {
        if counted.bytes > 0 || counted.kernel != KernelCheck::Agrees {
            return Err(format!("the {side}: {counted:?}"));
        }
    }
    Ok(())
}

/// The place of the last client's report that it runs, if all of them run at that moment.
fn opens<'a>(run: &Run, history: impl Iterator<Item = &'a Observation>) -> Option<usize> {
    let mut running = 0;
    for (at, seen) in history.enumerate() {
        if let Observation::Heard(host, Stage::Running) = seen
            && host.group == Group::Client
        {
            running += 1;
            if running == run.options.clients {
                return Some(at);
            }
        }
        if let Observation::Ended(..)
        | Observation::Failed(..)
        | Observation::GivenUp
        | Observation::CoordinatorsGone = seen
        {
            return None;
        }
    }
    None
}
