//! One connection that plays a script, over TCP.
//!
//! ```text
//! Session    polls the library's driver, and fails a script that waits in vain
//!   Guard      rules for every transport: one operation per look at the clock, the peer's early end, a bounded end
//!     Plain      one stream, the bytes as they are
//!     Multiplexed  several streams, in the library's frames
//! ```

mod frame_stream;
mod guard;
mod multiplexed;
mod plain;
mod turns;

use crate::clock::{Watch, next_timer};
use crate::error::ConnectionError;
use crate::scenario::AfterPeerEnd;
use guard::Guard;
use netbench::scenario::Connection as Script;
use netbench::timer::{Provider, Query, Result as TimerResult, Timestamp};
use netbench::{Checkpoints, Driver, Result, Trace};
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Looks at the clock that one connection gets before the others have their turn: all connections of a client share
/// one task, which would serve the first of them only as long as its bytes come fast enough.
const LOOKS_PER_TURN_MAX: u32 = 16;

/// A connection as the library's drivers see it, with what they do not tell.
trait Transport: netbench::Connection + Send {
    /// Whether the peer is known to be done with its script: nothing that is missing will come from it, and it takes
    /// nothing off the connection any more.
    fn has_peer_left(&self) -> bool;

    /// How many operations in a row may send on one stream without a look at the clock.
    fn sends_per_look(&self) -> u32;
}

/// A script being played over a connection.
pub(crate) struct Session<'a> {
    driver: Driver<'a, Guard>,
    watch: Watch,
    /// At the last look, an operation waited in vain.
    is_suspect: bool,
}

impl<'a> Session<'a> {
    /// Plays `script` over `stream`, which has agreed with its peer on the script.
    pub(crate) fn new(
        id: u64,
        stream: TcpStream,
        script: &'a Script,
        is_multiplexed: bool,
        watch: Watch,
    ) -> Self {
        let transport: Box<dyn Transport> = if is_multiplexed {
            Box::new(multiplexed::Multiplexed::new(id, stream, script.peer_streams.len()))
        } else {
            Box::new(plain::Plain::new(id, stream))
        };
        let guard = Guard::new(transport, AfterPeerEnd::of(script), script.peer_streams.len());
        Self { driver: Driver::new(script, guard), watch, is_suspect: false }
    }

