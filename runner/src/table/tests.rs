use super::*;
use crate::summary::{DriverSummary, HostSummary, KernelWord, Machine, QuietSummary, StartSummary};

fn host(address: &str, received_bytes: u64, sent_bytes: u64) -> HostSummary {
    HostSummary {
        host: address.to_owned(),
        exit_code: Some(0),
        duration_s: Some(2.0),
        received_bytes: Some(received_bytes),
        sent_bytes: Some(sent_bytes),
        cpu_s: Some(0.25),
        max_rss_bytes: Some(4 << 20),
        ..HostSummary::default()
    }
}

fn summary() -> Summary {
    let repetition = RepetitionSummary {
        start: Some(StartSummary { clients: 2, skew_us: 310, bound_us: 90, lateness_us: Some(1200) }),
        quiet_window: Some(QuietSummary {
            duration_s: 1.99,
            orchestrator_bytes: 0,
            worker_bytes: 0,
            kernel: KernelWord::Agrees,
        }),
        servers: vec![host("127.0.1.1", 1_000, 500_000_000), host("127.0.1.2", 1_000, 500_000_000)],
        clients: vec![host("127.0.2.1", 1_000_000_000, 2_000)],
        ..RepetitionSummary::new(Status::Ok, 2.31)
    };
    Summary {
        run_id: "r1".to_owned(),
        status: Status::Ok,
        scenario: "incast".to_owned(),
        version: "0.1.0".to_owned(),
        started: "2026-01-31T12:00:05Z".to_owned(),
        duration_s: 3.0,
        error: None,
        suspect: vec![],
        machine: Machine::default(),
        traces: vec![],
        drivers: vec![DriverSummary { driver: "tcp".to_owned(), repetitions: vec![repetition] }],
    }
}

fn failed() -> Summary {
    let mut summary = summary();
    let good = summary.drivers[0].repetitions[0].clone();
    let mut bad = good.clone();
    summary.status = Status::Failed;
    bad.status = Status::Failed;
    bad.error = Some("client 127.0.2.1 failed".to_owned());
    (bad.start, bad.quiet_window) = (None, None);
    bad.suspect = vec!["the control connections carried 97 bytes while the clients measured".to_owned()];
    bad.clients[0] = HostSummary {
        host: "127.0.2.1".to_owned(),
        exit_code: Some(1),
        error: Some("exited with status 1".to_owned()),
        stderr_tail: "\u{1b}[31mError:\nconnection refused\n".to_owned(),
        ..HostSummary::default()
    };
    bad.servers[1].exit_code = None;
    bad.servers[1].signal = Some(9);
    bad.servers[1].cpu_s = None;
    summary.drivers.push(DriverSummary { driver: "s2n-quic".to_owned(), repetitions: vec![good, bad] });
    summary
}

#[test]
fn a_good_run() {
    assert_eq!(
        render(&summary(), Style::default()),
        "\
incast · r1 · ok · 3.00 s

Driver  Rep  Status  Duration  Received      Goodput  CPU server  CPU client  Peak memory
──────────────────────────────────────────────────────────────────────────────────────────
tcp     1    ok        2.31 s   1.00 GB  4.00 Gbit/s      500 ms      250 ms     4.00 MiB

Driver  Rep  Host              Ended   Duration  Received     Sent     CPU  Peak memory
────────────────────────────────────────────────────────────────────────────────────────
tcp     1    client 127.0.2.1  exit 0    2.00 s   1.00 GB  2.00 kB  250 ms     4.00 MiB
tcp     1    server 127.0.1.1  exit 0    2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
tcp     1    server 127.0.1.2  exit 0    2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB

Driver  Rep        Start skew  Latest start  Quiet window  Control bytes  Kernel
─────────────────────────────────────────────────────────────────────────────────
tcp     1    310 µs ± 90.0 µs       1.20 ms        1.99 s            0 B  agrees
"
    );
}

