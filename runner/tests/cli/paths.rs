//! Workers behind paths that break: proxies that reset, end, stall, change or forget the control connections of an
//! attached run. The drivers go on, and the run ends well wherever a path heals.

use crate::bench::{Bench, Running, eventually};
use crate::proxy::{Direction, End, Fault, Path, Proxy, Strike};
use crate::resume::{CLIENT, DRIVERS, SERVER, SERVER_THAT_STOPS_LATE, TWICE, bench, expect_complete};
use crate::workers::Workers;
use std::time::Duration;

/// A path to each worker, of which the orchestrator knows nothing else.
struct Paths {
    server: Proxy,
    client: Proxy,
}

impl Paths {
    fn to(workers: &mut Workers, path: impl Fn() -> Path) -> Self {
        let [server, client] = workers.control.map(|worker| Proxy::start(worker, path()));
        workers.control = [server.address, client.address];
        Self { server, client }
    }

    fn each(&self) -> [&Proxy; 2] {
        [&self.server, &self.client]
    }

    /// Strikes both connections, and waits until both are made again.
    fn strike_and_wait(&self, workers: &Workers, strike: Strike) {
        let attached = |stderr: String| stderr.matches("coordinator attached").count();
        let count = || [&workers.server, &workers.client].map(|worker| attached(worker.process().stderr()));
        let before = count();
        self.each().iter().for_each(|path| path.strike(strike));
        eventually(&format!("both are connected again after {strike:?}"), || {
            let now = count();
            now[0] > before[0] && now[1] > before[1]
        });
    }
}

/// Lets the first repetition come to each gate, does `disturb` there, and ends well.
fn disturb_each_phase(disturb: impl Fn(&Paths, &Workers)) {
    let server = SERVER_THAT_STOPS_LATE.replace("$SERVER", "gate server-starts; $SERVER");
    let bench = bench(&server, CLIENT, &[]);
    let mut workers = Workers::start(&bench, &DRIVERS, &["--kill-grace", "60s"]);
    let paths = Paths::to(&mut workers, Path::sound);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("server-starts-one");
    disturb(&paths, &workers);
    bench.open_gate("server-starts");
    bench.expect_clients_known_to_run(1);
    disturb(&paths, &workers);
    ["one", "two", "one-r2"].iter().for_each(|turn| bench.open_gate(&format!("client-runs-{turn}")));
    bench.expect_at_gate("server-stops-one");
    disturb(&paths, &workers);
    bench.open_gate("server-stops");
    // Nothing disturbs the last client. It stays until the orchestrator has seen it run, however late that is.
    bench.expect_clients_known_to_run(4);
    bench.open_gate("client-runs");
    expect_disturbed_and_complete(&bench, running, workers);
}

