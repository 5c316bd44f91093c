//! The second engine: the same machines over the streams of turmoil, which simulates the network of tokio.
//!
//! What the in-memory world does by function calls is done here by drivers of the real shape: hosts with software
//! that listens, dials, reads and writes, on streams with latency, reordering and back-pressure; hosts that stop and
//! come up again, ways that hold back or lose what is sent. An orchestrator that comes up again takes the run over
//! with what it had written down. What is seen goes to the same rules and the same reference model.
//!
//! The order of everything is decided by the seed: turmoil's generator has it, time is virtual, no host asks for a
//! clock or for randomness of its own, and no future chooses among others by lot. A panic on a host ends the run.
//!
//! turmoil does not send again what was lost. So nothing is ever lost on a connection that goes on: where a way
//! loses something, its connections break, as they would by the time-outs of a real system.

mod desk;
mod faults;
mod host;
mod journal;
mod mailbox;
mod network;
mod options;
mod orchestrator;
mod programs;
mod record;
mod run;
mod socket;
mod visitors;
mod worker;

use crate::check;
use crate::examine::{Finding, without_panic};
use crate::run::{Run, Sizes};
use crate::world::Entry;

pub use faults::{Fault, TimedFault};
pub use options::{Network, Options};

/// Name of the host of the coordinators.
const ORCHESTRATOR: &str = "orchestrator";

/// Makes the run of these options.
///
/// # Panics
/// If a host does.
pub fn run(options: Options) -> Run {
    run::play(options, None)
}

/// The same, with a trace in words, every line of which is shown to `reader` as soon as its turn is over.
///
/// # Panics
/// If a host does.
pub fn traced(options: Options, reader: fn(&Entry)) -> Run {
    run::play(options, Some(reader))
}

/// Makes the run of `seed` and holds every rule against it; a panic of a machine is a violation like the others.
pub fn examine(seed: u64, sizes: Sizes) -> Finding {
    let made = without_panic(|| {
        let run = run(Options::of(seed, sizes));
        let kinds = run.repetitions.iter().map(Run::kind).collect();
        Finding { seed, kinds, violations: check::violations(&run) }
    });
    made.unwrap_or_else(|violation| Finding { seed, kinds: vec![], violations: vec![violation] })
}
