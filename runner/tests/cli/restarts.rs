//! A worker that is killed and started again while its coordinator lives, in every phase: what was lost fails its
//! repetition with a name, and the run goes on.

use crate::bench::{Bench, PATIENCE, Running};
use crate::processes::{descendants, has_ended};
use crate::resume::{
    CLIENT, DRIVERS, SERVER, SERVER_THAT_STOPS_LATE, TWICE, bench, expect_complete, expect_tidy, statuses,
};
use crate::workers::Workers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Server,
    Client,
}

/// Kills these workers, waits until all that they ran is gone as well, and starts them again.
fn restart(workers: &mut Workers, groups: &[Group]) {
    for group in groups {
        let worker = match group {
            Group::Server => &mut workers.server,
            Group::Client => &mut workers.client,
        };
        let started = descendants(worker.process().pid());
        worker.kill();
        let is_gone = started.iter().all(|process| has_ended(process, PATIENCE));
        assert!(is_gone, "what the {group:?} ran ends with it");
    }
    for group in groups {
        match group {
            Group::Server => workers.start_server(),
            Group::Client => workers.start_client(),
        }
    }
}

/// The orchestrator ends the first repetition. Only then may a client go on, which fails without its server.
#[track_caller]
fn expect_loss_heard_of(running: &Running) {
    running.expect_stderr("1/4 one round 1 stopping");
}

/// The first repetition failed since one of these workers has lost its driver, and the others went well.
#[track_caller]
fn expect_first_lost(bench: &Bench, running: Running, workers: Workers, groups: &[Group]) {
    let finished = running.end();
    finished.expect_code(3);
    let summary = bench.summary();
    assert_eq!(statuses(&summary), ["failed", "ok", "ok", "ok"], "{summary:#}");
    let error = summary["drivers"][0]["repetitions"][0]["error"].as_str().expect("an error");
    finished.expect_stderr(&[&format!("error: one: {error}")]);
    let is_told = groups.iter().any(|group| {
        let host = match group {
            Group::Server => format!("server {}", workers.server.listen.ip()),
            Group::Client => format!("client {}", workers.client.listen.ip()),
        };
        error.starts_with(&format!("{host}: the worker has lost its driver: it was restarted"))
    });
    assert!(is_told, "{groups:?}: {error}");
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
    expect_tidy(bench);
}

#[test]
fn while_preparing() {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let mut workers = Workers::planned(&bench, &DRIVERS, &[]);
    workers.start_server();
    let running = workers.attach(&TWICE);
    workers.server.expect_log("WaitCoordInit -> Ready");
    restart(&mut workers, &[Group::Server]);
    workers.server.expect_log("WaitCoordInit -> Ready");
    workers.start_client();
    running.end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn the_server_while_it_starts() {
    let bench = bench(SERVER, CLIENT, &["client-runs"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("server-starts-one");
    restart(&mut workers, &[Group::Server]);
    bench.open_gate("server-starts");
    // Its clients have not started.
    bench.open_gate("client-runs");
    running.expect_stderr("1/4 one round 1 failed after");
    let starts = |turn| bench.starts().get(&format!("client-{}.{turn}", workers.client.listen.ip())).copied();
    assert_eq!(starts("one"), None);
    running.end().expect_code(3).expect_stderr(&["the worker has lost its driver"]);
    assert_eq!(statuses(&bench.summary()), ["failed", "ok", "ok", "ok"]);
    assert_eq!(["two", "one-r2", "two-r2"].map(starts), [Some(1); 3]);
    workers.expect_dismissed();
}

/// It had nothing to lose yet.
#[test]
fn the_client_while_the_server_starts() {
    let bench = bench(SERVER, CLIENT, &["client-runs"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("server-starts-one");
    restart(&mut workers, &[Group::Client]);
    workers.client.expect_log("WaitCoordInit -> Ready");
    bench.open_gate("server-starts");
    running.end().expect_code(0);
    expect_complete(&bench, workers);
}

#[test]
fn one_of_them_in_the_quiet_window() {
    for group in [Group::Server, Group::Client] {
        let bench = bench(SERVER, CLIENT, &["server-starts"]);
        let mut workers = Workers::start(&bench, &DRIVERS, &[]);
        let running = workers.attach(&TWICE);
        bench.expect_at_gate("client-runs-one");
        workers.client.expect_log("Running -> RunningAwaitComplete");
        restart(&mut workers, &[group]);
        expect_loss_heard_of(&running);
        bench.open_gate("client-runs");
        expect_first_lost(&bench, running, workers, &[group]);
    }
}

#[test]
fn both_in_the_quiet_window() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    workers.client.expect_log("Running -> RunningAwaitComplete");
    let both = [Group::Client, Group::Server];
    restart(&mut workers, &both);
    expect_loss_heard_of(&running);
    bench.open_gate("client-runs");
    expect_first_lost(&bench, running, workers, &both);
}

#[test]
fn the_server_while_it_stops() {
    let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &["client-runs"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("server-stops-one");
    restart(&mut workers, &[Group::Server]);
    bench.open_gate("server-stops");
    expect_first_lost(&bench, running, workers, &[Group::Server]);
}

/// The coordinator has all that it needs of it.
#[test]
fn the_client_while_the_server_stops() {
    let bench = bench(SERVER_THAT_STOPS_LATE, CLIENT, &["client-runs"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("server-stops-one");
    restart(&mut workers, &[Group::Client]);
    bench.open_gate("server-stops");
    running.end().expect_code(0);
    expect_complete(&bench, workers);
}

/// Nobody starts it again; what it ran ends with it, and the run ends by the deadline of the phase.
#[test]
fn not_started_again() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let running = workers.attach(&[&TWICE[..], &["--timeout", "5s"]].concat());
    bench.expect_clients_known_to_run(1);
    workers.client.kill();
    let finished = running.end();
    let host = format!("client {}", workers.client.listen.ip());
    finished.expect_code(5).expect_stderr(&[
        &format!("{host}: it closed the connection; trying again"),
        "the deadline 'programs done' passed after 5 s (--timeout): waiting for client",
    ]);
    workers.server_alone().end().expect_code(0).expect_stderr(&["ends: the run is over"]);
}
