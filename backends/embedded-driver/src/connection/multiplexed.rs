//! Several streams per connection, in the frames of the library: what the stock tcp driver does with `MULTIPLEX`.

use super::Transport;
use super::frame_stream::{FrameStream, Shared};
use netbench::connection::Owner;
use netbench::{Connection, Result, multiplex};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A connection with several streams.
pub(super) struct Multiplexed {
    connection: multiplex::Connection<FrameStream>,
    shared: Arc<Shared>,
    streams_to_accept: usize,
}

impl Multiplexed {
    /// A connection over `stream` on which the script accepts `peer_streams` streams.
    pub(super) fn new(id: u64, stream: TcpStream, peer_streams: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let stream = FrameStream::new(stream, Arc::clone(&shared));
        // The limits of the stock driver, so that both are measured under the same flow control.
        let config = multiplex::Config::default();
        let connection = multiplex::Connection::new(id, Box::pin(stream), config);
        let this = Self { connection, shared, streams_to_accept: peer_streams };
        this.update_hold();
        this
    }

    /// The library accepts no stream any more once it has read the end of the connection, not even one that was
    /// opened before. So the end is held back from it until the last stream is accepted.
    fn update_hold(&self) {
        self.shared.hold_end(self.streams_to_accept > 0);
    }
}

impl Transport for Multiplexed {
    /// A multiplexed peer ends the connection at the end of its script, not with a stream. The library reads on only
    /// when it has taken in all that it read before, so nothing is left when it meets the end.
    fn has_peer_left(&self) -> bool {
        self.shared.is_at_end()
    }

    /// These only queue a frame of 32 KiB; all that is queued at one look is written at once.
    fn sends_per_look(&self) -> u32 {
        8
    }
}

impl Connection for Multiplexed {
    fn id(&self) -> u64 {
        self.connection.id()
    }

    fn poll_open_bidirectional_stream(&mut self, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_open_bidirectional_stream(id, cx)
    }

    fn poll_open_send_stream(&mut self, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_open_send_stream(id, cx)
    }

    fn poll_accept_stream(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u64>>> {
        let result = self.connection.poll_accept_stream(cx);
        if let Poll::Ready(Ok(Some(_))) = result {
            self.streams_to_accept = self.streams_to_accept.saturating_sub(1);
            self.update_hold();
        }
        result
    }

    fn poll_send(&mut self, owner: Owner, id: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        self.connection.poll_send(owner, id, bytes, cx)
    }

    fn poll_receive(&mut self, owner: Owner, id: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        self.connection.poll_receive(owner, id, bytes, cx)
    }

    fn poll_send_finish(&mut self, owner: Owner, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_send_finish(owner, id, cx)
    }

    fn poll_receive_finish(&mut self, owner: Owner, id: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_receive_finish(owner, id, cx)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_progress(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connection.poll_finish(cx)
    }
}