    /// Plays on, until the script is done and both sides have closed.
    ///
    /// The library's driver gets the time anew for every operation of a stream; [`turns`] says why.
    pub(crate) fn poll<T: Trace, Ch: Checkpoints>(
        &mut self,
        trace: &mut T,
        checkpoints: &mut Ch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        for _ in 0..LOOKS_PER_TURN_MAX {
            self.driver.connection.begin_look();
            let now = self.watch.now();
            let result = self.driver.poll(trace, checkpoints, now, cx);
            if result.is_ready() {
                return result;
            }
            if !self.driver.connection.has_more_to_do() {
                return self.check_waiting(now, cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Fails a script that waits for a peer that has gone, with no timer to end the wait.
    fn check_waiting(&mut self, now: Timestamp, cx: &Context<'_>) -> Poll<Result<()>> {
        let waits_in_vain = self.driver.connection.awaits_timer() && next_timer(&self.driver, now).is_none();
        if waits_in_vain && self.is_suspect {
            return Poll::Ready(Err(ConnectionError::PeerLeft.into()));
        }
        if waits_in_vain {
            // A timer may have ended the operation at the same look: only one that still waits is in vain.
            cx.waker().wake_by_ref();
        }
        self.is_suspect = waits_in_vain;
        Poll::Pending
    }
}

impl Provider for Session<'_> {
    fn timers<Q: Query>(&self, query: &mut Q) -> TimerResult {
        self.driver.timers(query)
    }
}

impl netbench::client::Connection for Session<'_> {
    fn id(&self) -> u64 {
        netbench::Connection::id(&self.driver.connection)
    }

    fn poll<T: Trace, Ch: Checkpoints>(
        &mut self,
        trace: &mut T,
        checkpoints: &mut Ch,
        _now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        Self::poll(self, trace, checkpoints, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::collections::HashSet;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Plays a script with a peer that has sent these bytes and closed its side before the script begins.
    fn play(script: &str, sent_by_peer: &[u8], is_multiplexed: bool) -> Result<()> {
        let script: Script = serde_json::from_str(script).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.write_all(sent_by_peer).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = TcpStream::from_std(socket).unwrap();
            let mut clock = Clock::start();
            let mut session = Session::new(0, stream, &script, is_multiplexed, clock.watch());
            let mut trace = netbench::trace::Disabled::default();
            let mut checkpoints = HashSet::new();
            let playing = std::future::poll_fn(|cx| {
                clock.poll(&mut session, cx, |session, _now, cx| {
                    session.poll(&mut trace, &mut checkpoints, cx)
                })
            });
            tokio::time::timeout(LIMIT, playing).await.expect("the script does not end")
        })
    }

    /// The frames of a stream that is opened for sending, carries three bytes, and is finished.
    fn short_stream(id: u8) -> Vec<u8> {
        const REMOTE: u8 = 1;
        let id = [0, 0, 0, 0, 0, 0, 0, id];
        let opened = [&[0][..], &id, &[0]].concat();
        let data = [&[1][..], &id, &[REMOTE], &[0, 0, 0, 3], b"abc"].concat();
        let finished = [&[2][..], &id, &[REMOTE]].concat();
        [opened, data, finished].concat()
    }

    #[test]
    fn streams_of_a_connection_that_is_over_are_still_accepted() {
        let script = r#"{"peer_streams":[
            [{"receive":{"stream_id":0,"bytes":3}},{"receive_finish":{"stream_id":0}}],
            [{"receive_all":{"stream_id":1}},{"receive_finish":{"stream_id":1}}]]}"#;
        let sent = [short_stream(0), short_stream(1)].concat();
        play(script, &sent, true).unwrap();
    }

    #[test]
    fn what_does_not_come_any_more_is_an_error_and_no_wait() {
        let missing = |sent: &[u8], script, is_multiplexed| {
            let error = play(script, sent, is_multiplexed).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&ConnectionError::PeerLeft), "{error}");
        };
        let receive = r#"{"peer_streams":[[{"receive":{"stream_id":0,"bytes":4}}]]}"#;
        missing(b"abc", receive, false);
        missing(&short_stream(0), receive, true);
        missing(&short_stream(0)[..20], receive, true);
        missing(b"", receive, true);
        // Waits as long as its time lasts, then for a receive that no time limits.
        let timed = r#"{"peer_streams":[[
            {"iterate":{"value":{"time":{"amount_ms":20}},"operations":[{"receive":{"stream_id":0,"bytes":4}}]}},
            {"receive":{"stream_id":0,"bytes":4}}]]}"#;
        missing(b"abc", timed, false);
        missing(&short_stream(0), timed, true);
    }

    #[test]
    fn what_came_in_time_is_enough() {
        for script in [
            r#"{"peer_streams":[[{"receive":{"stream_id":0,"bytes":3}}]]}"#,
            r#"{"peer_streams":[[{"receive":{"stream_id":0,"bytes":1}},{"receive":{"stream_id":0,"bytes":2}}]]}"#,
            r#"{"peer_streams":[[{"receive_all":{"stream_id":0}}]]}"#,
            r#"{"peer_streams":[[{"receive":{"stream_id":0,"bytes":1}}]]}"#,
        ] {
            play(script, b"abc", false).unwrap();
            play(script, &short_stream(0), true).unwrap();
        }
    }

    #[test]
    fn garbage_in_place_of_frames_is_an_error() {
        let script = r#"{"peer_streams":[[{"receive":{"stream_id":0,"bytes":4}}]]}"#;
        for garbage in [&b"GET / HTTP/1.1"[..], &[255; 40], &[1; 40], &[2; 10]] {
            play(script, garbage, true).unwrap_err();
        }
    }
}
