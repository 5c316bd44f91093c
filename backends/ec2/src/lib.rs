//! Hosts of a netbench run on EC2: launched, prepared through SSM, collected from through S3, and given back.
//!
//! ```text
//! api       the clients of one account and region; every call has a deadline, and an error that names it
//! names     what the things of a run are called
//! ```
//!
//! Everything that a run creates bears its tags, is written to its journal before it is created, and is found again
//! by either. Only `runner` depends on this crate, behind its feature `ec2`.

pub mod api;
pub mod hosts;
pub mod infrastructure;
pub mod names;
pub mod stack;
