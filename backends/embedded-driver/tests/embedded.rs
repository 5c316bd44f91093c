//! The embedded client against the embedded server.
#![cfg(target_os = "linux")]

mod support;

use backends::collector::Sample;
use std::time::Duration;
use support::{Driver, eventually, play, scenario, start_client, start_server};

const PLAIN: bool = false;
const MULTIPLEXED: bool = true;

/// Plays a scenario with one server; the client sends and receives exactly so many bytes, and the server the same
/// the other way round, without an error.
#[track_caller]
fn assert_bytes(name: &str, multiplex: bool, sent: u64, received: u64) {
    let (client, servers) = play(Driver::Embedded, Driver::Embedded, name, 1, multiplex);
    assert_eq!(client.bytes(), (sent, received), "{name}, client");
    assert_eq!(servers[0].bytes(), (received, sent), "{name}, server");
    assert_eq!((client.stderr.as_str(), servers[0].stderr.as_str()), ("", ""), "{name}");
    assert_eq!(servers[0].status.code(), Some(0));
}

#[test]
fn one_stream() {
    assert_bytes("single_stream", PLAIN, 1_000_000, 2_000_000);
    assert_bytes("single_stream", MULTIPLEXED, 1_000_000, 2_000_000);
}

#[test]
fn messages_back_to_back_are_told_apart() {
    assert_bytes("back_to_back", PLAIN, 100_012, 270_012);
    assert_bytes("back_to_back", MULTIPLEXED, 100_012, 270_012);
}

#[test]
fn requests_in_parallel_on_one_connection() {
    assert_bytes("parallel_requests", MULTIPLEXED, 4000, 1_200_006);
}

#[test]
fn several_streams_need_multiplexing() {
    let server = start_server(Driver::Embedded, &scenario("parallel_requests"), &[]);
    let client = start_client(Driver::Embedded, &scenario("parallel_requests"), &[server.port], &[]).wait();
    assert_eq!(client.status.code(), Some(1));
    assert!(client.stderr.contains("set MULTIPLEX=true"), "{}", client.stderr);
}

#[test]
fn much_in_both_directions_at_once() {
    assert_bytes("both_directions", MULTIPLEXED, 60_000_000, 60_000_000);
}

#[test]
fn streams_that_are_over_before_they_are_accepted() {
    assert_bytes("short_streams", MULTIPLEXED, 200, 0);
}

#[test]
fn a_rate_limit_is_kept_and_ends() {
    for multiplex in [PLAIN, MULTIPLEXED] {
        let (client, servers) = play(Driver::Embedded, Driver::Embedded, "rate_limited", 1, multiplex);
        assert_eq!(client.bytes(), (1000, 400_000));
        assert_eq!(servers[0].bytes(), (400_000, 1000));
        // Four windows of the sender, with three periods between them.
        assert!(client.duration >= Duration::from_millis(140), "{:?}", client.duration);
        assert_bytes("rate_limited_end", multiplex, 90_000, 0);
    }
}

#[test]
fn sleeps_take_their_time() {
    for multiplex in [PLAIN, MULTIPLEXED] {
        let (client, _) = play(Driver::Embedded, Driver::Embedded, "sleep", 1, multiplex);
        assert_eq!(client.bytes(), (30, 30));
        assert!(client.duration >= Duration::from_millis(290), "{:?}", client.duration);
    }
}

#[test]
fn many_connections_at_once() {
    assert_bytes("many_connections", PLAIN, 5000, 5_000_000);
    let (client, servers) = play(Driver::Embedded, Driver::Embedded, "many_connections", 1, MULTIPLEXED);
    assert_eq!(client.bytes(), (5000, 5_000_000));
    let sum = |ended: &support::Ended, of: fn(&backends::collector::Sample) -> u64| {
        ended.result().samples.iter().map(of).sum::<u64>()
    };
    assert_eq!(sum(&client, |sample| sample.connections), 50);
    assert_eq!(sum(&client, |sample| sample.connect_time.count), 50);
    assert_eq!(sum(&servers[0], |sample| sample.connections), 50);
    assert_eq!(sum(&servers[0], |sample| sample.accept), 50);
}

#[test]
fn the_end_of_a_stream_is_seen() {
    assert_bytes("receive_all", PLAIN, 10, 300_000);
    assert_bytes("receive_all", MULTIPLEXED, 10, 300_000);
    assert_bytes("half_close", PLAIN, 300_000, 20_000_000);
    assert_bytes("half_close", MULTIPLEXED, 300_000, 20_000_000);
}

#[test]
fn each_server_plays_its_own_part() {
    let (client, servers) = play(Driver::Embedded, Driver::Embedded, "two_servers", 2, PLAIN);
    assert_eq!(client.bytes(), (40, 4000));
    assert_eq!(servers[0].bytes(), (2000, 20));
    assert_eq!(servers[1].bytes(), (2000, 20));
}

#[test]
fn profiles_become_histograms() {
    let (client, _) = play(Driver::Embedded, Driver::Embedded, "profiles", 1, PLAIN);
    let file = client.result();
    assert_eq!(file.header.traces, ["ping", "pause", "iteration"]);
    let mut counts = [0; 3];
    for (id, histogram) in file.samples.iter().flat_map(|sample| &sample.profiles) {
        assert_eq!(histogram.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), histogram.stat.count);
        counts[usize::try_from(*id).unwrap()] += histogram.stat.count;
        if *id == 1 {
            // The pause of 20 ms; the library takes a timer for due up to 1 ms early.
            assert!((19_000..1_000_000).contains(&histogram.stat.total), "{histogram:?}");
            assert!(histogram.buckets[0].upper > 19_000);
        }
    }
    assert_eq!(counts, [20, 1, 5]);
}

#[test]
fn two_sides_with_a_time_each_end_without_an_error() {
    for multiplex in [PLAIN, MULTIPLEXED] {
        let (client, servers) = play(Driver::Embedded, Driver::Embedded, "timed", 1, multiplex);
        assert_eq!((client.stderr.as_str(), servers[0].stderr.as_str()), ("", ""));
        assert!(client.duration >= Duration::from_millis(290), "{:?}", client.duration);
        let (sent, received) = client.bytes();
        assert!(received > 0 && sent >= received, "{sent} {received}");
    }
}

#[test]
fn samples_come_while_the_script_runs() {
    let server = start_server(Driver::Embedded, &scenario("endless"), &[]);
    let client = start_client(Driver::Embedded, &scenario("endless"), &[server.port], &[]);
    let is_active = |sample: &&Sample| !sample.receive.is_empty();
    eventually("lines with bytes", || {
        client.result_so_far().is_some_and(|file| file.samples.iter().filter(is_active).count() > 5)
    });
    let client = client.stop();
    let samples = &client.result().samples;
    assert!(samples.iter().all(|sample| sample.memory > 100_000 && sample.memory < 100_000_000));
}
