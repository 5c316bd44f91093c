//! What was seen of a run, written by every host and by whoever brings the faults.

use crate::model::Observation;
use crate::world::{Breach, Entry, Kind, Promise, Speaker};
use russula_proto::Timestamp;
use std::cell::RefCell;
use std::time::Duration;

/// Most breaches that are kept.
const BREACHES_MAX: usize = 10;

/// The record of a run. All hosts of a simulation share a thread, and one of these.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Reads the trace, if somebody wants to.
    reader: Option<fn(&Entry)>,
    seen: RefCell<Vec<(Timestamp, Observation)>>,
    /// Lines of the trace that were not read yet.
    trace: RefCell<Vec<Entry>>,
    breaches: RefCell<Vec<Breach>>,
}

/// The true time, for code that runs on a host.
pub(super) fn now() -> Timestamp {
    moment(::turmoil::sim_elapsed().expect("only hosts of a simulation ask for the time"))
}

/// The moment so long after the beginning of a simulation.
pub(super) fn moment(elapsed: Duration) -> Timestamp {
    Timestamp::ZERO + elapsed
}

impl Record {
    /// An empty one; with a trace in words, if somebody reads it.
    pub(super) fn new(reader: Option<fn(&Entry)>) -> Self {
        Self { reader, ..Self::default() }
    }

    /// Something was seen on a host.
    pub(super) fn note(&self, seen: Observation) {
        self.note_at(now(), seen);
    }

    /// Something was seen at `at`.
    pub(super) fn note_at(&self, at: Timestamp, seen: Observation) {
        self.seen.borrow_mut().push((at, seen));
    }

    /// A line of the trace, from a host.
    pub(super) fn say(&self, who: impl Into<Speaker>, kind: Kind, text: impl FnOnce() -> String) {
        if self.reader.is_some() {
            self.say_at(now(), who, kind, text);
        }
    }

    /// A line of the trace.
    pub(super) fn say_at(
        &self,
        at: Timestamp,
        who: impl Into<Speaker>,
        kind: Kind,
        text: impl FnOnce() -> String,
    ) {
        if self.reader.is_some() {
            self.trace.borrow_mut().push(Entry { at, who: who.into(), kind, text: text() });
        }
    }

    /// A machine has not kept what it promises.
    pub(super) fn breach(&self, promise: Promise, text: String) {
        let mut breaches = self.breaches.borrow_mut();
        if breaches.len() < BREACHES_MAX {
            breaches.push(Breach { at: now(), promise, text });
        }
    }

    /// Whether a promise was broken.
    pub(super) fn is_broken(&self) -> bool {
        !self.breaches.borrow().is_empty()
    }

    /// How much was seen until now.
    pub(super) fn len(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Brings what was seen and said since a turn of all hosts began into the order of time; `from` is what there was
    /// then.
    ///
    /// Within a turn one host tells of a later moment before another one tells of an earlier one. What follows from
    /// something on another host is later by the latency, so that the order of time is one of causes too.
    pub(super) fn end_turn(&self, from: usize) {
        self.seen.borrow_mut()[from..].sort_by_key(|(at, _)| *at);
        let mut trace = self.trace.take();
        trace.sort_by_key(|entry| entry.at);
        if let Some(reader) = self.reader {
            trace.iter().for_each(reader);
        }
    }

    /// What was seen.
    pub(super) fn take_seen(&self) -> Vec<(Timestamp, Observation)> {
        self.seen.take()
    }

    /// What did not hold.
    pub(super) fn take_breaches(&self) -> Vec<Breach> {
        self.breaches.take()
    }
}
