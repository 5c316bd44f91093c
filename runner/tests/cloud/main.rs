//! `runner ec2` as a user types it, against the emulated cloud: real commands, real drivers, real HTTP.
//!
//! `backends/ec2/emulated-cloud/install` makes what these tests need; `.ci/test` calls it.
#![cfg(all(target_os = "linux", feature = "ec2"))]

mod bad_input;
mod bench;
mod calls;
mod cloud;
mod deaths;
mod faults;
mod good_runs;
mod mixed;
mod options;
mod pages;
mod steps;
mod sweep;
