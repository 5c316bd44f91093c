//! When the programs of a group start together, and what is known of that.

use crate::model::{HostId, Observation};
use crate::run::{Known, Repetition, Run};
use russula_proto::{Group, Timestamp};

/// Most that two clocks drift apart in a second, in microseconds.
const DRIFT_MAX_US_PER_S: u64 = 200;

/// Readings and instants are cut to whole microseconds, each of them.
const ROUNDING_US: u64 = 4;

/// No client starts before the instant that was named, and without a disturbance none starts later.
pub(super) fn clients_start_together(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let Some(start_at) = repetition.start_at else { return Ok(()) };
    // Another process may have named another instant.
    if run.seen_in(repetition).any(|seen| *seen == Observation::CoordinatorsGone) {
        return Ok(());
    }
    let instant = run.world.orchestrator.when(start_at);
    for known in repetition.known.iter().filter(|known| known.host.group == Group::Client) {
        let is_start = |seen: &Observation| *seen == Observation::Started(known.host, repetition.number);
        let (Some(at), Some(tolerance_us)) =
            (time_of(run, repetition, is_start), tolerance_us(run, repetition, known))
        else {
            continue;
        };
        let late_us = at.micros_after(instant);
        // The order to start may be late by what the network is slower at times than at its best.
        let jitter_us = u64::try_from(run.options.network.jitter.as_micros()).unwrap_or(u64::MAX);
        let tolerance_us = if late_us < 0 { tolerance_us } else { tolerance_us + jitter_us };
        if late_us.unsigned_abs() > tolerance_us
            && (late_us < 0 || !is_disturbed(run, repetition, known.host))
        {
            return Err(format!(
                "{} starts {late_us} us after the instant {start_at}; its clock allows {tolerance_us} us",
                known.host
            ));
        }
    }
    Ok(())
}

/// What the coordinator says about the start of a program is right within the bound that it gives.
pub(super) fn starts_are_known(run: &Run, repetition: &Repetition) -> Result<(), String> {
    for known in &repetition.known {
        let is_running = |seen: &Observation| *seen == Observation::Running(known.host);
        let (Some(said), Some(at), Some(tolerance_us)) =
            (known.started_at, time_of(run, repetition, is_running), tolerance_us(run, repetition, known))
        else {
            continue;
        };
        let wrong_us = said.micros_after(run.world.orchestrator.read(at)).unsigned_abs();
        if wrong_us > tolerance_us {
            let host = known.host;
            return Err(format!(
                "the start of {host} is said to be {wrong_us} us from where it was, not {tolerance_us}"
            ));
        }
    }
    Ok(())
}

/// How wrong the clock of a host may be known: the bound of its measurement, and what the clocks have drifted
/// apart since the repetition began.
fn tolerance_us(run: &Run, repetition: &Repetition, known: &Known) -> Option<u64> {
    let history = &run.world.history[repetition.history.clone()];
    let elapsed = history.last()?.0.since(history.first()?.0);
    let drift_us = DRIFT_MAX_US_PER_S * (elapsed.as_secs() + 1);
    Some(known.clock?.bound_us + drift_us + ROUNDING_US)
}

fn time_of(run: &Run, repetition: &Repetition, is: impl Fn(&Observation) -> bool) -> Option<Timestamp> {
    let history = &run.world.history[repetition.history.clone()];
    history.iter().find(|(_, seen)| is(seen)).map(|(at, _)| *at)
}

fn is_disturbed(run: &Run, repetition: &Repetition, host: HostId) -> bool {
    run.seen_in(repetition).any(|seen| *seen == Observation::Disturbed(host))
}
