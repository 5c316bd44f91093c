//! The right key and the right worker, and those that differ from them in one thing.

use russula_proto::{Group, Identity, Key};
use sim::toy_suite;

/// What is different about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differs {
    Nothing,
    Key,
    Run,
    Group,
    Index,
}

impl Differs {
    pub(crate) const ALL: [Self; 5] = [Self::Nothing, Self::Key, Self::Run, Self::Group, Self::Index];

    /// With primitives that cost next to nothing.
    pub(crate) fn toy_key(self) -> Key {
        Key::for_simulation(self.key_bytes(), toy_suite::resolver)
    }

    pub(crate) fn real_key(self) -> Key {
        Key::from_bytes(self.key_bytes())
    }

    fn key_bytes(self) -> [u8; Key::LEN] {
        let mut bytes = [7; Key::LEN];
        bytes[Key::LEN - 1] += u8::from(self == Self::Key);
        bytes
    }

    /// Worker `index` of `group`, or who is taken for it.
    pub(crate) fn identity(self, group: Group, index: u16) -> Identity {
        let run = if self == Self::Run { "rum" } else { "run" };
        let group = match (self, group) {
            (Self::Group, Group::Server) => Group::Client,
            (Self::Group, Group::Client | Group::Probe) => Group::Server,
            (Self::Nothing | Self::Key | Self::Run | Self::Index, group) => group,
        };
        let index = if self == Self::Index { index + 1 } else { index };
        Identity { run: run.parse().expect("letters are a run id"), group, index }
    }
}
