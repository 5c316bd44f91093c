//! The drivers that run the core over TCP: one thread, non-blocking, built on mio.
//!
//! They hold sockets and nothing else. Whatever could be a decision (framing, who may connect, when to
//! dial again, what to say) is in the core, where the simulator runs it.

mod coordinators;
mod socket;
mod worker;

pub use coordinators::{Coordinators, GroupId, Notice, RunTillError, WAKEUP_TOKENS};
pub use worker::{Programs, ProgramsWake, Shutdown, WorkerDriver};

/// Bytes read from a socket at once, unless a test makes it less.
const READ_BUFFER_LEN: usize = 16 * 1024;