fn expect_disturbed_and_complete(bench: &Bench, running: Running, workers: Workers) {
    running.end().expect_code(0);
    let summary = bench.summary();
    let disturbed = &summary["drivers"][0]["repetitions"][0];
    assert!(disturbed["quiet_window"]["orchestrator_bytes"].as_u64() > Some(0), "{disturbed:#}");
    assert!(disturbed["suspect"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{disturbed:#}");
    let undisturbed = &summary["drivers"][1]["repetitions"][1];
    assert_eq!(undisturbed["quiet_window"]["orchestrator_bytes"], 0, "{undisturbed:#}");
    expect_complete(bench, workers);
}

#[test]
fn reset_in_each_phase() {
    disturb_each_phase(|paths, workers| paths.strike_and_wait(workers, Strike::Reset));
}

#[test]
fn ended_in_each_phase() {
    disturb_each_phase(|paths, workers| paths.strike_and_wait(workers, Strike::End));
}

/// The worker has lost the connection, and the orchestrator learns of it only when it says something. Nothing is said
/// in the quiet window, so that it lasts.
#[test]
fn forgotten_by_the_workers_end_in_the_quiet_window() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let paths = Paths::to(&mut workers, Path::sound);
    let running = workers.attach(&[&TWICE[..], &["--timeout", "5s"]].concat());
    bench.expect_clients_known_to_run(1);
    paths.client.strike(Strike::Forgotten(End::Worker));
    workers.client.expect_log("coordinator gone");
    bench.open_gate("client-runs");
    // The client has ended and cannot say so: the orchestrator asks when the time for the clients is over.
    running
        .end()
        .expect_code(5)
        .expect_stderr(&["the deadline 'programs done' passed after 5 s (--timeout)"]);
    assert_eq!(crate::resume::statuses(&bench.summary()), ["failed", "ok", "ok", "ok"]);
    workers.expect_each_started_once(2);
    workers.expect_dismissed();
}

/// The orchestrator has lost it and dials again; the worker takes the new connection in place of the old one.
#[test]
fn forgotten_by_the_orchestrators_end() {
    disturb_each_phase(|paths, workers| {
        paths.strike_and_wait(workers, Strike::Forgotten(End::Coordinator));
    });
}

#[test]
fn stalled_and_released() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let paths = Paths::to(&mut workers, Path::sound);
    let running = workers.attach(&TWICE);
    bench.expect_at_gate("client-runs-one");
    workers.client.expect_log("Running -> RunningAwaitComplete");
    for path in paths.each() {
        path.strike(Strike::Stall);
        path.wait_for_stall();
    }
    bench.open_gate("client-runs");
    workers.client.expect_log("RunningAwaitComplete -> Stopped");
    assert!(!running.stderr().contains("stopping servers"), "nobody has heard of it");
    paths.each().iter().for_each(|path| path.release());
    running.end().expect_code(0);
    expect_complete(&bench, workers);
}

/// A run over paths whose connections have these faults, one after the other, and then none.
fn run_over(faults: &[Fault]) {
    let bench = bench(SERVER, CLIENT, &["server-starts", "client-runs"]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let path = || {
        let faults = faults.to_vec();
        let fault_of = Box::new(move |nth: u32| faults.get(nth as usize).copied());
        Path { fault_of, chunk_len: 7, ..Path::sound() }
    };
    let paths = Paths::to(&mut workers, path);
    workers.attach(&TWICE).end().expect_code(0);
    for path in paths.each() {
        assert!(path.connections() as usize >= faults.len(), "{faults:?}: {}", path.connections());
    }
    expect_complete(&bench, workers);
}

/// Each connection gets a little farther than the one before it.
#[test]
fn a_path_that_breaks_after_ever_more_bytes() {
    for strike in [Strike::Reset, Strike::End] {
        let faults: Vec<Fault> = (0..8)
            .map(|nth: usize| {
                let direction = if nth.is_multiple_of(2) { Direction::Up } else { Direction::Down };
                Fault { direction, after_len: 30 + 23 * nth, strike }
            })
            .collect();
        run_over(&faults);
    }
}

/// In the handshake, and in the first message of each side. A changed length is another matter: who waits for the rest
/// of a message waits until a deadline, as on a path that stalls.
#[test]
fn a_path_that_changes_bytes() {
    let places = [(Direction::Up, 10), (Direction::Down, 10), (Direction::Up, 70), (Direction::Down, 65)];
    run_over(&places.map(|(direction, after_len)| Fault { direction, after_len, strike: Strike::Flip }));
}

/// A path that takes the request of the handshake and never answers is a named deadline.
#[test]
fn a_path_that_swallows_everything() {
    let bench = bench(SERVER, CLIENT, &[]);
    let mut workers = Workers::start(&bench, &DRIVERS, &[]);
    let fault = Fault { direction: Direction::Up, after_len: 0, strike: Strike::Stall };
    let swallow = || Path { fault_of: Box::new(move |_| Some(fault)), ..Path::sound() };
    let _paths = Paths::to(&mut workers, swallow);
    let running = workers.attach(&["--ready-timeout", "500ms"]);
    let deadline = "the deadline 'workers ready' passed after 0.5 s: waiting for";
    let finished = running.end_within(Duration::from_secs(20));
    finished.expect_code(5).expect_stderr(&[deadline]);
    workers.signal(rustix::process::Signal::TERM);
    workers.end();
}

/// The client's worker is not reached any more: the run ends by its deadlines, and the worker by its own.
#[test]
fn stalled_for_ever_in_the_quiet_window() {
    let bench = bench(SERVER, CLIENT, &["server-starts"]);
    let mut workers =
        Workers::start(&bench, &DRIVERS, &["--orphan-timeout", "300ms", "--kill-grace", "100ms"]);
    let paths = Paths::to(&mut workers, Path::sound);
    let running = workers.attach(&[&TWICE[..], &["--timeout", "5s"]].concat());
    bench.expect_clients_known_to_run(1);
    paths.client.strike(Strike::Stall);
    paths.client.wait_for_stall();
    running.end().expect_code(5).expect_stderr(&[
        "error: one: the deadline 'programs done' passed after 5 s (--timeout): waiting for client",
        "client 127.0.0.1: it has not confirmed that the run is over",
    ]);
    // What was held on the way is lost.
    paths.client.strike(Strike::Reset);
    let [server, client] = workers.end();
    server.expect_code(0).expect_stderr(&["ends: the run is over"]);
    client.expect_code(3).expect_stderr(&["did not come back within the orphan timeout"]);
}
