//! A program that does nothing: it runs at once, and ends at once when it is to end.

use backends::tcp::{Programs, ProgramsWake};
use mio::{Registry, Token};
use russula_proto::{Exit, Group, Outcome, StartFailure, Text};
use std::collections::VecDeque;
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

/// A server runs until it is told to end; a client ends by itself as soon as it was started.
#[derive(Debug)]
pub(crate) struct NoOp {
    ends_by_itself: bool,
    is_running: bool,
    stderr_tail_len: usize,
    starts: Starts,
    news: VecDeque<ProgramsWake>,
}

impl NoOp {
    pub(crate) fn new(group: Group, stderr_tail_len: usize, starts: Starts) -> Self {
        let ends_by_itself = match group {
            Group::Server | Group::Probe => false,
            Group::Client => true,
        };
        Self { ends_by_itself, is_running: false, stderr_tail_len, starts, news: VecDeque::new() }
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
    fn start(&mut self, _: u16, _: u32, _: &Registry, _: Token) -> Result<(), StartFailure> {
        assert!(!self.is_running, "one program at a time");
        self.starts.0.fetch_add(1, Ordering::SeqCst);
        self.is_running = true;
        self.news.push_back(ProgramsWake::Started);
        if self.ends_by_itself {
            self.end(Exit::Code(0));
        }
        Ok(())
    }

    fn terminate(&mut self) {
        self.end(Exit::Signal(SIGTERM));
    }

    fn kill(&mut self) {
        self.end(Exit::Signal(9));
    }

    fn wake(&mut self, _: &Registry) -> Option<ProgramsWake> {
        self.news.pop_front()
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
