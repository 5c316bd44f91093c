//! A program that does nothing: it runs at once, and ends at once when it is to end.

use backends::tcp::{Programs, ProgramsWake};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use russula_proto::{Exit, Group, Outcome, StartFailure, Text};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// `SIGTERM`, by which a program ends that was told to stop.
const SIGTERM: i32 = 15;

/// How often a program was started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Starts(Arc<AtomicU32>);

impl Starts {
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Holds programs until it is opened, once and for all.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<OwnedFd>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("a descriptor")))
    }

    pub(crate) fn open(&self) {
        rustix::io::write(&self.0, &1u64.to_ne_bytes()).expect("an eventfd takes one more");
    }

    fn source(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).expect("a poll") > 0
    }
}

/// How long a program runs.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    /// It ends by itself as soon as it was started.
    AtOnce,
    /// It runs until it is told to end.
    UntilTold,
    /// It ends by itself when the gate is open.
    UntilOpen(Gate),
}

impl Life {
    /// A server runs until it is told to end, a client ends by itself.
    pub(crate) fn usual(group: Group) -> Self {
        match group {
            Group::Server | Group::Probe => Self::UntilTold,
            Group::Client => Self::AtOnce,
        }
    }
}

/// A program that does nothing.
#[derive(Debug)]
pub(crate) struct NoOp {
    life: Life,
    is_running: bool,
    /// Whether the gate is an event source of the worker.
    is_watching: bool,
    stderr_tail_len: usize,
    starts: Starts,
    news: VecDeque<ProgramsWake>,
}

impl NoOp {
    pub(crate) fn new(life: Life, stderr_tail_len: usize, starts: Starts) -> Self {
        Self { life, is_running: false, is_watching: false, stderr_tail_len, starts, news: VecDeque::new() }
    }

    /// The outcome of a no-op with a stderr tail of `stderr_tail_len` bytes.
    pub(crate) fn outcome(exit: Exit, stderr_tail_len: usize) -> Outcome {
        Outcome {
            exit,
            duration_us: 1,
            cpu_us: 2,
            max_rss_bytes: 3,
            voluntary_switches: 4,
            involuntary_switches: 5,
            stderr_tail: Text::tail_of(&"e".repeat(stderr_tail_len)),
        }
    }

    /// How a no-op of `group` ends in a repetition that nothing went wrong in.
    pub(crate) fn usual_outcome(group: Group, stderr_tail_len: usize) -> Outcome {
        let exit = match group {
            Group::Server | Group::Probe => Exit::Signal(SIGTERM),
            Group::Client => Exit::Code(0),
        };
        Self::outcome(exit, stderr_tail_len)
    }

    fn end(&mut self, exit: Exit) {
        if std::mem::take(&mut self.is_running) {
            self.news.push_back(ProgramsWake::Ended(Self::outcome(exit, self.stderr_tail_len)));
        }
    }
}

impl Programs for NoOp {
    fn start(&mut self, _: u16, _: u32, registry: &Registry, token: Token) -> Result<(), StartFailure> {
        assert!(!self.is_running, "one program at a time");
        self.starts.0.fetch_add(1, Ordering::SeqCst);
        self.is_running = true;
        self.news.push_back(ProgramsWake::Started);
        match &self.life {
            Life::AtOnce => self.end(Exit::Code(0)),
            Life::UntilTold => {}
            Life::UntilOpen(gate) => {
                let registered = registry.register(&mut SourceFd(&gate.source()), token, Interest::READABLE);
                registered.expect("it is not registered yet");
                self.is_watching = true;
            }
        }
        Ok(())
    }

    fn terminate(&mut self) {
        self.end(Exit::Signal(SIGTERM));
    }

    fn kill(&mut self) {
        self.end(Exit::Signal(9));
    }

    fn wake(&mut self, registry: &Registry) -> Option<ProgramsWake> {
        if let Life::UntilOpen(gate) = &self.life {
            let (is_over, source) = (self.is_running && gate.is_open(), gate.source());
            if is_over {
                self.end(Exit::Code(0));
            }
            if !self.is_running && std::mem::take(&mut self.is_watching) {
                registry.deregister(&mut SourceFd(&source)).expect("it is registered");
            }
        }
        self.news.pop_front()
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
