//! Russula: one [`Coordinator`] brings a group of [`Worker`]s through a workflow.
//!
//! This crate is the protocol and nothing else: no IO, no clock, no randomness. Time enters as `now`,
//! entropy as numbers in the configuration, bytes as slices. The same code runs over real sockets, in
//! simulated worlds and under a fuzzer.
//!
//! # The caller's contract
//!
//! **After every call that takes `now`, drain `poll_output` until it says `Wait`; then pass the next
//! input, or call `handle_timeout` when the time that it named has come.**
//!
//! `Transmit` means that `outgoing` has bytes: the caller writes as many as the socket takes and says so
//! with `handle_sent`, now and whenever the socket takes more. All of it, with a "network" that is two
//! function calls and a "program" that runs as soon as it is started:
//!
//! ```
//! use russula_proto::{
//!     ConnectionId, Coordinator, CoordinatorConfig, Exit, Group, Key, Milestone, Outcome, Timestamp, Worker,
//!     WorkerConfig, coordinator, worker,
//! };
//! # let identity = russula_proto::Identity { run: "demo".parse()?, group: Group::Server, index: 0 };
//! # let key = Key::from_bytes([1; Key::LEN]);
//! # let worker_config = WorkerConfig {
//! #     identity: identity.clone(), key: key.clone(), session: 7, programs: 1, program_version: Default::default(),
//! #     work: Default::default(),
//! #     limits: Default::default(),
//! # };
//! # let coordinator_config = CoordinatorConfig {
//! #     run: identity.run, group: Group::Server, workers: 1, limits: Default::default(), key, session: 1,
//! #     incarnation: 0, work: None,
//! # };
//! # let outcome = Outcome {
//! #     exit: Exit::Signal(15), duration_us: 1, cpu_us: 1, max_rss_bytes: 1, voluntary_switches: 0,
//! #     involuntary_switches: 0, stderr_tail: Default::default(),
//! # };
//! let now = Timestamp::ZERO;
//! let socket = ConnectionId(0);
//! let mut worker = Worker::new(worker_config);
//! let mut coordinator = Coordinator::new(coordinator_config, now);
//! coordinator.begin(1, 0, now);
//! coordinator.run_till(Milestone::Done, now);
//!
//! loop {
//!     let mut idle = true;
//!     loop {
//!         match coordinator.poll_output() {
//!             coordinator::Output::Dial(index) => {
//!                 worker.handle_accepted(socket, [2; 32], now); // a real driver draws these numbers
//!                 coordinator.handle_connected(index, [3; 32], now);
//!             }
//!             coordinator::Output::Transmit(index) => {
//!                 let bytes = coordinator.outgoing(index).to_vec();
//!                 coordinator.handle_sent(index, bytes.len(), now);
//!                 worker.handle_bytes(socket, &bytes, now);
//!             }
//!             coordinator::Output::Close(_) => worker.handle_end(socket, now),
//!             coordinator::Output::CheckKernel(_) => {} // there are no sockets whose bytes it could count
//!             coordinator::Output::Event(event) => println!("{event:?}"),
//!             coordinator::Output::Wait(_) => break,
//!         }
//!         idle = false;
//!     }
//!     loop {
//!         match worker.poll_output() {
//!             worker::Output::Transmit(_) => {
//!                 let bytes = worker.outgoing(socket).to_vec();
//!                 worker.handle_sent(socket, bytes.len(), now);
//!                 coordinator.handle_bytes(0, &bytes, now);
//!             }
//!             worker::Output::Close(_) => coordinator.handle_end(0, now),
//!             worker::Output::Start { .. } => worker.handle_started(now),
//!             worker::Output::Terminate | worker::Output::Kill => {
//!                 worker.handle_program_ended(outcome.clone(), now);
//!             }
//!             worker::Output::CheckKernel(_) => {}
//!             worker::Output::Event(event) => println!("{event}"),
//!             worker::Output::Finished(why) => println!("{why}"),
//!             worker::Output::Wait(_) => break,
//!         }
//!         idle = false;
//!     }
//!     if idle {
//!         break;
//!     }
//! }
//! assert_eq!(coordinator.reached(), Some(Milestone::Done));
//! assert_eq!(coordinator.peer(0).ending.and_then(|ending| ending.outcome()), Some(&outcome));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod coordinator;
mod identity;
mod key;
pub mod link;
pub mod noise;
pub mod outcome;
mod quiet;
mod repetition;
pub mod text;
mod time;
pub mod wire;
pub mod worker;
pub mod workflow;

pub use coordinator::{
    ClockOffset, Coordinator, CoordinatorConfig, CoordinatorLimits, Failure, PeerError, PeerView, StartSkew,
};
pub use identity::{Digest, Identity, InvalidRunId, RunId, Work};
pub use key::Key;
pub use link::{Link, LinkError};
pub use noise::Entropy;
pub use outcome::{Ending, Exit, Outcome, StartFailure};
pub use quiet::{KernelCheck, Quiet, Traffic};
pub use repetition::{QuietWindow, Repetition, RepetitionFacts, RepetitionPhase, Takeover};
pub use text::Text;
pub use time::Timestamp;
pub use wire::{Memory, Refusal, Stage, Target, Welcome};
pub use worker::{ConnectionId, Worker, WorkerConfig, WorkerLimits};
pub use workflow::{Group, Milestone};
