//! Time for the library's scripts.
//!
//! The library's own way of running a driver (`poll_with_timer`) has two faults that hang a script. It drops the
//! answer when a timer is due already, so nobody wakes the script up again. And it looks at the earliest timer only,
//! while a rate limit leaves its timer armed in the past, in front of all others. Here, timers of the past are left
//! alone (the poll before has seen them), and one that is due wakes the script.

use netbench::Timer as _;
use netbench::timer::{Provider, Timestamp, Tokio};
use std::task::{Context, Poll};
use std::time::Instant;

/// Tells the present time to scripts. All copies agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    zero: Timestamp,
    zero_at: Instant,
}

impl Watch {
    /// The present time.
    pub(crate) fn now(self) -> Timestamp {
        self.zero + self.zero_at.elapsed()
    }
}

/// A clock that wakes the script at its next timer.
#[derive(Debug)]
pub(crate) struct Clock {
    timer: Tokio,
    watch: Watch,
}

impl Clock {
    /// A clock that starts now. To be called in a tokio runtime.
    pub(crate) fn start() -> Self {
        let timer = Tokio::default();
        Self { watch: Watch { zero: timer.now(), zero_at: Instant::now() }, timer }
    }

    /// The time of this clock.
    pub(crate) fn watch(&self) -> Watch {
        self.watch
    }

    /// Polls `script` at the present time, and has it woken at its next timer if it is pending.
    pub(crate) fn poll<P: Provider, T>(
        &mut self,
        script: &mut P,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut P, Timestamp, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let now = self.watch.now();
        let result = poll(script, now, cx);
        if result.is_pending()
            && let Some(next) = next_timer(script, now)
            && self.timer.poll(next, cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
        result
    }
}

/// The earliest timer of `script` that is not due at `now`.
pub(crate) fn next_timer(script: &impl Provider, now: Timestamp) -> Option<Timestamp> {
    let mut next: Option<Timestamp> = None;
    script.for_each_timer(|timer| {
        if let Some(target) = timer.next_expiration()
            && !target.has_elapsed(now)
        {
            next = Some(next.map_or(target, |earliest| earliest.min(target)));
        }
        Ok(())
    });
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use netbench::timer::{Query, Result};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    /// A script whose timers are a millisecond in the past and in the future, built from the library's own pieces.
    struct Armed<'a>(netbench::Driver<'a, Idle>);

    struct Idle;

    impl netbench::Connection for Idle {
        fn id(&self) -> u64 {
            0
        }
        fn poll_open_bidirectional_stream(&mut self, _: u64, _: &mut Context) -> Poll<netbench::Result<()>> {
            Poll::Pending
        }
        fn poll_open_send_stream(&mut self, _: u64, _: &mut Context) -> Poll<netbench::Result<()>> {
            Poll::Pending
        }
        fn poll_accept_stream(&mut self, _: &mut Context) -> Poll<netbench::Result<Option<u64>>> {
            Poll::Pending
        }
        fn poll_send(
            &mut self,
            _: netbench::connection::Owner,
            _: u64,
            bytes: u64,
            _: &mut Context,
        ) -> Poll<netbench::Result<u64>> {
            Poll::Ready(Ok(bytes))
        }
        fn poll_receive(
            &mut self,
            _: netbench::connection::Owner,
            _: u64,
            _: u64,
            _: &mut Context,
        ) -> Poll<netbench::Result<u64>> {
            Poll::Pending
        }
        fn poll_send_finish(
            &mut self,
            _: netbench::connection::Owner,
            _: u64,
            _: &mut Context,
        ) -> Poll<netbench::Result<()>> {
            Poll::Pending
        }
        fn poll_receive_finish(
            &mut self,
            _: netbench::connection::Owner,
            _: u64,
            _: &mut Context,
        ) -> Poll<netbench::Result<()>> {
            Poll::Pending
        }
    }

    impl Provider for Armed<'_> {
        fn timers<Q: Query>(&self, query: &mut Q) -> Result {
            self.0.timers(query)
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn script(json: &str) -> netbench::scenario::Connection {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_timer_left_in_the_past_neither_wakes_nor_hides_a_later_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let mut clock = Clock::start();
        // Sending at a rate leaves a timer armed, 1 ms after `now`; the pending receive keeps the script alive.
        let left_over = script(
            r#"{"ops":[{"scope":{"threads":[
                [{"send_rate":{"stream_id":0,"bytes":9,"period_ms":1}},{"send":{"stream_id":0,"bytes":9}},
                 {"receive":{"stream_id":0,"bytes":1}}],
                [{"sleep":{"amount_ms":3600000}}]]}}]}"#,
        );
        let mut script = Armed(netbench::Driver::new(&left_over, Idle));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        let mut trace = netbench::trace::Disabled::default();
        let mut checkpoints = std::collections::HashSet::new();

        let start = clock.watch().now();
        let result = script.0.poll(&mut trace, &mut checkpoints, start, &mut cx);
        assert!(result.is_pending());
        let later = start + Duration::from_secs(1);
        assert!(script.next_expiration().is_some_and(|earliest| earliest.has_elapsed(later)));
        let next = next_timer(&script, later).unwrap();
        assert_eq!(next, start + Duration::from_secs(3600));

        while clock.watch().now() < start + Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let before = wakes.0.load(Ordering::Relaxed);
        let result = clock.poll(&mut script, &mut cx, |script, now, cx| {
            script.0.poll(&mut trace, &mut checkpoints, now, cx)
        });
        assert!(result.is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), before, "a script that only waits must not be woken");
    }
}
