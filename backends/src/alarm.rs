//! Waking a poll at an instant, to the precision of the kernel's clock.
//!
//! The timeout of a poll is counted in whole milliseconds (`epoll_wait(2)`), rounded up, and may be exceeded by the
//! timer slack of the process (`prctl(2)`, `PR_SET_TIMERSLACK`). A timer of its own has neither limit
//! (`timerfd_create(2)`). Only Linux has it; elsewhere the poll's timeout has to do.

use mio::{Registry, Token};
use std::io;
use std::time::{Duration, Instant};
use timer::Timer;

/// An event source that becomes ready at an instant.
///
/// ```text
/// loop {
///     let timeout = alarm.set(next_deadline);
///     poll.poll(&mut events, timeout)?;
///     // for an event with the alarm's token: alarm.handle_ready()
///     // what is due by now
/// }
/// ```
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    /// What the timer is set to.
    set_to: Option<Instant>,
}

impl Alarm {
    /// An alarm that is off. Its events bear `token`.
    ///
    /// # Errors
    /// If the system is out of file descriptors or memory.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { timer: Timer::new(registry, token)?, set_to: None })
    }

    /// Sets the alarm to `at`, or off. It is never early.
    ///
    /// Returns the timeout that the next wait of the poll needs besides: zero for an instant that has passed, the time
    /// that is left where there is no such timer, else none. Costs a system call only if `at` differs from the time
    /// before.
    #[must_use = "an instant that has passed makes no event"]
    pub fn set(&mut self, at: Option<Instant>) -> Option<Duration> {
        let Some(at) = at else {
            if self.set_to.take().is_some() {
                // Left on, it would cause one wait to end without a reason, which does no harm.
                let _ = self.timer.set(Duration::ZERO);
            }
            return None;
        };
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(left);
        }
        if self.set_to != Some(at) {
            self.set_to = None;
            if self.timer.set(left).is_err() {
                return Some(left);
            }
            self.set_to = Some(at);
        }
        None
    }

    /// To be called for an event of the alarm. What the instant stands for is looked at after every wait anyway, since
    /// the poll's own timeout makes no event.
    pub fn handle_ready(&mut self) {
        self.set_to = None;
        self.timer.clear();
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            // The clock of `Instant`.
            let timer =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// To fire after `left`; zero turns it off.
        pub(super) fn set(&self, left: Duration) -> io::Result<()> {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let it_value = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
            let once = Itimerspec { it_interval: zero, it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }

        /// Takes back that it has fired.
        pub(super) fn clear(&self) {
            // It fails only if the timer was set anew since the event, and then there is nothing to take back.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use mio::{Registry, Token};
    use std::io;
    use std::time::Duration;

    /// A timer that cannot be set.
    #[derive(Debug)]
    pub(super) struct Timer;

    impl Timer {
        #[allow(clippy::unnecessary_wraps, reason = "it can fail where there are timers")]
        pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn set(&self, _: Duration) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn clear(&self) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};

    const PATIENCE: Duration = Duration::from_secs(20);
    const SOON: Duration = Duration::from_micros(2300);

    struct Clock {
        poll: Poll,
        alarms: Vec<Alarm>,
    }

    impl Clock {
        fn with_alarms(count: usize) -> Self {
            let poll = Poll::new().expect("a poll");
            let alarm = |number| Alarm::new(poll.registry(), Token(number)).expect("a timer");
            let alarms = (0..count).map(alarm).collect();
            Self { poll, alarms }
        }

        /// Sets the alarms and waits once; when that ended, and which alarms had an event.
        fn wait(&mut self, at: &[Option<Instant>]) -> (Instant, Vec<usize>) {
            let set = |(alarm, at): (&mut Alarm, &Option<Instant>)| alarm.set(*at);
            let timeout = self.alarms.iter_mut().zip(at).filter_map(set).min();
            let mut events = Events::with_capacity(4);
            self.poll.poll(&mut events, Some(timeout.unwrap_or(PATIENCE))).expect("a poll");
            let woken = Instant::now();
            let tokens: Vec<usize> = events.iter().map(|event| event.token().0).collect();
            for token in &tokens {
                self.alarms[*token].handle_ready();
            }
            (woken, tokens)
        }
    }

    #[test]
    fn a_wait_ends_at_the_instant_and_not_before_again_and_again() {
        let mut clock = Clock::with_alarms(1);
        for _ in 0..20 {
            let at = Instant::now() + SOON;
            let (woken, _) = clock.wait(&[Some(at)]);
            assert!(woken >= at, "{:?} early", at - woken);
            assert!(woken < at + PATIENCE, "the alarm did not wake it");
        }
    }

    #[test]
    fn an_instant_that_has_passed_does_not_wait() {
        let mut clock = Clock::with_alarms(1);
        let now = Instant::now();
        assert_eq!(clock.alarms[0].set(Some(now)), Some(Duration::ZERO));
        let (woken, _) = clock.wait(&[Some(now)]);
        assert!(woken < now + PATIENCE, "it waited");
        // The timer is still usable.
        let (woken, _) = clock.wait(&[Some(now + SOON)]);
        assert!(woken >= now + SOON && woken < now + PATIENCE);
    }

    #[test]
    fn the_same_instant_again_is_still_waited_for() {
        let mut clock = Clock::with_alarms(1);
        let at = Instant::now() + SOON;
        for _ in 0..100 {
            let _ = clock.alarms[0].set(Some(at));
        }
        let (woken, _) = clock.wait(&[Some(at)]);
        assert!(woken >= at && woken < at + PATIENCE);
        let (woken, _) = clock.wait(&[Some(at)]);
        assert!(woken < at + PATIENCE, "it waited for an instant that has passed");
    }

    #[test]
    fn an_alarm_that_is_put_off_or_turned_off_makes_no_event() {
        for then in [Some(Instant::now() + 10 * PATIENCE), None] {
            let mut clock = Clock::with_alarms(2);
            let now = Instant::now();
            let _ = clock.alarms[0].set(Some(now + SOON));
            // The second alarm tells when the first one would have gone off.
            let (woken, tokens) = clock.wait(&[then, Some(now + 2 * SOON)]);
            assert!(woken >= now + 2 * SOON && !tokens.contains(&0), "{tokens:?}");
        }
    }

    #[test]
    fn an_alarm_that_is_brought_forward_goes_off_earlier() {
        let mut clock = Clock::with_alarms(1);
        let now = Instant::now();
        let _ = clock.alarms[0].set(Some(now + 10 * PATIENCE));
        let (woken, _) = clock.wait(&[Some(now + SOON)]);
        assert!(woken >= now + SOON && woken < now + PATIENCE);
    }

    #[test]
    fn an_instant_beyond_all_time_can_be_set() {
        let mut clock = Clock::with_alarms(1);
        let now = Instant::now();
        let years = [1, 1_000_000, 100_000_000_000].map(|years| Duration::from_secs(years * 365 * 86_400));
        for at in years.into_iter().filter_map(|years| now.checked_add(years)) {
            let _ = clock.alarms[0].set(Some(at));
            // A timer that had overflowed would fire at once.
            let mut events = Events::with_capacity(1);
            clock.poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
            assert!(events.is_empty(), "{:?}", at - now);
        }
    }
}
