//! Who a worker is: the run, the group and the place in the group that a connection is for.

use crate::text::Text;
use crate::workflow::Group;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Name of a run: 1 to 48 characters of `a-z`, `A-Z`, `0-9`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The longest name in bytes.
    pub const MAX_LEN: usize = 48;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(name: &str) -> Result<Self, InvalidRunId> {
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits && legal { Ok(Self(name.into())) } else { Err(InvalidRunId(Text::tail_of(name))) }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(name: String) -> Result<Self, InvalidRunId> {
        name.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// A string is no name for a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is no run id: expected 1 to 48 letters, digits, '-' or '_'", .0.as_str())]
pub struct InvalidRunId(Text<64>);

/// The worker that a connection is meant for.
///
/// The coordinator opens with it, the worker compares it with its own: a connection that was meant for
/// another run, group or worker is refused by both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The run.
    pub run: RunId,
    /// The group in the run.
    pub group: Group,
    /// The worker's place in its group, from 0.
    pub index: u16,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} worker {} of run {}", self.group, self.index, self.run)
    }
}

/// What a run is about, as far as both sides have to agree on it: a coordinator that works by another scenario
/// file or another list of drivers than its workers would file every figure under a wrong name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Work {
    /// Of the scenario file.
    pub scenario: Digest,
    /// Of the names of the drivers, in order.
    pub drivers: Digest,
}

/// A cryptographic digest; the caller chooses the function, both sides the same.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    /// The first eight bytes in hexadecimal, which is enough to tell two of them apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_run_id_is_checked_at_the_edge() {
        assert!("20261122-163355-3f9a".parse::<RunId>().is_ok());
        for bad in ["", "with space", "../up", "ü", &"x".repeat(49)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "a/b".parse::<RunId>().unwrap_err().to_string(),
            "\"a/b\" is no run id: expected 1 to 48 letters, digits, '-' or '_'"
        );
    }
}
