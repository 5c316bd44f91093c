//! What came of a repetition, host by host: the workers' reports and the result files put together.

use super::{Plan, RunDirectory};
use crate::causes::with_causes;
use crate::summary::{ClockSummary, HostSummary, RepetitionSummary, Status};
use backends::collector::{self, Header, Totals};
use backends::hosts::{Host, Hosts, Results};
use backends::layout::{self, Turn};
use russula_proto::{Coordinator, Ending, Exit, Group, PeerView, Timestamp};
use std::path::{Path, PathBuf};

/// One entry for each host of the coordinator's group.
pub(super) fn hosts(
    plan: &Plan,
    turn: Turn,
    hosts: &dyn Hosts,
    coordinator: &Coordinator,
    directory: &RunDirectory,
) -> Vec<HostSummary> {
    let group = coordinator.group();
    let places = hosts.group(group).iter().zip(coordinator.peers());
    let is_here = hosts.results() == Results::InRunDirectory;
    places
        .map(|(host, peer)| {
            let result = is_here.then(|| result_file(plan, turn, group, host));
            let mut summary = summary_of(host, &peer, result, directory);
            let late = |at: Timestamp| coordinator.start_at().map(|planned| at.micros_after(planned));
            summary.start_lateness_us = peer.started_at.and_then(late);
            summary
        })
        .collect()
}

/// Makes the result files of a repetition valid that a killed worker left behind in the middle of a line.
pub(super) fn repair(plan: &Plan, turn: Turn, hosts: &dyn Hosts, directory: &RunDirectory) {
    if hosts.results() != Results::InRunDirectory {
        return;
    }
    repair_files(plan, turn, hosts, directory);
}

/// Adds what the result files say to a repetition whose results were fetched after it. Returns what is missing, if
/// something is.
pub(super) fn complete(
    plan: &Plan,
    turn: Turn,
    hosts: &dyn Hosts,
    repetition: &mut RepetitionSummary,
    directory: &RunDirectory,
) -> Option<String> {
    if repetition.status != Status::Ok {
        repair_files(plan, turn, hosts, directory);
    }
    let groups = [(Group::Server, &mut repetition.servers), (Group::Client, &mut repetition.clients)];
    for (group, summaries) in groups {
        for (host, summary) in hosts.group(group).iter().zip(summaries) {
            add_result(summary, result_file(plan, turn, group, host), directory);
        }
    }
    first_without_result(&repetition.servers, &repetition.clients)
}

fn repair_files(plan: &Plan, turn: Turn, hosts: &dyn Hosts, directory: &RunDirectory) {
    for group in [Group::Server, Group::Client] {
        for host in hosts.group(group) {
            let path = directory.path().join(result_file(plan, turn, group, host));
            let header = Header {
                driver: format!(
                    "s2n-netbench-driver-{group}-{}",
                    plan.drivers[usize::from(turn.driver)].name
                ),
                scenario: plan.scenario.name().to_owned(),
                ..Header::default()
            };
            if path.exists()
                && let Err(error) = collector::repair(&path, &header)
            {
                tracing::warn!("{} is not complete: {}", path.display(), with_causes(&error));
                remove_if_empty(&path);
            }
        }
    }
}

/// What to say if a host of a repetition that went well has left no result.
pub(super) fn missing_result(
    hosts: &dyn Hosts,
    servers: &[HostSummary],
    clients: &[HostSummary],
) -> Option<String> {
    let is_here = hosts.results() == Results::InRunDirectory;
    is_here.then(|| first_without_result(servers, clients)).flatten()
}

fn first_without_result(servers: &[HostSummary], clients: &[HostSummary]) -> Option<String> {
    let groups = [(Group::Client, clients), (Group::Server, servers)];
    let mut all = groups.iter().flat_map(|(group, hosts)| hosts.iter().map(move |host| (group, host)));
    let (group, host) = all.find(|(_, host)| host.result.is_none())?;
    let log = layout::worker_log(*group, &host.host);
    let host = &host.host;
    Some(format!("{group} {host}: its result file is missing or damaged; {} may say why", log.display()))
}

/// `s2n-netbench report-tree` gives up at an empty file; one that is missing it does not miss.
fn remove_if_empty(path: &Path) {
    let is_empty = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
    if is_empty && let Err(error) = std::fs::remove_file(path) {
        tracing::warn!("{} cannot be removed: {error}", path.display());
    }
}

fn result_file(plan: &Plan, turn: Turn, group: Group, host: &Host) -> PathBuf {
    let driver = &plan.drivers[usize::from(turn.driver)].name;
    layout::result_file(plan.scenario.name(), driver, group, &host.address.to_string(), turn.round)
}

fn summary_of(
    host: &Host,
    peer: &PeerView<'_>,
    result: Option<PathBuf>,
    directory: &RunDirectory,
) -> HostSummary {
    let mut summary = HostSummary { host: host.address.to_string(), ..HostSummary::default() };
    if let Some(outcome) = peer.ending.and_then(Ending::outcome) {
        match outcome.exit {
            Exit::Code(code) => summary.exit_code = Some(code),
            Exit::Signal(signal) => summary.signal = Some(signal),
        }
        summary.duration_s = Some(seconds(outcome.duration_us));
        summary.cpu_s = Some(seconds(outcome.cpu_us));
        summary.max_rss_bytes = Some(outcome.max_rss_bytes);
        summary.stderr_tail = outcome.stderr_tail.to_string();
    }
    summary.clock =
        peer.clock.map(|clock| ClockSummary { offset_us: clock.offset_us, bound_us: clock.bound_us });
    if let Some(Ending::StartFailed(failure)) = peer.ending {
        summary.error = Some(failure.to_string());
    } else if peer.ending.is_none() {
        summary.error = peer.last_error.map(ToString::to_string);
    }
    if let Some(result) = result {
        add_result(&mut summary, result, directory);
    }
    summary
}

fn add_result(summary: &mut HostSummary, result: PathBuf, directory: &RunDirectory) {
    if let Some(totals) = totals(&directory.path().join(&result)) {
        summary.sent_bytes = totals.sent_bytes;
        summary.received_bytes = totals.received_bytes;
        summary.result = Some(result);
    }
}

fn totals(path: &Path) -> Option<Totals> {
    match path.exists().then(|| collector::read(path))? {
        Ok(file) => Some(file.totals()),
        Err(error) => {
            tracing::warn!("{}: {}", path.display(), with_causes(&error));
            None
        }
    }
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}
