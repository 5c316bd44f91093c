//! A path that can break: a small TCP proxy between a coordinator and one worker.
//!
//! Each connection is forwarded by a thread of its own, and each can have one fault, which strikes when an
//! exact number of bytes has been forwarded in one direction.

use crate::common::PATIENCE;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::sockopt;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the coordinator to the worker.
    Up,
    /// From the worker to the coordinator.
    Down,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Both sides see the end of the stream.
    End,
    /// Both sides see a reset.
    Reset,
    /// Nothing more is forwarded in the fault's direction before [`Proxy::release`].
    Stall,
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

/// Forwards connections until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    stalls: Receiver<()>,
    shared: Arc<Shared>,
}

struct Shared {
    worker: SocketAddr,
    path: Path,
    connections: AtomicU32,
    up_len: AtomicUsize,
    down_len: AtomicUsize,
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
            connections: AtomicU32::new(0),
            up_len: AtomicUsize::new(0),
            down_len: AtomicUsize::new(0),
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
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes forwarded in `direction` over all connections.
    pub(crate) fn forwarded_len(&self, direction: Direction) -> usize {
        self.shared.forwarded(direction).load(Ordering::SeqCst)
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

impl Shared {
    fn forwarded(&self, direction: Direction) -> &AtomicUsize {
        match direction {
            Direction::Up => &self.up_len,
            Direction::Down => &self.down_len,
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((coordinator, _)) = listener.accept() {
        if shared.is_closing.load(Ordering::SeqCst) {
            return;
        }
        let nth = shared.connections.fetch_add(1, Ordering::SeqCst);
        // A worker that is gone is what the coordinator sees then: its connection is closed.
        let Ok(worker) = TcpStream::connect(shared.worker) else { continue };
        if shared.path.has_tiny_buffers {
            shrink_buffers(&worker);
        }
        for stream in [&coordinator, &worker] {
            stream.set_nodelay(true).unwrap();
        }
        let fault = (shared.path.fault_of)(nth);
        let connection = Connection { coordinator, worker, fault, shared: shared.clone() };
        // A side that has gone away ends the connection, whatever the system calls it.
        thread::spawn(move || drop(connection.forward()));
    }
}

/// The kernel raises it to its minimum.
fn shrink_buffers(socket: impl std::os::fd::AsFd) {
    sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    sockopt::set_socket_send_buffer_size(&socket, 1).unwrap();
}

struct Connection {
    coordinator: TcpStream,
    worker: TcpStream,
    fault: Option<Fault>,
    shared: Arc<Shared>,
}

impl Connection {
    /// Forwards both ways until both sides have ended, or the fault ends it.
    fn forward(mut self) -> io::Result<()> {
        let mut open = vec![Direction::Up, Direction::Down];
        let mut forwarded_len = [0, 0];
        let mut buffer = vec![0; self.shared.path.chunk_len];
        while !open.is_empty() {
            let due = self.fault.filter(|fault| forwarded_len[fault.direction as usize] == fault.after_len);
            let stalled = match due.map(|fault| fault.strike) {
                None => None,
                Some(Strike::End) => return self.end(),
                Some(Strike::Reset) => return self.reset(),
                Some(Strike::Stall) => {
                    // Nobody listens where the stall is not what the test waits for.
                    let _ = self.shared.stalls.send(());
                    due.map(|fault| fault.direction)
                }
            };
            let Some(direction) = self.wait(&open, stalled)? else {
                self.fault = None;
                continue;
            };
            let at_most = match self.fault {
                Some(fault) if fault.direction == direction => {
                    (fault.after_len - forwarded_len[direction as usize]).min(buffer.len())
                }
                Some(_) | None => buffer.len(),
            };
            let (mut from, mut to) = self.ends(direction);
            let len = from.read(&mut buffer[..at_most])?;
            if len == 0 {
                to.shutdown(Shutdown::Write)?;
                open.retain(|open| *open != direction);
                continue;
            }
            to.write_all(&buffer[..len])?;
            forwarded_len[direction as usize] += len;
            self.shared.forwarded(direction).fetch_add(len, Ordering::SeqCst);
        }
        Ok(())
    }

    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::Up => (&self.coordinator, &self.worker),
            Direction::Down => (&self.worker, &self.coordinator),
        }
    }

    /// A direction that has something to forward; `None` once the stall is over.
    fn wait(&self, open: &[Direction], stalled: Option<Direction>) -> io::Result<Option<Direction>> {
        let flowing: Vec<Direction> = open.iter().copied().filter(|open| Some(*open) != stalled).collect();
        let mut fds: Vec<PollFd<'_>> =
            flowing.iter().map(|open| PollFd::new(self.ends(*open).0, PollFlags::IN)).collect();
        if stalled.is_some() {
            fds.push(PollFd::new(&self.shared.released, PollFlags::IN));
        }
        poll(&mut fds, None)?;
        let ready = fds.iter().position(|fd| !fd.revents().is_empty());
        Ok(ready.and_then(|at| flowing.get(at).copied()))
    }

    fn end(self) -> io::Result<()> {
        self.coordinator.shutdown(Shutdown::Both)?;
        self.worker.shutdown(Shutdown::Both)
    }

    /// Closing a socket that lingers for no time sends a reset.
    fn reset(self) -> io::Result<()> {
        for stream in [&self.coordinator, &self.worker] {
            sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO))?;
        }
        Ok(())
    }
}
