//! The quiet window.

use crate::model::{HostId, Observation};
use crate::run::{Repetition, Run};
use russula_proto::{Group, Stage};

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
        if let Observation::Ended(..) | Observation::Failed(..) | Observation::GivenUp = seen {
            return None;
        }
    }
    None
}
