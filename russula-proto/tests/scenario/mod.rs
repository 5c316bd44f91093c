//! The language of the scenario files.
//!
//! A command is a line of words; `key=value` gives an option and `"..."` keeps blanks together (with `\r`,
//! `\n` and `\"`). A host is `server 0`, a group `server`, `client` or `probe`.

mod command;
mod words;

use crate::harness::{Kind, World};

/// A world that is driven by lines of text.
pub(crate) struct Scenario {
    world: World,
    /// Entries of the log that were shown already.
    shown: usize,
    /// Text of commands that only look.
    notes: String,
    hidden: Vec<Kind>,
}

impl Scenario {
    pub(crate) fn new() -> Self {
        Self { world: World::new(0), shown: 0, notes: String::new(), hidden: vec![Kind::Socket] }
    }

    /// The log since the last call.
    pub(crate) fn take_log(&mut self) -> String {
        let mut out = String::new();
        for entry in &self.world.log[self.shown..] {
            if !self.hidden.contains(&entry.kind) {
                out.push_str(&entry.to_string());
                out.push('\n');
            }
        }
        self.shown = self.world.log.len();
        out.push_str(&std::mem::take(&mut self.notes));
        out
    }
}
