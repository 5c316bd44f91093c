//! Strangers at the workers' control ports while the clients of a local run measure: they get nothing, cost nothing, and
//! are counted in the workers' logs.

use crate::bench::{Bench, eventually};
use crate::cuts::control_addresses;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of the handshake's first message.
const REQUEST_LEN: usize = 48;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the worker listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a socket");
    stream
}

/// The worker closes the connection and has not said a byte.
#[track_caller]
fn expect_closed_in_silence(mut stream: TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        result => panic!("expected the end of the stream: {result:?}"),
    }
}

/// Everybody who has not shown the key, in turn; the connections that stay open are returned.
fn molest(address: SocketAddr) -> Vec<TcpStream> {
    // Silent for as long as they are let.
    let silent: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
    for garbage in [
        vec![0; REQUEST_LEN],
        vec![0xff; 4096],
        b"GET / HTTP/1.1\r\nHost: worker\r\nAccept: */*\r\n\r\n".repeat(2),
    ] {
        let mut stream = connect(address);
        // It may be closed before all of it is there.
        let _ = stream.write_all(&garbage);
        expect_closed_in_silence(stream);
    }
    for len in [1, REQUEST_LEN / 2, REQUEST_LEN - 1] {
        let mut half = connect(address);
        half.write_all(&vec![7; len]).expect("the worker reads");
        half.shutdown(Shutdown::Write).expect("it is connected");
        expect_closed_in_silence(half);
    }
    silent
}

#[test]
fn in_the_quiet_window() {
    let bench = Bench::new();
    bench.fake("mine", "note; exec $SERVER", "note; gate client-runs; exec $CLIENT");
    let running = bench.local(&["--driver", "mine"]);
    bench.expect_at_gate("client-runs-mine");
    let addresses = control_addresses(&bench);
    assert_eq!(addresses.len(), 2, "a server and a client");
    let log = |host: &str| bench.read(&format!("logs/{host}.log"));
    eventually("the window is open", || log("client-127.0.101.1").contains("RunningAwaitComplete"));
    let silent: Vec<TcpStream> = addresses.iter().copied().flat_map(molest).collect();
    for stream in silent {
        expect_closed_in_silence(stream);
    }
    for &address in &addresses {
        // More than a worker serves at once. Some make room for others, and all are closed in the end.
        let crowd: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
        crowd.iter().for_each(|stream| stream.shutdown(Shutdown::Write).expect("it is connected"));
        crowd.into_iter().for_each(expect_closed_in_silence);
    }
    bench.open_gate("client-runs");
    let finished = running.end();
    finished.expect_code(0);
    assert!(!finished.stderr.contains("suspect: the control"), "{finished:#?}");
    for host in ["server-127.0.1.1", "client-127.0.101.1"] {
        let log = log(host);
        for counted in ["(handshake 3)", "(handshake ended 3)", "(silent 3)", "(evicted "] {
            assert!(log.contains(&format!("closed {counted}")), "{host}: {counted}: {log}");
        }
        assert_eq!(log.matches("coordinator attached").count(), 1, "{host}: {log}");
        assert!(!log.contains("coordinator gone") || log.contains("ends: the run is over"), "{host}: {log}");
    }
    let repetition = &bench.summary()["drivers"][0]["repetitions"][0];
    let quiet = &repetition["quiet_window"];
    assert_eq!(quiet["orchestrator_bytes"], 0, "{repetition:#}");
    assert_eq!((&quiet["worker_bytes"], &quiet["kernel"]), (&0.into(), &"agrees".into()), "{repetition:#}");
    assert_eq!(bench.starts().into_values().collect::<Vec<_>>(), [1, 1]);
}
