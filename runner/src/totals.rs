//! What the hosts of a repetition, and the repetitions of a driver, come to.
//!
//! A value that one host does not know is not known for the group either: a sum that silently leaves a host
//! out would look like a better result.

use crate::summary::{DriverSummary, HostSummary, RepetitionSummary, Status, Summary};

/// Bytes in one GB, the unit that processor time is related to.
const GB_BYTES: f64 = 1e9;

/// Which way most of the data of a run goes, seen from the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The clients receive more than they send.
    Received,
    /// The clients send more than they receive.
    Sent,
}

impl Direction {
    /// The direction of a whole run, so that all its drivers are compared by the same figure.
    pub fn of(summary: &Summary) -> Self {
        let clients = || summary.drivers.iter().flat_map(|d| &d.repetitions).flat_map(|r| &r.clients);
        let received: u128 = clients().filter_map(|c| c.received_bytes).map(u128::from).sum();
        let sent: u128 = clients().filter_map(|c| c.sent_bytes).map(u128::from).sum();
        if sent > received { Self::Sent } else { Self::Received }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sent => "sent",
        }
    }
}

/// The sums of one repetition. `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RepetitionTotals {
    /// From the first goal to the last outcome, in seconds.
    pub duration_s: f64,
    /// Bytes that all clients received.
    pub received_bytes: Option<u64>,
    /// Bytes that all clients sent.
    pub sent_bytes: Option<u64>,
    /// What the clients received (or sent, see [`Direction`]) in the time of the longest of them, in bits a
    /// second.
    pub goodput_bits_per_s: Option<f64>,
    /// Processor time of all servers in seconds.
    pub server_cpu_s: Option<f64>,
    /// Processor time of all clients in seconds.
    pub client_cpu_s: Option<f64>,
    /// Processor time of all hosts for each GB that the clients sent and received, in seconds.
    pub cpu_s_per_gb: Option<f64>,
    /// Peak resident memory of the largest server in bytes.
    pub server_max_rss_bytes: Option<u64>,
    /// Peak resident memory of the largest client in bytes.
    pub client_max_rss_bytes: Option<u64>,
}

impl RepetitionTotals {
    /// Sums up `repetition`; `direction` says which bytes count as goodput.
    pub fn of(repetition: &RepetitionSummary, direction: Direction) -> Self {
        let RepetitionSummary { duration_s, servers, clients, .. } = repetition;
        let received_bytes = sum_bytes(clients, |host| host.received_bytes);
        let sent_bytes = sum_bytes(clients, |host| host.sent_bytes);
        let server_cpu_s = sum_seconds(servers, |host| host.cpu_s);
        let client_cpu_s = sum_seconds(clients, |host| host.cpu_s);
        let payload_bytes = match direction {
            Direction::Received => received_bytes,
            Direction::Sent => sent_bytes,
        };
        let longest_client_s = largest(clients, |host| host.duration_s).filter(|seconds| *seconds > 0.0);
        let moved_gb = match (received_bytes, sent_bytes) {
            (Some(received), Some(sent)) => Some((received as f64 + sent as f64) / GB_BYTES),
            (Some(one), None) | (None, Some(one)) => Some(one as f64 / GB_BYTES),
            (None, None) => None,
        };
        Self {
            duration_s: *duration_s,
            received_bytes,
            sent_bytes,
            goodput_bits_per_s: payload_bytes.zip(longest_client_s).map(|(bytes, s)| bytes as f64 * 8.0 / s),
            server_cpu_s,
            client_cpu_s,
            cpu_s_per_gb: server_cpu_s
                .zip(client_cpu_s)
                .zip(moved_gb.filter(|gb| *gb > 0.0))
                .map(|((server, client), gb)| (server + client) / gb),
            server_max_rss_bytes: largest(servers, |host| host.max_rss_bytes),
            client_max_rss_bytes: largest(clients, |host| host.max_rss_bytes),
        }
    }

    /// Peak resident memory of the largest host in bytes.
    pub fn max_rss_bytes(&self) -> Option<u64> {
        self.server_max_rss_bytes.zip(self.client_max_rss_bytes).map(|(server, client)| server.max(client))
    }
}

/// The repetitions of a driver that ran to their end.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverTotals {
    /// One entry per repetition that is [`Status::Ok`].
    pub repetitions: Vec<RepetitionTotals>,
    /// How many repetitions were begun.
    pub begun: usize,
}

