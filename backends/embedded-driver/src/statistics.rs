//! What the script does, counted where it happens and read by whoever writes the result file.
//!
//! The one thread of the driver counts; the sampler's thread takes the counts away. Between them lies a lock that is
//! free but for the instant of the taking, which costs less than any system call that is counted here.

use backends::collector::{Bucket, Histogram, Sample, Stat, StreamId, Totals};
use netbench::Trace;
use netbench::timer::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Streams that get their own entry in one line of the result file; the rest share [`OTHER_STREAMS`].
const STREAMS_PER_LINE_MAX: usize = 256;

/// The entry of the streams beyond [`STREAMS_PER_LINE_MAX`].
const OTHER_STREAMS: StreamId = StreamId { connection: u64::MAX, stream: u64::MAX };

/// One bucket per power of two: durations of 0 µs, of 1 µs, of 2 to 3 µs, and so on.
const BUCKETS: usize = u64::BITS as usize + 1;

/// The counts of the whole driver.
#[derive(Debug, Default)]
pub(crate) struct Statistics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Since the last line.
    interval: Interval,
    /// Since the start.
    sent_bytes: u64,
    received_bytes: u64,
}

#[derive(Debug, Default)]
struct Interval {
    connections: u64,
    accept: u64,
    connect_time: Stat,
    send: BTreeMap<StreamId, Stat>,
    receive: BTreeMap<StreamId, Stat>,
    profiles: BTreeMap<u64, Durations>,
}

impl Statistics {
    /// Counts a connection that the server has accepted. A server does not know how long it took to connect.
    pub(crate) fn count_accepted_connection(&self) {
        self.update(|counts| counts.interval.connections += 1);
    }

    /// Moves the counts since the last call into `sample`, and adds the totals since the start.
    pub(crate) fn take_into(&self, sample: &mut Sample) {
        let (interval, sent_bytes, received_bytes) = self.update(|counts| {
            (std::mem::take(&mut counts.interval), counts.sent_bytes, counts.received_bytes)
        });
        sample.connections = interval.connections;
        sample.accept = interval.accept;
        sample.connect_time = interval.connect_time;
        sample.send = interval.send;
        sample.receive = interval.receive;
        sample.profiles =
            interval.profiles.iter().map(|(id, durations)| (*id, durations.histogram())).collect();
        let totals = sample.totals.get_or_insert_with(Totals::default);
        totals.sent_bytes = Some(sent_bytes);
        totals.received_bytes = Some(received_bytes);
    }

    fn update<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts what the library's driver reports of its operations.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    statistics: Arc<Statistics>,
    connection: u64,
}

impl Recorder {
    /// A recorder that counts into `statistics`.
    pub(crate) fn new(statistics: Arc<Statistics>) -> Self {
        Self { statistics, connection: 0 }
    }
}

impl Trace for Recorder {
    fn enter_connection(&mut self, id: u64) {
        self.connection = id;
    }

    fn send(&mut self, _: Timestamp, stream: u64, len: u64) {
        if len > 0 {
            let id = StreamId { connection: self.connection, stream };
            self.statistics.update(|counts| {
                counts.sent_bytes += len;
                entry(&mut counts.interval.send, id).add(len);
            });
        }
    }

    fn receive(&mut self, _: Timestamp, stream: u64, len: u64) {
        if len > 0 {
            let id = StreamId { connection: self.connection, stream };
            self.statistics.update(|counts| {
                counts.received_bytes += len;
                entry(&mut counts.interval.receive, id).add(len);
            });
        }
    }

    fn accept(&mut self, _: Timestamp, _: u64) {
        self.statistics.update(|counts| counts.interval.accept += 1);
    }

    fn profile(&mut self, _: Timestamp, id: u64, time: Duration) {
        self.statistics.update(|counts| counts.interval.profiles.entry(id).or_default().add(micros(time)));
    }

    fn connect(&mut self, _: Timestamp, _: u64, time: Duration) {
        self.statistics.update(|counts| {
            counts.interval.connections += 1;
            counts.interval.connect_time.add(micros(time));
        });
    }
}

