//! What tells a worker from outside to end: SIGTERM, SIGINT, SIGHUP, and on request the end of its stdin.

use crate::signals::EndSignals;
use crate::tcp::Shutdown;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;

/// Signals and stdin as event sources.
#[derive(Debug)]
pub(super) struct HostSignals {
    signals: EndSignals,
    with_stdin: bool,
}

impl HostSignals {
    /// From now on the signals are events. Fails when the end of stdin is to be one and cannot be.
    pub(super) fn new(with_stdin: bool) -> io::Result<Self> {
        if with_stdin {
            require_pollable_stdin()?;
        }
        Ok(Self { signals: EndSignals::new()?, with_stdin })
    }
}

impl Shutdown for HostSignals {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.signals, token, Interest::READABLE)?;
        if self.with_stdin {
            let stdin = io::stdin().as_raw_fd();
            registry.register(&mut SourceFd(&stdin), token, Interest::READABLE)?;
        }
        Ok(())
    }

    fn is_requested(&mut self) -> bool {
        if self.signals.take() > 0 {
            tracing::warn!("a signal tells this worker to end");
            return true;
        }
        if self.with_stdin && stdin_has_ended() {
            tracing::warn!("whoever started this worker is gone");
            return true;
        }
        false
    }
}

/// There is no event for the end of a file, nor for that of `/dev/null` (`EPERM` of `epoll_ctl(2)`).
fn require_pollable_stdin() -> io::Result<()> {
    let stdin = io::stdin().as_raw_fd();
    let registered = Poll::new()?.registry().register(&mut SourceFd(&stdin), Token(0), Interest::READABLE);
    match registered {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let reason = "with --exit-with-stdin, stdin has to be a pipe, a socket or a terminal";
            Err(io::Error::new(error.kind(), reason))
        }
        registered => registered,
    }
}

/// Reads what there is; stdin is a pipe that nobody writes to, so a read means the end.
fn stdin_has_ended() -> bool {
    let mut bytes = [0; 64];
    match io::stdin().lock().read(&mut bytes) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::Interrupted,
    }
}
