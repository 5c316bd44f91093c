//! A failure in words, with the hosts' addresses in place of the workers' numbers.

use backends::hosts::Hosts;
use russula_proto::coordinator::{Phase, Waiting};
use russula_proto::{Ending, Failure, Group, Refusal};
use std::time::Duration;

/// What failed in `group`, and where.
pub(super) fn explain(hosts: &dyn Hosts, group: Group, failure: &Failure) -> String {
    let host = |index: usize| match hosts.group(group).get(index) {
        Some(host) => format!("{group} {}", host.address),
        None => format!("{group} worker {index}"),
    };
    match failure {
        Failure::Worker { index, ending } => format!("{}: {}", host(*index), part(ending)),
        Failure::Lost { index, error } => format!("{} is lost: {error}", host(*index)),
        Failure::Restarted { index } => {
            format!(
                "{}: the worker has lost its driver: it was restarted, or taken over by another coordinator",
                host(*index)
            )
        }
        Failure::Refused { index, refusal } => {
            let option = match refusal {
                Refusal::Scenario { .. } => " (--scenario)",
                Refusal::Drivers { .. } => " (--driver)",
                Refusal::Stale => "",
            };
            format!("{}: the worker refuses: {refusal}{option}", host(*index))
        }
        Failure::Protocol { index, error } => format!("{}: {error}", host(*index)),
        Failure::OutOfOrder { index } => {
            format!("{}: the worker sent a message out of order", host(*index))
        }
        Failure::Deadline { phase, limit, waiting } => deadline(*phase, *limit, waiting, host),
    }
}

fn part(ending: &Ending) -> String {
    match ending {
        Ending::NotStarted => "the driver was not started".to_owned(),
        Ending::StartFailed(failure) => failure.to_string(),
        Ending::Exited(_) | Ending::Stopped(_) => format!("the driver {ending}"),
    }
}

fn deadline(phase: Phase, limit: Duration, waiting: &Waiting, host: impl Fn(usize) -> String) -> String {
    let named = waiting.first.iter().map(|(index, error)| match error {
        Some(error) => format!("{} ({error})", host(*index)),
        None => host(*index),
    });
    let mut names = named.collect::<Vec<_>>().join(", ");
    let unnamed = waiting.count.saturating_sub(waiting.first.len());
    if unnamed > 0 {
        names.push_str(&format!(" and {unnamed} more"));
    }
    let option = match phase {
        Phase::Run => " (--timeout)",
        Phase::Ready | Phase::Start | Phase::Stop => "",
    };
    format!("the deadline '{phase}' passed after {} s{option}: waiting for {names}", limit.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use backends::hosts::AttachedHosts;
    use russula_proto::{PeerError, StartFailure};

    fn hosts() -> AttachedHosts {
        let at = |port| std::net::SocketAddr::from(([10, 0, 0, 1], port));
        AttachedHosts::new(&[at(1)], &[at(2), at(3)])
    }

    #[test]
    fn a_failure_names_the_host_once() {
        let failure = Failure::Worker { index: 0, ending: Ending::NotStarted };
        assert_eq!(explain(&hosts(), Group::Server, &failure), "server 10.0.0.1: the driver was not started");
        let ending = Ending::StartFailed(StartFailure::spawn("no such file"));
        assert_eq!(
            explain(&hosts(), Group::Server, &Failure::Worker { index: 0, ending }),
            "server 10.0.0.1: the program cannot be started: no such file"
        );
        let failure = Failure::Lost { index: 1, error: PeerError::NoAnswer };
        assert_eq!(explain(&hosts(), Group::Client, &failure), "client 10.0.0.1 is lost: no answer");
    }

    #[test]
    fn a_deadline_names_the_hosts_that_were_waited_for() {
        let waiting = Waiting { count: 3, first: vec![(0, None), (1, Some(PeerError::Closed))] };
        let failure = Failure::Deadline { phase: Phase::Run, limit: Duration::from_millis(500), waiting };
        assert_eq!(
            explain(&hosts(), Group::Client, &failure),
            "the deadline 'programs done' passed after 0.5 s (--timeout): waiting for client 10.0.0.1, \
             client 10.0.0.1 (it closed the connection) and 1 more"
        );
    }
}
