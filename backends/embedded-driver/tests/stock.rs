//! The embedded driver against the stock tcp driver, in both directions. `NETBENCH_STOCK_DIR` says where the stock
//! driver is; without it these tests say that they are skipped.
//!
//! What a stock driver cannot do is left out: receive messages back to back on a plain
//! connection, see the end of a stream before the end
//! of the connection, end a script with an operation under a rate limit.
#![cfg(target_os = "linux")]

mod support;

use support::Driver::{Embedded, Stock};
use support::{play, stock_dir};

/// The scenario, whether it is multiplexed, and the bytes that the client sends and receives.
type Case = (&'static str, bool, u64, u64);

const CASES: [Case; 9] = [
    ("single_stream", false, 1_000_000, 2_000_000),
    ("single_stream", true, 1_000_000, 2_000_000),
    ("parallel_requests", true, 4000, 1_200_006),
    ("rate_limited", false, 1000, 400_000),
    ("rate_limited", true, 1000, 400_000),
    ("sleep", true, 30, 30),
    ("many_connections", false, 5000, 5_000_000),
    ("many_connections", true, 5000, 5_000_000),
    ("profiles", false, 20_005, 20_005),
];

#[test]
fn embedded_client_with_stock_server() {
    if stock_dir().is_none() {
        return;
    }
    for (name, multiplex, sent, received) in CASES {
        let (client, _) = play(Stock, Embedded, name, 1, multiplex);
        assert_eq!(client.bytes(), (sent, received), "{name}, multiplexed: {multiplex}");
    }
    let (client, _) = play(Stock, Embedded, "receive_all", 1, false);
    assert_eq!(client.bytes(), (10, 300_000));
    let (client, _) = play(Stock, Embedded, "two_servers", 2, false);
    assert_eq!(client.bytes(), (40, 4000));
}

#[test]
fn stock_client_with_embedded_server() {
    if stock_dir().is_none() {
        return;
    }
    for (name, multiplex, sent, received) in CASES {
        let (_, servers) = play(Embedded, Stock, name, 1, multiplex);
        assert_eq!(servers[0].bytes(), (received, sent), "{name}, multiplexed: {multiplex}");
        assert_eq!(servers[0].stderr, "", "{name}, multiplexed: {multiplex}");
    }
    let (_, servers) = play(Embedded, Stock, "receive_all", 1, false);
    assert_eq!(servers[0].bytes(), (300_000, 10));
}

#[test]
fn a_stock_server_sends_back_to_back() {
    if stock_dir().is_none() {
        return;
    }
    let (client, _) = play(Stock, Embedded, "server_back_to_back", 1, false);
    assert_eq!(client.bytes(), (5, 270_012));
    // Under multiplexing, the stock driver can receive back to back, too.
    let (client, _) = play(Stock, Embedded, "back_to_back", 1, true);
    assert_eq!(client.bytes(), (100_012, 270_012));
}
