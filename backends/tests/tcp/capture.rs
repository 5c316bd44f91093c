//! Whoever records every byte of a run can read nothing of it but the lengths of its messages.

use crate::common::{WorkerPlan, within};
use crate::proxy::{Path, Proxy, Recording};
use crate::two_groups::{Hosts, TwoGroups};
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use russula_proto::wire::{CoordinatorMessage, Goal, LENGTH_PREFIX_LEN, Target, encode};
use russula_proto::{Milestone, RepetitionPhase};
use std::collections::BTreeSet;

/// Long enough that the text in the outcomes of the programs would be seen.
const STDERR_TAIL_LEN: usize = 4096;

/// Records a run of two servers and two clients, with a connection that is cut in it.
fn record() -> (String, Vec<Recording>) {
    let hosts = Hosts::start(2, 2, |plan| WorkerPlan { stderr_tail_len: STDERR_TAIL_LEN, ..plan });
    let paths = |addresses: Vec<_>| -> Vec<Proxy> {
        addresses.into_iter().map(|address| Proxy::start(address, Path::sound())).collect()
    };
    let (servers, clients) = (paths(hosts.servers.addresses()), paths(hosts.clients.addresses()));
    let addresses = |paths: &[Proxy]| paths.iter().map(|path| path.address).collect();
    let mut groups = TwoGroups::begin(addresses(&servers), addresses(&clients));
    groups.serve_until("every worker is ready", |groups| groups.have_reached(Milestone::Ready));
    clients[0].strike(crate::proxy::Strike::Reset);
    groups.advance_to_window();
    hosts.gate.open();
    groups.advance_to(RepetitionPhase::Over);
    groups.assert_well();
    groups.finish(&hosts);
    let all = servers.iter().chain(&clients).flat_map(Proxy::recordings).collect();
    (crate::common::run_id().to_string(), all)
}

#[test]
fn a_recorded_run_shows_nothing_but_lengths() {
    within("a recorded run", || {
        let (run, recordings) = record();
        assert!(recordings.len() > 4, "one connection was cut and made again");
        let mut sealed = Vec::new();
        for recording in &recordings {
            sealed.extend(without_lengths(&recording.up, REQUEST_LEN));
            sealed.extend(without_lengths(&recording.down, RESPONSE_LEN));
        }
        assert!(sealed.len() > 4 * STDERR_TAIL_LEN, "{} bytes", sealed.len());
        let words = ["russula", "server", "client", "worker", "no-op 1", "eeeeeeee", &run];
        let recorded: Vec<&[u8]> = recordings.iter().flat_map(|r| [&r.up[..], &r.down[..]]).collect();
        for word in words {
            assert!(!recorded.iter().any(|bytes| shows(bytes, word)), "{word:?} can be read");
        }
        assert!(is_uniform(&sealed), "the bytes are not like random ones");
        assert_eq!(repeated(&sealed), None, "the same bytes twice");
        let longest = longest_text(&sealed);
        assert!(longest < TEXT_MAX, "{longest} characters in a row");
    });
}

/// What this test looks for is found where it is.
#[test]
fn plain_messages_would_be_found() {
    let goal = Goal { repetition: 1, program: 0, target: Target::Ready, start_at: None };
    let message = encode(&CoordinatorMessage::Goal(goal));
    let plain = [&b"xxRUSSULA"[..], &message.repeat(400), &[b'e'; 3 * TEXT_MAX]].concat();
    assert!(shows(&plain, "russula"));
    assert!(!is_uniform(&plain));
    assert!(repeated(&plain).is_some());
    assert!(longest_text(&plain) >= TEXT_MAX);
}

/// One direction of a connection without the lengths of its frames.
fn without_lengths(mut bytes: &[u8], handshake_len: usize) -> Vec<u8> {
    let mut sealed = Vec::new();
    // A connection that was cut may have ended before this did.
    let (handshake, rest) = bytes.split_at(handshake_len.min(bytes.len()));
    sealed.extend_from_slice(handshake);
    bytes = rest;
    while let Some((prefix, rest)) = bytes.split_first_chunk::<LENGTH_PREFIX_LEN>() {
        let len = usize::from(u16::from_be_bytes(*prefix));
        assert!(len > TAG_LEN, "a frame of {len} bytes");
        let (frame, rest) = rest.split_at(len.min(rest.len()));
        sealed.extend_from_slice(frame);
        bytes = rest;
    }
    sealed
}

/// Whether `word` is among `bytes`, in letters of any case.
fn shows(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// The chi-squared test of the byte values. Random bytes fail it once in some ten million times.
fn is_uniform(bytes: &[u8]) -> bool {
    /// The mean of the distribution, of 255 degrees of freedom, and six times its deviation of √510.
    const LIMIT: f64 = 255.0 + 6.0 * 22.6;

    let mut counts = [0.0; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1.0;
    }
    let expected = bytes.len() as f64 / 256.0;
    let chi_squared: f64 =
        counts.iter().map(|count| (count - expected) * (count - expected) / expected).sum();
    println!("{} bytes, chi-squared {chi_squared:.0} of at most {LIMIT:.0}", bytes.len());
    chi_squared < LIMIT
}

/// Eight bytes that occur twice: a message that was sealed twice alike, or not at all.
fn repeated(bytes: &[u8]) -> Option<&[u8]> {
    let mut seen = BTreeSet::new();
    bytes.windows(8).find(|window| !seen.insert(*window))
}

/// More printable characters in a row than random bytes have: of 30,000, once in ten million times.
const TEXT_MAX: usize = 28;

fn longest_text(bytes: &[u8]) -> usize {
    let runs = bytes.split(|byte| !byte.is_ascii_graphic() && *byte != b' ');
    runs.map(<[u8]>::len).max().unwrap_or_default()
}
