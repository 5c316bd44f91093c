//! Mutations: faults put into the core on purpose. A checker that none of them turns red is not to be trusted.
//!
//! A mutation replaces one piece of the core's text by another. `cargo run -p sim --release --bin mutations`
//! applies each to a copy of the core, sweeps over some seeds, and expects the checker that is named to find it.
//! The plain tests only see to it that every mutation still applies.

mod table;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use table::MUTATIONS;

/// A fault that can be put into the core.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// Its name: what is broken.
    pub name: &'static str,
    /// The file, from the root of the workspace.
    pub file: &'static str,
    /// A piece of that file, which is there exactly once.
    pub from: &'static str,
    /// What takes its place.
    pub to: &'static str,
    /// The checker that has to find it, or [`PANIC`](crate::check::PANIC).
    pub caught_by: &'static str,
}

/// A mutation cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The core has changed: the table has to follow.
    #[error(
        "{name}: expected its text once in {file}, found it {found} times; the core has changed, see sim/src/mutations/table.rs"
    )]
    Text {
        /// The mutation.
        name: &'static str,
        /// The file.
        file: &'static str,
        /// How often the text is there.
        found: usize,
    },
}

impl Mutation {
    /// The text of its file in the workspace at `root`, with the mutation applied.
    ///
    /// # Errors
    /// If the file cannot be read, or does not contain the text exactly once.
    pub fn apply(&self, root: &Path) -> Result<String, MutationError> {
        let path = root.join(self.file);
        let text = fs::read_to_string(&path).map_err(|source| MutationError::Read { path, source })?;
        match text.matches(self.from).count() {
            1 => Ok(text.replace(self.from, self.to)),
            found => Err(MutationError::Text { name: self.name, file: self.file, found }),
        }
    }
}
