//! Corners of the protocol that are easily got wrong, one machine or one small run at a time.

#[path = "../by_hand/mod.rs"]
mod by_hand;

mod coordinators;
mod farewell;
mod faults;
mod found;
mod fuzzed;
mod messages;
mod policies;
mod questions;
mod regressions;
mod starting;
mod strangers;
mod taking_over;
mod window;
