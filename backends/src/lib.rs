//! Everything of the netbench orchestrator that touches the outside world.

pub mod collector;