impl DriverTotals {
    /// Sums up each repetition of `driver`.
    pub fn of(driver: &DriverSummary, direction: Direction) -> Self {
        let ok = driver.repetitions.iter().filter(|repetition| repetition.status == Status::Ok);
        Self {
            repetitions: ok.map(|repetition| RepetitionTotals::of(repetition, direction)).collect(),
            begun: driver.repetitions.len(),
        }
    }

    /// Median and extremes of one figure; `None` if no repetition knows it.
    pub fn spread(&self, figure: impl Fn(&RepetitionTotals) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.repetitions.iter().filter_map(figure).collect())
    }
}

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// `None` if there are no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }
}

fn sum_bytes(hosts: &[HostSummary], value: impl Fn(&HostSummary) -> Option<u64>) -> Option<u64> {
    if hosts.is_empty() {
        return None;
    }
    hosts.iter().map(value).try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
}

fn sum_seconds(hosts: &[HostSummary], value: impl Fn(&HostSummary) -> Option<f64>) -> Option<f64> {
    if hosts.is_empty() {
        return None;
    }
    hosts.iter().map(value).sum()
}

fn largest<T: PartialOrd>(hosts: &[HostSummary], value: impl Fn(&HostSummary) -> Option<T>) -> Option<T> {
    let mut values = hosts.iter().map(value);
    let first = values.next()??;
    values.try_fold(first, |largest, value| value.map(|v| if v > largest { v } else { largest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(received: Option<u64>, sent: Option<u64>, cpu_s: Option<f64>) -> HostSummary {
        HostSummary {
            duration_s: Some(2.0),
            received_bytes: received,
            sent_bytes: sent,
            cpu_s,
            max_rss_bytes: Some(1 << 20),
            ..HostSummary::default()
        }
    }

    fn repetition(servers: Vec<HostSummary>, clients: Vec<HostSummary>) -> RepetitionSummary {
        RepetitionSummary { servers, clients, ..RepetitionSummary::new(Status::Ok, 2.5) }
    }

    #[test]
    fn goodput_is_what_all_clients_received_in_the_time_of_the_longest() {
        let mut slow = host(Some(500_000_000), Some(0), Some(1.0));
        slow.duration_s = Some(4.0);
        let repetition = repetition(
            vec![host(Some(0), Some(1_000_000_000), Some(3.0))],
            vec![host(Some(500_000_000), Some(0), Some(1.0)), slow],
        );
        let totals = RepetitionTotals::of(&repetition, Direction::Received);
        assert_eq!(totals.received_bytes, Some(1_000_000_000));
        assert_eq!(totals.goodput_bits_per_s, Some(2e9));
        assert_eq!(totals.cpu_s_per_gb, Some(5.0));
        assert_eq!(totals.max_rss_bytes(), Some(1 << 20));
    }

    #[test]
    fn one_unknown_host_makes_the_sum_unknown() {
        let repetition = repetition(
            vec![host(None, None, Some(1.0)), host(None, None, None)],
            vec![host(Some(1), Some(1), Some(1.0)), host(None, Some(1), Some(1.0))],
        );
        let totals = RepetitionTotals::of(&repetition, Direction::Received);
        assert_eq!(totals.received_bytes, None);
        assert_eq!(totals.goodput_bits_per_s, None);
        assert_eq!(totals.sent_bytes, Some(2));
        assert_eq!(totals.server_cpu_s, None);
        assert_eq!(totals.client_cpu_s, Some(2.0));
        assert_eq!(totals.cpu_s_per_gb, None);
    }

    #[test]
    fn nothing_is_known_of_no_hosts() {
        let totals = RepetitionTotals::of(&repetition(vec![], vec![]), Direction::Received);
        assert_eq!(totals, RepetitionTotals { duration_s: 2.5, ..RepetitionTotals::default() });
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn failed_repetitions_do_not_count() {
        let good = repetition(vec![host(None, None, None)], vec![host(Some(8), Some(0), None)]);
        let failed = RepetitionSummary { status: Status::Failed, duration_s: 0.1, ..good.clone() };
        let driver = DriverSummary { driver: "tcp".to_owned(), repetitions: vec![failed, good] };
        let totals = DriverTotals::of(&driver, Direction::Received);
        assert_eq!(totals.begun, 2);
        let duration = totals.spread(|r| Some(r.duration_s)).expect("one repetition ran to its end");
        assert_eq!((duration.min, duration.max), (2.5, 2.5));
    }
}
