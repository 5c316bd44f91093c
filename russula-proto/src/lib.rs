//! Russula, the synchronization protocol, as pure state machines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod outcome;
pub mod text;

pub use outcome::{Ending, Exit, Outcome, StartFailure};
pub use text::Text;
