//! The floor of a start at T: processes that only sleep until the same instant, and then read the clock.
//!
//! What it shows is the machine: with 50 processes on two processors the last of them has to wait for 24 others.

use crate::child::{Child, monotonic_nanos};
use backends::alarm::Alarm;
use mio::{Events, Poll, Token};
use std::io::BufRead;
use std::time::{Duration, Instant};

/// The argument that makes the benchmark a sleeper.
pub(crate) const ARGUMENT: &str = "--sleeper";

/// How long before the instant the sleepers are told of it: as long as the coordinator takes, and longer.
const AHEAD: Duration = Duration::from_millis(20);

/// Processes that sleep and wake together.
pub(crate) struct Sleepers(Vec<Child>);

impl Sleepers {
    pub(crate) fn start(count: u16) -> Self {
        Self((0..count).map(|_| Child::start(&[ARGUMENT])).collect())
    }

    /// Has all of them wake at one instant; the time between the first and the last.
    pub(crate) fn spread(&mut self) -> Duration {
        let at = (monotonic_nanos() + AHEAD.as_nanos() as u64).to_string();
        self.0.iter_mut().for_each(|sleeper| sleeper.tell(&at));
        let woken = |sleeper: &mut Child| sleeper.line().parse::<u64>().expect("a time");
        let woken: Vec<u64> = self.0.iter_mut().map(woken).collect();
        let (first, last) = (woken.iter().min(), woken.iter().max());
        let nanos = last.zip(first).map(|(last, first)| last - first);
        Duration::from_nanos(nanos.expect("there are sleepers"))
    }
}

/// The `main` of a sleeper; it ends with its stdin.
pub(crate) fn main() {
    let mut poll = Poll::new().expect("a poll");
    let mut alarm = Alarm::new(poll.registry(), Token(0)).expect("a timer");
    let mut events = Events::with_capacity(1);
    for line in std::io::stdin().lock().lines() {
        let at: u64 = line.expect("a pipe").parse().expect("a time in nanoseconds");
        let left = Duration::from_nanos(at.saturating_sub(monotonic_nanos()));
        let timeout = alarm.set(Some(Instant::now() + left));
        poll.poll(&mut events, timeout).expect("a poll");
        let woken = monotonic_nanos();
        alarm.handle_ready();
        println!("{woken}");
    }
}