fn entry(streams: &mut BTreeMap<StreamId, Stat>, id: StreamId) -> &mut Stat {
    let has_room = streams.len() < STREAMS_PER_LINE_MAX || streams.contains_key(&id);
    streams.entry(if has_room { id } else { OTHER_STREAMS }).or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A histogram being filled.
#[derive(Debug)]
struct Durations {
    stat: Stat,
    counts: [u64; BUCKETS],
}

impl Default for Durations {
    fn default() -> Self {
        Self { stat: Stat::default(), counts: [0; BUCKETS] }
    }
}

impl Durations {
    fn add(&mut self, time_us: u64) {
        self.stat.add(time_us);
        self.counts[bucket_of(time_us)] += 1;
    }

    fn histogram(&self) -> Histogram {
        let buckets = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let buckets = buckets.map(|(bucket, count)| {
            let (lower, upper) = bounds(bucket);
            Bucket { lower, upper, count: *count }
        });
        Histogram { stat: self.stat, buckets: buckets.collect() }
    }
}

fn bucket_of(time_us: u64) -> usize {
    (u64::BITS - time_us.leading_zeros()) as usize
}

fn bounds(bucket: usize) -> (u64, u64) {
    let power = |exponent: usize| 1_u64.checked_shl(exponent as u32).unwrap_or(u64::MAX);
    (if bucket == 0 { 0 } else { power(bucket - 1) }, power(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        crate::clock::Clock::start().watch().now()
    }

    #[test]
    fn each_duration_falls_into_the_bucket_that_says_so() {
        for time_us in [0, 1, 2, 3, 4, 7, 8, 1000, 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX - 1] {
            let (lower, upper) = bounds(bucket_of(time_us));
            assert!((lower..upper).contains(&time_us), "{time_us} is not in {lower}..{upper}");
        }
        assert_eq!(bounds(0), (0, 1));
        assert_eq!(bounds(3), (4, 8));
    }

    #[test]
    fn intervals_are_taken_and_totals_stay() {
        let statistics = Arc::new(Statistics::default());
        let mut recorder = Recorder::new(Arc::clone(&statistics));
        let now = now();
        recorder.enter_connection(2);
        recorder.send(now, 1, 10);
        recorder.send(now, 1, 5);
        recorder.receive(now, 0, 7);
        recorder.receive(now, 0, 0);
        recorder.connect(now, 0, Duration::from_micros(30));
        recorder.profile(now, 4, Duration::from_micros(5));
        let mut sample = Sample::default();
        statistics.take_into(&mut sample);
        assert_eq!(sample.send[&StreamId { connection: 2, stream: 1 }], Stat { count: 2, total: 15 });
        assert_eq!(sample.receive[&StreamId { connection: 2, stream: 0 }], Stat { count: 1, total: 7 });
        assert_eq!((sample.connections, sample.connect_time), (1, Stat { count: 1, total: 30 }));
        let buckets = vec![Bucket { lower: 4, upper: 8, count: 1 }];
        assert_eq!(sample.profiles[&4], Histogram { stat: Stat { count: 1, total: 5 }, buckets });

        recorder.send(now, 1, 1);
        let mut next = Sample::default();
        statistics.take_into(&mut next);
        assert_eq!(next.send.values().map(|stat| stat.total).sum::<u64>(), 1);
        assert!(next.receive.is_empty() && next.profiles.is_empty() && next.connections == 0);
        let totals = Totals { sent_bytes: Some(16), received_bytes: Some(7), ..Totals::default() };
        assert_eq!(next.totals, Some(totals));
    }

    #[test]
    fn a_line_has_a_bounded_number_of_streams_and_loses_no_byte() {
        let statistics = Arc::new(Statistics::default());
        let mut recorder = Recorder::new(Arc::clone(&statistics));
        let now = now();
        let streams = 3 * STREAMS_PER_LINE_MAX as u64;
        for connection in 0..streams {
            recorder.enter_connection(connection);
            recorder.receive(now, 0, 2);
        }
        let mut sample = Sample::default();
        statistics.take_into(&mut sample);
        assert_eq!(sample.receive.len(), STREAMS_PER_LINE_MAX + 1);
        assert_eq!(sample.receive.values().map(|stat| stat.total).sum::<u64>(), 2 * streams);
    }
}