#[test]
fn a_failed_run_with_unknown_values() {
    assert_eq!(
        render(&failed(), Style::default()),
        "\
incast · r1 · failed · 3.00 s

Driver    Rep  Status  Duration  Received      Goodput  CPU server  CPU client  Peak memory
────────────────────────────────────────────────────────────────────────────────────────────
tcp       1    ok        2.31 s   1.00 GB  4.00 Gbit/s      500 ms      250 ms     4.00 MiB
s2n-quic  1    ok        2.31 s   1.00 GB  4.00 Gbit/s      500 ms      250 ms     4.00 MiB
s2n-quic  2    failed    2.31 s         –            –           –           –            –

Driver    Rep  Host              Ended     Duration  Received     Sent     CPU  Peak memory
────────────────────────────────────────────────────────────────────────────────────────────
tcp       1    client 127.0.2.1  exit 0      2.00 s   1.00 GB  2.00 kB  250 ms     4.00 MiB
tcp       1    server 127.0.1.1  exit 0      2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
tcp       1    server 127.0.1.2  exit 0      2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
s2n-quic  1    client 127.0.2.1  exit 0      2.00 s   1.00 GB  2.00 kB  250 ms     4.00 MiB
s2n-quic  1    server 127.0.1.1  exit 0      2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
s2n-quic  1    server 127.0.1.2  exit 0      2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
s2n-quic  2    client 127.0.2.1  exit 1           –         –        –       –            –
s2n-quic  2    server 127.0.1.1  exit 0      2.00 s   1.00 kB   500 MB  250 ms     4.00 MiB
s2n-quic  2    server 127.0.1.2  signal 9    2.00 s   1.00 kB   500 MB       –     4.00 MiB

Driver    Rep        Start skew  Latest start  Quiet window  Control bytes  Kernel
───────────────────────────────────────────────────────────────────────────────────
tcp       1    310 µs ± 90.0 µs       1.20 ms        1.99 s            0 B  agrees
s2n-quic  1    310 µs ± 90.0 µs       1.20 ms        1.99 s            0 B  agrees

s2n-quic, repetition 2 is suspect: the control connections carried 97 bytes while the clients measured

s2n-quic, repetition 2 failed: client 127.0.2.1 failed
  client 127.0.2.1 (exit 1): exited with status 1
    | \u{fffd}[31mError:
    | connection refused
"
    );
}

#[test]
fn a_run_that_did_not_get_to_a_driver() {
    let mut summary = summary();
    summary.suspect = vec!["an allowance was exceeded".to_owned()];
    summary.status = Status::Interrupted;
    summary.error = Some("interrupted by the user".to_owned());
    summary.drivers.clear();
    assert_eq!(
        render(&summary, Style::default()),
        "incast · r1 · interrupted · 3.00 s\n\nNo driver ran.\n\ninterrupted by the user\n\n\
             The run is suspect: an allowance was exceeded\n"
    );
}

#[test]
fn many_hosts_and_long_errors_are_shown_in_full_on_request() {
    let mut summary = failed();
    let repetition = &mut summary.drivers[1].repetitions[1];
    let lines: Vec<_> = (0..30).map(|line| format!("line {line}")).collect();
    repetition.clients[0].stderr_tail = lines.join("\n");
    repetition.clients = vec![repetition.clients[0].clone(); 13];
    let short = render(&summary, Style::default());
    assert!(!short.contains("Ended"), "{short}");
    assert!(short.contains("    … 20 lines more\n    | line 20\n"), "{short}");
    assert!(short.contains("  and 8 more hosts, see summary.json\n"), "{short}");
    let long = render(&summary, Style { verbose: true, color: false });
    assert!(long.contains("Ended") && long.contains("client 127.0.2.1 (13) (exit 1)"), "{long}");
    assert_eq!(long.matches("    | line 0\n").count(), 13, "{long}");
}

#[test]
fn colours_only_on_request() {
    assert!(!render(&failed(), Style { verbose: true, color: false }).contains('\u{1b}'));
    let text = render(&failed(), Style { verbose: false, color: true });
    assert!(text.starts_with("incast · r1 · \u{1b}[1;31mfailed\u{1b}[0m"), "{text}");
    assert!(text.contains("\u{1b}[38;5;2m"), "{text}");
}

#[test]
fn an_upload_is_measured_by_what_the_clients_sent() {
    let mut summary = summary();
    let client = &mut summary.drivers[0].repetitions[0].clients[0];
    std::mem::swap(&mut client.sent_bytes, &mut client.received_bytes);
    let text = render(&summary, Style::default());
    assert!(text.contains("Duration     Sent      Goodput") && text.contains("4.00 Gbit/s"), "{text}");
}
