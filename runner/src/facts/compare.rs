//! What is the same on all hosts of a run, and what is not: who distrusts a figure looks there first.

use super::{HostFacts, ORCHESTRATOR, Values};
use std::collections::BTreeMap;

/// Facts that differ between any two hosts, or between any two looks, and say nothing: no comparison has them.
const OWN: [(&str, &str); 5] = [
    ("time", "utc"),
    ("instance", "instance-id"),
    ("lscpu", "CPU MHz"),
    ("lscpu", "CPU(s) scaling MHz"),
    // A random key of each kernel's own.
    ("sysctl", "net.core.netdev_rss_key"),
];

/// A fact with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Where it comes from, such as `sysctl`.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A fact that is not the same on all hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it comes from, such as `sysctl`.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Each value, `None` for one that is not there, with the names of its hosts; what most hosts have comes first.
    pub values: Vec<(Option<String>, Vec<String>)>,
}

/// Positions of hosts by the value that they have.
type HostsByValue<'a> = BTreeMap<Option<&'a str>, Vec<usize>>;

/// The facts of all hosts that said something about themselves, side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// By source and name.
    pub same: Vec<Fact>,
    /// Sysctls first, since somebody set them; then by source and name.
    pub differing: Vec<Difference>,
}

impl Comparison {
    /// Compares what the hosts said before the first repetition.
    pub fn of(hosts: &[HostFacts]) -> Self {
        let hosts: Vec<&HostFacts> = hosts.iter().filter(|host| !host.before.is_empty()).collect();
        let mut by_fact: BTreeMap<&(String, String), HostsByValue<'_>> = BTreeMap::new();
        for host in &hosts {
            for key in host.before.keys().filter(|key| is_compared(key)) {
                by_fact.entry(key).or_default();
            }
        }
        for (key, values) in &mut by_fact {
            for (index, host) in hosts.iter().enumerate() {
                values.entry(host.before.get(*key).map(String::as_str)).or_default().push(index);
            }
        }
        let mut comparison = Self::default();
        for ((source, name), values) in by_fact {
            let (source, name) = (source.clone(), name.clone());
            let mut values: Vec<_> = values.into_iter().collect();
            if let [(Some(value), _)] = values.as_slice() {
                comparison.same.push(Fact { source, name, value: (*value).to_owned() });
                continue;
            }
            values.sort_by_key(|(_, on)| std::cmp::Reverse(on.len()));
            let named = |(value, on): (Option<&str>, Vec<usize>)| {
                (value.map(str::to_owned), on.into_iter().map(|index| hosts[index].name()).collect())
            };
            let values = values.into_iter().map(named).collect();
            comparison.differing.push(Difference { source, name, values });
        }
        comparison.differing.sort_by_key(|difference| difference.source != "sysctl");
        comparison
    }
}

impl HostFacts {
    /// What was not the same on this host before and after, as name, value before and value after.
    pub fn changed_meanwhile(&self) -> Vec<(Fact, String)> {
        let changed = |(key, before): (&(String, String), &String)| {
            let after = self.after.get(key).filter(|after| *after != before && is_compared(key))?;
            let (source, name) = key.clone();
            Some((Fact { source, name, value: before.clone() }, after.clone()))
        };
        self.before.iter().filter_map(changed).collect()
    }

    /// What is left out of every comparison, and what the orchestrator knows.
    pub fn own(&self) -> Vec<Fact> {
        let of = |values: &Values| -> Vec<Fact> {
            let own = values.iter().filter(|(key, _)| is_own(key));
            own.map(|((source, name), value)| Fact {
                source: source.clone(),
                name: name.clone(),
                value: value.clone(),
            })
            .collect()
        };
        let mut own = of(&self.orchestrator);
        own.extend(of(&self.before));
        own
    }
}

fn is_compared(key: &(String, String)) -> bool {
    // Counters are not compared but subtracted.
    key.0 != "ethtool" && !is_own(key)
}

fn is_own((source, name): &(String, String)) -> bool {
    source == ORCHESTRATOR || OWN.contains(&(source, name))
}

#[cfg(test)]
mod tests {
    use super::super::counters::tests::host;
    use super::*;
    use crate::hosts::Role;

    const USUAL: &str = "time\tutc\t2026-11-23T00:00:00Z\nkernel\trelease\t6.1.0\nlscpu\tModel name\tXeon\n\
        sysctl\tnet.ipv4.tcp_rmem\t4096 131072 6291456\nethtool\trx_packets\t5\n";

    #[test]
    fn what_differs_is_told_with_the_hosts_that_have_it() {
        let odd =
            USUAL.replace("6291456", "33554432").replace("Xeon", "EPYC").replace("00:00:00", "00:00:01");
        let odd = format!("{odd}sysctl\tnet.core.extra\t1\n");
        let hosts = [
            host(Role::Client, 0, USUAL, ""),
            host(Role::Server, 0, &odd, ""),
            host(Role::Server, 1, USUAL, ""),
            host(Role::Server, 2, "", ""),
        ];
        let comparison = Comparison::of(&hosts);
        let same: Vec<&str> = comparison.same.iter().map(|fact| fact.name.as_str()).collect();
        assert_eq!(same, ["release"]);
        let usual = || vec!["client 0".to_owned(), "server 1".to_owned()];
        let differing: Vec<_> =
            comparison.differing.iter().map(|one| (one.name.as_str(), one.values.clone())).collect();
        let value = |value: &str| Some(value.to_owned());
        let odd = || vec!["server 0".to_owned()];
        assert_eq!(
            differing,
            [
                ("net.core.extra", vec![(None, usual()), (value("1"), odd())]),
                (
                    "net.ipv4.tcp_rmem",
                    vec![(value("4096 131072 6291456"), usual()), (value("4096 131072 33554432"), odd())]
                ),
                ("Model name", vec![(value("Xeon"), usual()), (value("EPYC"), odd())]),
            ]
        );
    }

    #[test]
    fn what_changed_meanwhile_is_told_and_time_is_not() {
        let after = USUAL.replace("4096 ", "8192 ").replace("00:00:00", "00:10:00");
        let host = host(Role::Server, 1, USUAL, &after);
        let changed = host.changed_meanwhile();
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!(
            (changed[0].0.name.as_str(), changed[0].1.as_str()),
            ("net.ipv4.tcp_rmem", "8192 131072 6291456")
        );
        let own: Vec<String> = host.own().into_iter().map(|fact| fact.name).collect();
        assert_eq!(own, ["zone", "utc"]);
    }
}
