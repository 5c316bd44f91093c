//! The rules that hold for every transport.

use super::Transport;
use super::turns::{Lane, Turns};
use crate::error::ConnectionError;
use crate::scenario::AfterPeerEnd;
use netbench::connection::Owner;
use netbench::{Connection, Result};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// Longest wait, at the end of a script, for the peer to close its side.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A receive operation for more bytes than this is a `receive_all`, for which the library asks "all there are".
const EXACT_RECEIVE_MAX: u64 = u64::MAX / 2;

/// A transport under rules.
pub(super) struct Guard {
    transport: Box<dyn Transport>,
    after_peer_end: AfterPeerEnd,
    peer_streams: usize,
    turns: Turns,
    awaits_timer: bool,
    has_seen_peer_leave: bool,
    close_deadline: Option<Pin<Box<Sleep>>>,
}

impl Guard {
    /// `peer_streams`: how many streams of the peer the script knows.
    pub(super) fn new(
        transport: Box<dyn Transport>,
        after_peer_end: AfterPeerEnd,
        peer_streams: usize,
    ) -> Self {
        Self {
            transport,
            after_peer_end,
            peer_streams,
            turns: Turns::default(),
            awaits_timer: false,
            has_seen_peer_leave: false,
            close_deadline: None,
        }
    }

    /// To be called before each poll of the script.
    pub(super) fn begin_look(&mut self) {
        self.turns.begin_look();
        self.awaits_timer = false;
    }

    /// Whether an operation was put off to the next look. Nothing but that look will wake it.
    pub(super) fn has_more_to_do(&self) -> bool {
        self.turns.has_put_off()
    }

    /// Whether, at this look, an operation found the peer gone and can only be ended by a timer.
    pub(super) fn awaits_timer(&self) -> bool {
        self.awaits_timer
    }

    /// What an operation gives that cannot go on without the peer.
    fn peer_ended<T>(&mut self, ended: T) -> Poll<Result<T>> {
        match self.after_peer_end {
            AfterPeerEnd::Fail => Poll::Ready(Err(ConnectionError::PeerLeft.into())),
            AfterPeerEnd::AwaitTimer => {
                self.awaits_timer = true;
                Poll::Pending
            }
            AfterPeerEnd::End => Poll::Ready(Ok(ended)),
        }
    }

    /// What an operation gives, after what the transport gave.
    fn settle<T>(&mut self, result: Poll<Result<T>>, ended: T) -> Poll<Result<T>> {
        let has_ended = match &result {
            Poll::Pending => self.transport.has_peer_left(),
            Poll::Ready(Err(error)) => self.takes_for_end(error),
            Poll::Ready(Ok(_)) => false,
        };
        if has_ended { self.peer_ended(ended) } else { result }
    }

    /// Whether this error is, to this script, how a peer ends.
    fn takes_for_end(&self, error: &netbench::Error) -> bool {
        self.after_peer_end != AfterPeerEnd::Fail && is_gone(error)
    }
}

impl Connection for Guard {
    fn id(&self) -> u64 {
        self.transport.id()
    }

    fn poll_open_bidirectional_stream(&mut self, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = self.transport.poll_open_bidirectional_stream(id, cx);
        self.settle(result, ())
    }

    fn poll_open_send_stream(&mut self, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = self.transport.poll_open_send_stream(id, cx);
        self.settle(result, ())
    }

    fn poll_accept_stream(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u64>>> {
        let result = self.transport.poll_accept_stream(cx);
        let error = match &result {
            // The library has no answer to a stream that the script does not know: it panics.
            Poll::Ready(Ok(Some(id))) if *id >= self.peer_streams as u64 => {
                ConnectionError::UnknownStream { id: *id, count: self.peer_streams }
            }
            // Nor does it wake up a script that waits for a stream that does not come.
            Poll::Ready(Ok(None)) => ConnectionError::PeerLeft,
            Poll::Pending if self.transport.has_peer_left() => ConnectionError::PeerLeft,
            Poll::Ready(_) | Poll::Pending => return result,
        };
        Poll::Ready(Err(error.into()))
    }

    fn poll_send(&mut self, owner: Owner, id: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        if bytes == 0 {
            return Poll::Ready(Ok(0));
        }
        let lane = Lane { owner, stream: id, is_send: true };
        ready!(self.turns.poll(lane, self.transport.sends_per_look()));
        let result = self.transport.poll_send(owner, id, bytes, cx);
        if result.is_ready() {
            self.turns.count(lane);
        }
        self.settle(result, 0)
    }

    fn poll_receive(&mut self, owner: Owner, id: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        if bytes == 0 {
            return Poll::Ready(Ok(0));
        }
        let lane = Lane { owner, stream: id, is_send: false };
        ready!(self.turns.poll(lane, self.transport.sends_per_look()));
        let result = match self.transport.poll_receive(owner, id, bytes, cx) {
            Poll::Pending if self.transport.has_peer_left() => Poll::Ready(Ok(0)),
            result @ (Poll::Ready(_) | Poll::Pending) => result,
        };
        if result.is_ready() {
            self.turns.count(lane);
        }
        let is_end_of_stream = matches!(result, Poll::Ready(Ok(0)));
        if is_end_of_stream && bytes <= EXACT_RECEIVE_MAX {
            self.peer_ended(0)
        } else {
            self.settle(result, 0)
        }
    }

    fn poll_send_finish(&mut self, owner: Owner, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = self.transport.poll_send_finish(owner, id, cx);
        self.settle(result, ())
    }

    fn poll_receive_finish(&mut self, owner: Owner, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = self.transport.poll_receive_finish(owner, id, cx);
        // The end of the connection ends each of its streams.
        if result.is_pending() && self.transport.has_peer_left() { Poll::Ready(Ok(())) } else { result }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = self.transport.poll_progress(cx);
        if self.transport.has_peer_left() && !self.has_seen_peer_leave {
            // The operations were polled before this was known; nothing else would wake them.
            self.has_seen_peer_leave = true;
            cx.waker().wake_by_ref();
        }
        match &result {
            Poll::Ready(Err(error)) if self.takes_for_end(error) => self.peer_ended(()),
            Poll::Ready(_) | Poll::Pending => result,
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.transport.poll_finish(cx) {
            Poll::Ready(Err(error)) if self.takes_for_end(&error) => Poll::Ready(Ok(())),
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => {
                let deadline =
                    self.close_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_LIMIT)));
                deadline.as_mut().poll(cx).map(Ok)
            }
        }
    }
}

/// Whether this is the operating system's way to say that the peer has closed the connection.
pub(super) fn is_gone(error: &netbench::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
        )
    )
}
