//! The exit codes, as `runner --help` lists them.

/// Bad input: nothing was started.
pub const INPUT: u8 = 2;
/// Hosts or infrastructure failed.
pub const INFRASTRUCTURE: u8 = 3;
/// A driver failed.
pub const DRIVER: u8 = 4;
/// A deadline passed.
pub const DEADLINE: u8 = 5;
/// The user interrupted it.
pub const INTERRUPTED: u8 = 130;
