//! A path that can break: a small TCP proxy between a coordinator and one worker.
//!
//! Each connection is forwarded and recorded by a thread of its own. A fault strikes when an exact number of bytes has
//! been forwarded in one direction, or at the word of the test.

mod connection;

use crate::common::PATIENCE;
use connection::{Connection, Line};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::sockopt;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the coordinator to the worker.
    Up,
    /// From the worker to the coordinator.
    Down,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Coordinator,
    Worker,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Both sides see the end of the stream.
    End,
    /// Both sides see a reset.
    Reset,
    /// Nothing more is forwarded in the fault's direction, or in both, before [`Proxy::release`].
    Stall,
    /// One bit of the next byte in the fault's direction is changed.
    Flip,
    /// The connection is half open: this end has lost it, and the other one sees a reset only when it says something.
    Forgotten(End),
}

/// What happens to a connection when `after_len` bytes have been forwarded in `direction`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) direction: Direction,
    pub(crate) after_len: usize,
    pub(crate) strike: Strike,
}

/// How a proxy treats its connections.
pub(crate) struct Path {
    /// The fault of the nth connection, from 0.
    pub(crate) fault_of: Box<dyn Fn(u32) -> Option<Fault> + Send + Sync>,
    /// Most bytes forwarded at once.
    pub(crate) chunk_len: usize,
    /// Whether the proxy's sockets have the smallest buffers that the kernel gives.
    pub(crate) has_tiny_buffers: bool,
}

impl Path {
    /// A path without a fault.
    pub(crate) fn sound() -> Self {
        Self { fault_of: Box::new(|_| None), chunk_len: 4096, has_tiny_buffers: false }
    }

    /// A path whose first connection has `fault` and the others have none.
    pub(crate) fn first(fault: Fault) -> Self {
        Self { fault_of: Box::new(move |nth| (nth == 0).then_some(fault)), ..Self::sound() }
    }
}

/// The bytes of one connection as they were forwarded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
}

impl Recording {
    pub(crate) fn of(&self, direction: Direction) -> &Vec<u8> {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// Forwards connections until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    stalls: Receiver<()>,
    shared: Arc<Shared>,
}

struct Shared {
    worker: SocketAddr,
    path: Path,
    lines: Mutex<Vec<Arc<Line>>>,
    /// A connection that stalls says so.
    stalls: Sender<()>,
    /// Readable once stalls are over.
    released: OwnedFd,
    is_closing: AtomicBool,
}

impl Proxy {
    /// Begins to forward connections to `worker`.
    pub(crate) fn start(worker: SocketAddr, path: Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if path.has_tiny_buffers {
            // The sockets of accepted connections inherit it.
            shrink_buffers(&listener);
        }
        let address = listener.local_addr().unwrap();
        let (stalled, stalls) = mpsc::channel();
        let shared = Arc::new(Shared {
            worker,
            path,
            lines: Mutex::default(),
            stalls: stalled,
            released: eventfd(0, EventfdFlags::empty()).unwrap(),
            is_closing: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, stalls, shared }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u32 {
        u32::try_from(self.shared.lines.lock().unwrap().len()).unwrap()
    }

    /// What was forwarded over each connection so far.
    pub(crate) fn recordings(&self) -> Vec<Recording> {
        self.shared.lines.lock().unwrap().iter().map(|line| line.recording()).collect()
    }

    /// Bytes forwarded in `direction` over all connections.
    pub(crate) fn forwarded_len(&self, direction: Direction) -> usize {
        self.recordings().iter().map(|recording| recording.of(direction).len()).sum()
    }

    /// Strikes the newest connection, whatever it is doing.
    pub(crate) fn strike(&self, strike: Strike) {
        let lines = self.shared.lines.lock().unwrap();
        lines.last().expect("there is a connection").strike(strike);
    }

    /// Waits until a connection stalls.
    pub(crate) fn wait_for_stall(&self) {
        self.stalls.recv_timeout(PATIENCE).expect("'a connection stalls' within the time");
    }

    /// Ends all stalls.
    pub(crate) fn release(&self) {
        rustix::io::write(&self.shared.released, &1u64.to_ne_bytes()).unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.release();
        self.shared.is_closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if it is gone already, nobody needs to be woken.
        let _ = TcpStream::connect(self.address);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {} bytes {:?}", self.strike, self.after_len, self.direction)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((coordinator, _)) = listener.accept() {
        if shared.is_closing.load(Ordering::SeqCst) {
            return;
        }
        let line = Arc::new(Line::new());
        let nth = {
            let mut lines = shared.lines.lock().unwrap();
            lines.push(line.clone());
            u32::try_from(lines.len() - 1).unwrap()
        };
        // A worker that is gone is what the coordinator sees then: its connection is closed.
        let Ok(worker) = TcpStream::connect(shared.worker) else { continue };
        if shared.path.has_tiny_buffers {
            shrink_buffers(&worker);
        }
        for stream in [&coordinator, &worker] {
            stream.set_nodelay(true).unwrap();
        }
        let fault = (shared.path.fault_of)(nth);
        let connection = Connection { coordinator, worker, fault, line, shared: shared.clone() };
        // A side that has gone away ends the connection, whatever the system calls it.
        thread::spawn(move || drop(connection.forward()));
    }
}

/// The kernel raises it to its minimum.
fn shrink_buffers(socket: impl std::os::fd::AsFd) {
    sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    sockopt::set_socket_send_buffer_size(&socket, 1).unwrap();
}
