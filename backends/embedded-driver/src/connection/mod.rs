//! One connection that plays a script, over TCP.
//!
//! ```text
//! Session    polls the library's driver, and fails a script that waits in vain
//!   Guard      rules for every transport: a turn's share, the peer's early end, a bounded end
//!     Plain      one stream, the bytes as they are
//!     Multiplexed  several streams, in the library's frames
//! ```

mod frame_stream;
mod guard;
mod multiplexed;
mod plain;

use crate::clock::next_timer;
use crate::error::ConnectionError;
use crate::scenario::AfterPeerEnd;
use guard::Guard;
use netbench::scenario::Connection as Script;
use netbench::timer::{Provider, Query, Result as TimerResult, Timestamp};
use netbench::{Checkpoints, Driver, Result, Trace};
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A connection as the library's drivers see it, with what they do not tell.
trait Transport: netbench::Connection + Send {
    /// Whether all that the peer sent has been read, and it will send no more.
    fn has_peer_closed(&self) -> bool;
}

/// A script being played over a connection.
pub(crate) struct Session<'a> {
    driver: Driver<'a, Guard>,
    /// In the last turn, an operation waited in vain.
    is_suspect: bool,
}

impl<'a> Session<'a> {
    /// Plays `script` over `stream`, which has agreed with its peer on the script.
    pub(crate) fn new(id: u64, stream: TcpStream, script: &'a Script, is_multiplexed: bool) -> Self {
        let transport: Box<dyn Transport> = if is_multiplexed {
            Box::new(multiplexed::Multiplexed::new(id, stream, script.peer_streams.len()))
        } else {
            Box::new(plain::Plain::new(id, stream))
        };
        let guard = Guard::new(transport, AfterPeerEnd::of(script), script.peer_streams.len());
        Self { driver: Driver::new(script, guard), is_suspect: false }
    }

    /// Plays on, until the script is done and both sides have closed.
    pub(crate) fn poll<T: Trace, Ch: Checkpoints>(
        &mut self,
        trace: &mut T,
        checkpoints: &mut Ch,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        self.driver.connection.begin_turn();
        let result = self.driver.poll(trace, checkpoints, now, cx);
        let waits_in_vain = result.is_pending()
            && self.driver.connection.awaits_timer()
            && next_timer(&self.driver, now).is_none();
        if !waits_in_vain {
            self.is_suspect = false;
            return result;
        }
        if self.is_suspect {
            return Poll::Ready(Err(ConnectionError::PeerLeft.into()));
        }
        // A timer may have ended that operation later in the same turn: only one that still waits is in vain.
        self.is_suspect = true;
        cx.waker().wake_by_ref();
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
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        Self::poll(self, trace, checkpoints, now, cx)
    }
}
