//! `--pause`: the servers go on after the clients are done, until somebody presses Enter.

use backends::tcp::Coordinators;
use mio::Token;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};

/// Enter on stdin, as an answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nobody is asked: it was not wanted, or nobody can answer (any more).
    Off,
    /// Nobody has been asked yet; what is typed ahead is no answer.
    NotAsked,
    /// The next line is the answer.
    Asked,
}

impl Pause {
    /// A pause, if one is `wanted`; [`Self::handle_ready`] is to be called whenever `token` is ready.
    pub(super) fn new(wanted: bool, coordinators: &mut Coordinators, token: Token) -> io::Result<Self> {
        if !wanted {
            return Ok(Self::Off);
        }
        let stdin = io::stdin().as_raw_fd();
        match coordinators.register(&mut SourceFd(&stdin), token) {
            Ok(()) => Ok(Self::NotAsked),
            // A file, or /dev/null (`epoll_ctl(2)`).
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Self::Off),
            Err(error) => Err(error),
        }
    }

    /// Whether the user is to be asked before the servers are stopped.
    pub(super) fn is_on(self) -> bool {
        self != Self::Off
    }

    /// A new repetition, in which nobody has been asked yet.
    pub(super) fn begin(&mut self) {
        if self.is_on() {
            *self = Self::NotAsked;
        }
    }

    /// The user is being asked.
    pub(super) fn ask(&mut self) {
        if self.is_on() {
            *self = Self::Asked;
        }
    }

    /// Reads what was typed; returns whether the servers need not wait for it any longer.
    pub(super) fn handle_ready(&mut self) -> bool {
        let before = *self;
        let mut bytes = [0; 1024];
        // One event may stand for any number of lines.
        while self.is_on() && is_readable() {
            match rustix::io::read(io::stdin(), &mut bytes) {
                // At the end of stdin nobody can answer any more.
                Ok(0) => *self = Self::Off,
                Ok(len) if bytes[..len].contains(&b'\n') => self.begin(),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!("stdin cannot be read: {error}");
                    *self = Self::Off;
                }
            }
        }
        *self == Self::Off || (before == Self::Asked && *self == Self::NotAsked)
    }
}

fn is_readable() -> bool {
    let stdin = io::stdin();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&at_once)).is_ok_and(|n| n > 0)
}
