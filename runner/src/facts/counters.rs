//! What the counters of the network interface did while the run lasted.

use super::HostFacts;

/// The counters that say that a host got less than it asked for, with what each means; sources: the page "Monitor
/// network performance for ENA settings" of the EC2 user guide.
const ALLOWANCES: [(&str, &str); 5] = [
    (
        "bw_in_allowance_exceeded",
        "packets that came in over the bandwidth of the type were queued or dropped",
    ),
    (
        "bw_out_allowance_exceeded",
        "packets that went out over the bandwidth of the type were queued or dropped",
    ),
    ("pps_allowance_exceeded", "packets over the packets a second of the type were queued or dropped"),
    (
        "conntrack_allowance_exceeded",
        "packets of more tracked connections than the type may have were dropped",
    ),
    (
        "linklocal_allowance_exceeded",
        "packets to DNS, metadata or time services over their rate were dropped",
    ),
];

/// Most hosts that one warning names.
const NAMED_HOSTS_MAX: usize = 4;

/// A counter of the interface that is not what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// As the driver calls it.
    pub name: String,
    /// Before the first repetition.
    pub before: u64,
    /// After the last one.
    pub after: u64,
}

impl Counter {
    /// By how much it grew; nothing if it was set back, or is no counter but a level.
    pub fn growth(&self) -> Option<u64> {
        self.after.checked_sub(self.before)
    }

    /// Whether it says that the host got less than it asked for.
    pub fn is_exceeded_allowance(&self) -> bool {
        allowance_meaning(&self.name).is_some() && self.growth().is_some_and(|growth| growth > 0)
    }
}

/// What it means that the counter `name` grows, if it counts what went over an allowance.
pub fn allowance_meaning(name: &str) -> Option<&'static str> {
    ALLOWANCES.iter().find(|(allowance, _)| *allowance == name).map(|(_, meaning)| *meaning)
}

impl HostFacts {
    /// The counters that changed: allowances first, then those of the whole interface, then those of single queues.
    pub fn counters(&self) -> Vec<Counter> {
        // Two interfaces count from different pasts.
        let interface = |of: &super::Values| of.get(&("interface".to_owned(), "name".to_owned())).cloned();
        if interface(&self.before) != interface(&self.after) {
            return vec![];
        }
        let changed = |((source, name), before): (&(String, String), &String)| {
            let after = self.after.get(&(source.clone(), name.clone()))?;
            let (before, after) = (before.parse().ok()?, after.parse().ok()?);
            (source == "ethtool" && before != after).then(|| Counter { name: name.clone(), before, after })
        };
        let mut counters: Vec<Counter> = self.before.iter().filter_map(changed).collect();
        // The sort keeps the order of names among equals.
        counters
            .sort_by_key(|counter| (!counter.is_exceeded_allowance(), counter.name.starts_with("queue_")));
        counters
    }

    /// Whether the host counts what goes over an allowance, so that none that grew means that nothing did.
    pub fn has_allowances(&self) -> bool {
        let is_there = |of: &super::Values| {
            of.keys().any(|(source, name)| source == "ethtool" && allowance_meaning(name).is_some())
        };
        is_there(&self.before) && is_there(&self.after)
    }
}

/// Why the figures of the run may not be what they seem, by what the hosts counted: one line for each kind of allowance.
pub fn warnings(hosts: &[HostFacts]) -> Vec<String> {
    let counters: Vec<(String, Vec<Counter>)> =
        hosts.iter().map(|host| (host.name(), host.counters())).collect();
    let warning = |(name, meaning): &(&str, &str)| {
        let grown = |(host, counters): &(String, Vec<Counter>)| {
            let counter = counters.iter().find(|counter| counter.name == *name)?;
            let growth = counter.growth().filter(|growth| *growth > 0)?;
            Some(format!("{host} (+{growth})"))
        };
        let mut on: Vec<String> = counters.iter().filter_map(grown).collect();
        let more = on.len().saturating_sub(NAMED_HOSTS_MAX);
        on.truncate(NAMED_HOSTS_MAX);
        if more > 0 {
            on.push(format!("and {more} more"));
        }
        (!on.is_empty()).then(|| format!("{name} grew on {}: {meaning}", on.join(", ")))
    };
    ALLOWANCES.iter().filter_map(warning).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{HostFacts, parse};
    use super::*;
    use crate::hosts::Role;

    /// A host with what it said before and after.
    pub(in super::super) fn host(role: Role, index: usize, before: &str, after: &str) -> HostFacts {
        HostFacts {
            role,
            index,
            before: parse(before),
            after: parse(after),
            orchestrator: parse(&format!("orchestrator\tzone\tus-east-1{}\n", ["a", "b"][index % 2])),
        }
    }

    const BEFORE: &str = "interface\tname\tens5\nethtool\tbw_in_allowance_exceeded\t7\n\
        ethtool\tbw_out_allowance_exceeded\t0\nethtool\tqueue_0_tx_cnt\t100\nethtool\trx_packets\t200\n\
        ethtool\tconntrack_allowance_available\t900\nethtool\tlater\tn/a\nethtool\tgone\t1\n";
    const AFTER: &str = "interface\tname\tens5\nethtool\tbw_in_allowance_exceeded\t30\n\
        ethtool\tbw_out_allowance_exceeded\t0\nethtool\tqueue_0_tx_cnt\t150\nethtool\trx_packets\t290\n\
        ethtool\tconntrack_allowance_available\t870\nethtool\tlater\t5\nethtool\tnew\t1\n";

    #[test]
    fn counters_that_changed_come_in_the_order_of_their_weight() {
        let host = host(Role::Server, 0, BEFORE, AFTER);
        let told: Vec<(String, Option<u64>)> =
            host.counters().into_iter().map(|counter| (counter.name.clone(), counter.growth())).collect();
        let expected = [
            ("bw_in_allowance_exceeded", Some(23)),
            ("conntrack_allowance_available", None),
            ("rx_packets", Some(90)),
            ("queue_0_tx_cnt", Some(50)),
        ];
        assert_eq!(told, expected.map(|(name, growth)| (name.to_owned(), growth)));
        assert!(host.has_allowances());
    }

    #[test]
    fn other_interfaces_and_missing_ends_are_not_compared() {
        let other = AFTER.replace("ens5", "ens6");
        assert_eq!(host(Role::Server, 0, BEFORE, &other).counters(), []);
        let lost = host(Role::Server, 0, BEFORE, "");
        assert_eq!((lost.counters(), lost.has_allowances()), (vec![], false));
    }

    #[test]
    fn an_allowance_that_was_exceeded_is_a_warning_that_names_the_hosts() {
        let quiet = host(Role::Client, 0, BEFORE, BEFORE);
        assert_eq!(warnings(std::slice::from_ref(&quiet)), [""; 0]);
        let mut hosts: Vec<HostFacts> =
            (0..6).map(|index| host(Role::Server, index, BEFORE, AFTER)).collect();
        hosts.push(quiet);
        let warnings = warnings(&hosts);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let start = "bw_in_allowance_exceeded grew on server 0 (+23), server 1 (+23), server 2 (+23), server 3 (+23), and 2 more: ";
        assert!(warnings[0].starts_with(start), "{warnings:?}");
    }
}
