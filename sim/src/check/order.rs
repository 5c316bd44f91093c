//! What starts and stops before what.

use crate::model::{HostId, Observation};
use crate::run::{Repetition, Run};
use russula_proto::Group;

pub(super) fn programs_start_once(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let mut started = vec![];
    // Anywhere in the run: a start may be late.
    for (at, seen) in &run.world.history {
        if let Observation::Started(host, number) = seen
            && *number == repetition.number
        {
            if started.contains(host) {
                return Err(format!("the program of {host} was started again at {at}"));
            }
            started.push(*host);
        }
    }
    Ok(())
}

pub(super) fn clients_start_after_servers_run(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let seen = run.seen_in(repetition);
    let is_first_client = |seen: &Observation| {
        matches!(seen, Observation::Started(host, number)
            if host.group == Group::Client && *number == repetition.number)
    };
    let Some(first_client) = seen.clone().position(is_first_client) else { return Ok(()) };
    for index in 0..usize::from(run.options.servers) {
        let server = HostId { group: Group::Server, index };
        if !seen.clone().take(first_client).any(|seen| *seen == Observation::Running(server)) {
            return Err(format!("a client was started before {server} ran"));
        }
    }
    Ok(())
}

pub(super) fn servers_stop_after_clients_ended(run: &Run, repetition: &Repetition) -> Result<(), String> {
    let mut clients_ended = 0;
    let mut shut_down = vec![];
    for seen in run.seen_in(repetition) {
        match seen {
            Observation::Ended(host, _) | Observation::StartFailed(host) if host.group == Group::Client => {
                clients_ended += 1;
            }
            Observation::Failed(..) | Observation::GivenUp => return Ok(()),
            Observation::ShutDown(host) | Observation::TakenOver(host) => shut_down.push(*host),
            Observation::Terminated(host)
                if host.group == Group::Server
                    && clients_ended < run.options.clients
                    && !shut_down.contains(host) =>
            {
                return Err(format!("{host} was stopped when {clients_ended} clients had ended"));
            }
            Observation::Begun(_)
            | Observation::RunEnded
            | Observation::WorkerUp(_)
            | Observation::WorkerKilled(_)
            | Observation::WorkerEnded(_)
            | Observation::CoordinatorsGone
            | Observation::Disturbed(_)
            | Observation::Started(..)
            | Observation::Running(_)
            | Observation::StartFailed(_)
            | Observation::Terminated(_)
            | Observation::Ended(..)
            | Observation::Heard(..)
            | Observation::Learnt(..)
            | Observation::Dismissed(_)
            | Observation::Sent(..)
            | Observation::Arrived(..)
            | Observation::Reached(..)
            | Observation::Finished(_)
            | Observation::Phase(_) => {}
        }
    }
    Ok(())
}
