//! The quiet window over real sockets: our counts of it, and what the kernel says to them.

use crate::common::within;
use crate::proxy::{End, Path, Proxy, Strike};
use crate::two_groups::{Hosts, TwoGroups, agreement};
use russula_proto::coordinator::Event;
use russula_proto::{Quiet, QuietWindow, RepetitionPhase};
use std::time::Duration;

/// How long the clients run at least.
const WINDOW: Duration = Duration::from_millis(100);

/// A repetition of two servers and three clients, with `disturb` in its quiet window.
fn window_with(disturb: impl FnOnce(&mut TwoGroups, &[Proxy])) -> QuietWindow {
    let hosts = Hosts::start(2, 3, |plan| plan);
    let clients = hosts.clients.addresses();
    let paths: Vec<Proxy> = clients.into_iter().map(|address| Proxy::start(address, Path::sound())).collect();
    let addresses = paths.iter().map(|path| path.address).collect();
    let mut groups = TwoGroups::begin(hosts.servers.addresses(), addresses);
    groups.advance_to_window();
    // Time has to pass here: that nothing is said in it is what is tested.
    while let Some(notice) = groups.coordinators.wait(Some(WINDOW)).unwrap() {
        println!("{notice:?}");
    }
    disturb(&mut groups, &paths);
    hosts.gate.open();
    groups.advance_to(RepetitionPhase::Over);
    groups.assert_well();
    hosts.assert_starts(1);
    let window = groups.quiet().expect("there was a window");
    groups.finish(&hosts);
    window
}

#[test]
fn nothing_is_said_in_an_undisturbed_window_and_the_kernel_agrees() {
    within("a quiet window", || {
        let window = window_with(|_, _| {});
        let silence = Quiet { bytes: 0, kernel: agreement() };
        assert_eq!((window.coordinators, window.clients), (silence, silence));
        assert!(window.duration >= WINDOW, "{:?}", window.duration);
    });
}

#[test]
fn a_connection_that_breaks_and_comes_back_in_the_window_shows_on_both_sides() {
    for strike in [Strike::End, Strike::Reset, Strike::Forgotten(End::Coordinator)] {
        within("a disturbed window", move || {
            let window = window_with(|groups, paths| {
                paths[1].strike(strike);
                let id = groups.clients;
                crate::wait_for(&mut groups.coordinators, id, "the next connection", |event| {
                    *event == Event::Connected(1)
                });
            });
            // A handshake, a hello and a welcome at the least.
            for side in [window.coordinators, window.clients] {
                assert!(side.bytes > 150, "{strike:?}: {side:?}");
                assert_eq!(side.kernel, agreement(), "{strike:?}");
            }
        });
    }
}
