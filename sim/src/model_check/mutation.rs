//! Ways to break the model, so that it can be seen to find something.

/// A fault in what surrounds the machines, which a rule has to catch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing is broken.
    #[default]
    None,
    /// A worker that is started anew gives itself out for the one that died.
    KeepsSession,
    /// The program is started as soon as its worker is ready.
    StartsWhenReady,
    /// A program that is to be stopped is not told so.
    NeverStopsPrograms,
    /// A worker is told that its program has succeeded, whatever it did.
    TellsAnotherOutcome,
    /// A worker that dies leaves its program behind.
    LeavesPrograms,
    /// Nobody is told that its time has come.
    StopsClocks,
    /// A process that takes over does not know how far the last one was, nor what the workers remember.
    TakesOverBlindly,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 7] = [
        Self::KeepsSession,
        Self::StartsWhenReady,
        Self::NeverStopsPrograms,
        Self::TellsAnotherOutcome,
        Self::LeavesPrograms,
        Self::StopsClocks,
        Self::TakesOverBlindly,
    ];
}
