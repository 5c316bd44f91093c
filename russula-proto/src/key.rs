//! The secret of a run.

use crate::noise::{Entropy, Suite};
use core::fmt;
use snow::resolvers::BoxedCryptoResolver;

/// The key that the coordinator and the workers of one run share, 32 bytes of a good random generator.
///
/// Whoever has it can drive the workers of the run; it is worth nothing once the run is over.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; Key::LEN],
    suite: Suite,
}

impl Key {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A key of these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self { bytes, suite: Suite::REAL }
    }

    /// A key for a simulation, whose connections use primitives of `resolver`: the same handshake and the
    /// same lengths, at whatever cost and strength those have. The resolver's random generator has to
    /// return the entropy that it is given.
    pub const fn for_simulation(
        bytes: [u8; Self::LEN],
        resolver: fn(Entropy) -> BoxedCryptoResolver,
    ) -> Self {
        Self { bytes, suite: Suite::of(resolver) }
    }

    /// Its bytes, for whoever hands it over.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }
}

impl fmt::Debug for Key {
    /// Not the key: a log is no place for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", Key::from_bytes([7; Key::LEN])), "Key(..)");
    }
}
