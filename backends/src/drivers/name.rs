//! The name of a driver and the names of its programs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of a driver: 1 to 64 characters out of `a-z 0-9 -`, the first one not `-`.
///
/// It becomes part of file names, of a crate name and of the paths of results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverName(String);

impl DriverName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the driver that is part of this project; see [`EMBEDDED`](super::EMBEDDED).
    pub fn is_embedded(&self) -> bool {
        self.0 == super::EMBEDDED
    }
}

impl FromStr for DriverName {
    type Err = BadDriverName;

    fn from_str(name: &str) -> Result<Self, BadDriverName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        if fits && name.bytes().all(allowed) && !name.starts_with('-') {
            Ok(Self(name.into()))
        } else {
            Err(BadDriverName { name: name.into() })
        }
    }
}

impl TryFrom<String> for DriverName {
    type Error = BadDriverName;

    fn try_from(name: String) -> Result<Self, BadDriverName> {
        name.parse()
    }
}

impl From<DriverName> for String {
    fn from(name: DriverName) -> Self {
        name.0
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no name of a driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no driver name: expected 1 to {} characters out of a-z, 0-9 and -, the first one not -, \
     for instance s2n-quic",
    DriverName::MAX_LEN
)]
pub struct BadDriverName {
    /// The text.
    pub name: String,
}

/// The part that a program plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It waits for connections.
    Server,
    /// It makes connections.
    Client,
}

impl Role {
    /// Both roles, the server first.
    pub const ALL: [Self; 2] = [Self::Server, Self::Client];

    /// The file name of the program that plays this role for the driver `name`.
    pub fn program(self, name: &DriverName) -> String {
        format!("{}{name}", self.program_prefix())
    }

    /// The file name of a program in this role, without the name of the driver.
    pub(super) fn program_prefix(self) -> &'static str {
        match self {
            Self::Server => "s2n-netbench-driver-server-",
            Self::Client => "s2n-netbench-driver-client-",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}
