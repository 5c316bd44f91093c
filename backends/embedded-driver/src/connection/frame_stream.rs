//! The byte stream under the library's multiplexer, arranged around three of its faults.
//!
//! - Offered vectored writes, it spins for ever on a socket that is full: this stream does not offer them.
//! - It puts urgent frames at the front of its queue, even when the frame there is half written, which garbles the
//!   stream: this stream takes frames as a whole or not at all.
//! - It reads in pieces of 4 KiB and writes each header by itself: this stream buffers both.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read from the socket at once.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// No frame is begun while so many bytes wait to be written. A frame's body has 32 KiB at most (the library's
/// `max_stream_frame_len`), which bounds the buffer.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// Tag of the one frame that has a body (the library's `multiplex/frame.rs`).
const STREAM_DATA_TAG: u8 = 1;

/// Header of that frame: tag, stream (8 bytes), owner (1), length of the body (4, big endian).
const STREAM_DATA_HEADER_BYTES: usize = 14;

/// A TCP stream that carries frames.
pub(super) struct FrameStream {
    stream: BufReader<TcpStream>,
    shared: std::sync::Arc<Shared>,
    unwritten: Vec<u8>,
    /// How much at the front of `unwritten` is written already.
    written: usize,
    /// How much of the current frame's body is still to be taken.
    body_left: usize,
}

impl FrameStream {
    /// Frames over `stream`.
    pub(super) fn new(stream: TcpStream, shared: std::sync::Arc<Shared>) -> Self {
        let stream = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
        Self { stream, shared, unwritten: Vec::new(), written: 0, body_left: 0 }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.unwritten.len() {
            let written =
                ready!(Pin::new(self.stream.get_mut()).poll_write(cx, &self.unwritten[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.unwritten.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for FrameStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return self.shared.poll_end(cx).map(Ok);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FrameStream {
    /// The library hands over one header or one body at a time.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(bytes.len());
        } else {
            if self.unwritten.len() >= WRITE_BUFFER_BYTES {
                ready!(self.poll_write_out(cx))?;
            }
            self.body_left = body_bytes(bytes);
        }
        self.unwritten.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_out(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

/// Length of the body that follows this header.
fn body_bytes(header: &[u8]) -> usize {
    match header.first_chunk::<STREAM_DATA_HEADER_BYTES>() {
        Some([STREAM_DATA_TAG, .., a, b, c, d]) => {
            usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX)
        }
        Some(_) | None => 0,
    }
}

/// What is known of the end of the stream, in reach of the one who owns the multiplexer that owns the stream.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<End>);

#[derive(Debug, Default)]
struct End {
    is_held: bool,
    is_reached: bool,
    reader: Option<Waker>,
}

impl Shared {
    /// Whether the reader is to wait at the end instead of seeing it.
    pub(super) fn hold_end(&self, is_held: bool) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_held = is_held;
        if !is_held && let Some(reader) = end.reader.take() {
            reader.wake();
        }
    }

    /// Whether the end of the stream has been reached, held back or not.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_reached
    }

    fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_reached = true;
        if end.is_held {
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_data_header(body_bytes: usize) -> [u8; STREAM_DATA_HEADER_BYTES] {
        let mut header = [0; STREAM_DATA_HEADER_BYTES];
        header[0] = STREAM_DATA_TAG;
        header[10..].copy_from_slice(&u32::try_from(body_bytes).unwrap().to_be_bytes());
        header
    }

    #[test]
    fn only_stream_data_has_a_body() {
        let mut header = stream_data_header(0x8000);
        for (tag, expected) in [(0, 0), (STREAM_DATA_TAG, 0x8000), (2, 0), (4, 0), (255, 0)] {
            header[0] = tag;
            assert_eq!(body_bytes(&header), expected, "tag {tag}");
        }
        assert_eq!(body_bytes(&[]), 0);
        assert_eq!(body_bytes(&[STREAM_DATA_TAG]), 0);
    }

    #[test]
    fn a_frame_is_taken_as_a_whole_or_not_at_all() {
        const BODY_BYTES: usize = 32 * 1024;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut stream = FrameStream::new(socket, std::sync::Arc::default());
            let mut cx = Context::from_waker(Waker::noop());
            // The peer reads nothing, so the socket gets full. The buffer has room for a header, no more.
            let mut sent = 0;
            while let Poll::Ready(written) =
                Pin::new(stream.stream.get_mut()).poll_write(&mut cx, &[0; BODY_BYTES])
            {
                sent += written.unwrap();
            }
            stream.unwritten = vec![1; WRITE_BUFFER_BYTES - 1];
            let header = stream_data_header(BODY_BYTES);
            for part in [&header[..], &[2; BODY_BYTES]] {
                let taken = Pin::new(&mut stream).poll_write(&mut cx, part);
                assert!(matches!(taken, Poll::Ready(Ok(bytes)) if bytes == part.len()), "{taken:?}");
            }
            assert!(Pin::new(&mut stream).poll_write(&mut cx, &header).is_pending());
            let expected = [&vec![0; sent], &stream.unwritten[..]].concat();

            let reading = tokio::spawn(async move {
                let mut received = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut received).await.unwrap();
                received
            });
            std::future::poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.unwrap();
            assert!(reading.await.unwrap() == expected, "the bytes are not those that were written");
        });
    }
}
