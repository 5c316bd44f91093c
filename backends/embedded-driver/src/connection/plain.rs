//! One stream per connection, its bytes as they are: what the stock tcp driver does without `MULTIPLEX`.
//!
//! Differences to the library's `duplex::Connection`, which cannot be seen on the wire: it never reads more than the
//! operation asks for (the library does, and then counts below zero), writes straight to the socket (so there is
//! nothing that could be left unflushed), and closes each direction for itself.

use super::Transport;
use super::guard::is_gone;
use crate::error::ConnectionError;
use netbench::connection::Owner;
use netbench::{Connection, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes of one read; the buffer lies on the stack.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Reads of the end phase before other connections get their turn.
const DRAIN_READS_MAX: u32 = 16;

/// Most bytes of one write.
const WRITE_BYTES_MAX: usize = 512 * 1024;

/// What is sent. The value is that of the stock driver; nobody looks at it.
static PAYLOAD: [u8; WRITE_BYTES_MAX] = [42; WRITE_BYTES_MAX];

/// A connection with one stream.
pub(super) struct Plain {
    id: u64,
    stream: TcpStream,
    is_opened: bool,
    is_shut_down: bool,
}

impl Plain {
    /// A connection over `stream`.
    pub(super) fn new(id: u64, stream: TcpStream) -> Self {
        Self { id, stream, is_opened: false, is_shut_down: false }
    }

    fn open_stream(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_opened, true) {
            return Err(ConnectionError::SecondStream.into());
        }
        Ok(())
    }

    /// Reads at most `bytes` and forgets them; 0 at the end of the stream.
    fn poll_discard(&mut self, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        let mut memory = [MaybeUninit::<u8>::uninit(); READ_BYTES_MAX];
        let len = usize::try_from(bytes).unwrap_or(usize::MAX).min(READ_BYTES_MAX);
        let mut buffer = ReadBuf::uninit(&mut memory[..len]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len() as u64))
    }

    /// Tells the peer that nothing more comes.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.is_shut_down {
            let result = ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).map_err(netbench::Error::from);
            self.is_shut_down = true;
            if let Err(error) = result
                && !is_gone(&error)
            {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for Plain {
    /// Cannot be known: a peer that has ended its stream may still read. One that is gone is an error of the socket.
    fn has_peer_left(&self) -> bool {
        false
    }

    /// Each is a system call, which takes its time.
    fn sends_per_look(&self) -> u32 {
        1
    }
}

impl Connection for Plain {
    fn id(&self) -> u64 {
        self.id
    }

    fn poll_open_bidirectional_stream(&mut self, _: u64, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.open_stream().into()
    }

    fn poll_open_send_stream(&mut self, _: u64, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.open_stream().into()
    }

    /// The stream of the peer is there as soon as the connection is: nothing on the wire opens it.
    fn poll_accept_stream(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<u64>>> {
        self.open_stream().map(|()| Some(0)).into()
    }

    fn poll_send(&mut self, _: Owner, _: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        let len = usize::try_from(bytes).unwrap_or(usize::MAX).min(WRITE_BYTES_MAX);
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &PAYLOAD[..len]))?;
        Poll::Ready(Ok(sent as u64))
    }

    fn poll_receive(&mut self, _: Owner, _: u64, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        self.poll_discard(bytes, cx)
    }

    fn poll_send_finish(&mut self, _: Owner, _: u64, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_shutdown(cx)
    }

    /// Does not wait for the peer's end: a stock peer only closes at the end of its whole script.
    fn poll_receive_finish(&mut self, _: Owner, _: u64, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Reads until the peer has closed, too. To close a socket that holds unread bytes resets the connection
    /// (RFC 2525, section 2.17), which takes from the peer what it has not read yet.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_shutdown(cx))?;
        for _ in 0..DRAIN_READS_MAX {
            match ready!(self.poll_discard(u64::MAX, cx)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                // The script is done, and with it all that the connection was for.
                Err(error) if is_gone(&error) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
