//! The language of the scenario files.
//!
//! A command is a line of words; `key=value` gives an option and `"..."` keeps blanks together (with `\r`,
//! `\n` and `\"`). A host is `server 0`, a group `server`, `client` or `probe`.

mod command;
mod words;

use sim::world::{Breach, Kind, World};

/// A world that is driven by lines of text.
pub(crate) struct Scenario {
    world: World,
    /// Entries of the world's log that are in `out` already.
    shown: usize,
    /// What the next block shows.
    out: String,
    hidden: Vec<Kind>,
}

impl Scenario {
    pub(crate) fn new() -> Self {
        let mut world = World::traced(0);
        world.records = true;
        Self { world, shown: 0, out: String::new(), hidden: vec![Kind::Socket, Kind::Clock, Kind::Fault] }
    }

    /// What happened since the last call.
    pub(crate) fn take_log(&mut self) -> String {
        self.copy_log();
        std::mem::take(&mut self.out)
    }

    /// What did not hold of the caller's contract.
    pub(crate) fn breaches(&self) -> &[Breach] {
        &self.world.breaches
    }

    fn copy_log(&mut self) {
        for entry in &self.world.trace[self.shown..] {
            if !self.hidden.contains(&entry.kind) {
                self.out.push_str(&entry.to_string());
                self.out.push('\n');
            }
        }
        self.shown = self.world.trace.len();
    }
}
