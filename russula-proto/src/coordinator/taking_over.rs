//! A repetition that another process began and did not bring to its end.

use super::Coordinator;
use super::peer::Peer;
use crate::time::Timestamp;
use crate::wire::Memory;
use crate::workflow::Milestone;

impl Coordinator {
    /// Takes over repetition `repetition` with `program`, which another process of this session began before it
    /// died, and had told to go as far as `asked`. `memories` are [`Self::memories`] of that process: `None` for workers
    /// that were never heard.
    ///
    /// What the workers did is heard from them. Nothing is done again, and a worker that has forgotten what it
    /// did fails the repetition.
    ///
    /// # Panics
    /// As [`Self::begin`].
    pub fn take_over(
        &mut self,
        repetition: u32,
        program: u16,
        asked: Option<Milestone>,
        memories: &[Option<Memory>],
        now: Timestamp,
    ) {
        self.begin_with(repetition, program, now);
        for (peer, memory) in self.peers.iter_mut().zip(memories) {
            peer.memory = *memory;
        }
        self.is_taken_over = true;
        self.is_start_inherited = asked > Some(Milestone::Ready);
        self.till = asked;
        self.settle(now);
    }

    /// What each worker remembered when it last had something to do in this repetition, by index: what another process
    /// needs to know to take over from this one. To be read once the repetition was begun, and again before a group is
    /// told to start: who has connected in between counts.
    pub fn memories(&self) -> impl Iterator<Item = Option<Memory>> {
        let now = |peer: &Peer| peer.welcome.as_ref().map(|welcome| welcome.memory);
        self.peers.iter().map(move |peer| peer.memory.or(now(peer)))
    }
}
