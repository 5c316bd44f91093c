//! A stream of turmoil as a socket that never blocks, in the shape of that of the real driver.

use ::turmoil::net::TcpStream;
use russula_proto::{Timestamp, Traffic};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::sleep;

use super::record::now;

/// Where every worker listens.
pub(super) const PORT: u16 = 4000;

/// What has become of a socket.
#[derive(Debug)]
pub(super) enum Ready {
    /// It takes bytes again.
    Writable,
    /// This many bytes are at the front of the buffer.
    Bytes(usize),
    /// The peer has closed its side.
    End,
    /// The connection broke.
    Broken(io::Error),
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// When the connection was made.
    pub(super) opened_at: Timestamp,
    /// What a kernel would have counted.
    pub(super) traffic: Traffic,
    /// It takes no bytes at the moment.
    is_full: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, opened_at: now(), traffic: Traffic::default(), is_full: false }
    }

    /// Writes once; returns how many bytes were taken, which is none if there is no room.
    ///
    /// # Errors
    /// If the connection is no more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full {
            return Ok(0);
        }
        match self.stream.try_write(bytes) {
            Ok(len) => {
                self.traffic.sent_bytes += len as u64;
                Ok(len)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_full = true;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Says what has become of the socket, as soon as something has.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Ready> {
        if self.is_full && pin!(self.stream.writable()).poll(context).is_ready() {
            self.is_full = false;
            return Poll::Ready(Ready::Writable);
        }
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut self.stream).poll_read(context, &mut buffer).map(|result| match result {
            Ok(()) if buffer.filled().is_empty() => Ready::End,
            Ok(()) => {
                self.traffic.received_bytes += buffer.filled().len() as u64;
                Ready::Bytes(buffer.filled().len())
            }
            Err(error) => Ready::Broken(error),
        })
    }
}

/// Waits until this true time; for ever, if there is none. Timers of tokio go by the millisecond, so it may be up
/// to one later.
pub(super) async fn alarm(at: Option<Timestamp>) {
    match at {
        Some(at) => sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}
