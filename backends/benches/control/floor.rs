//! The floor: the bytes of a barrier round over bare epoll sockets.
//!
//! The layout is that of Russula: one thread for the coordinator, one with an epoll of its own for every
//! worker, stacks of the same size. A side makes the system calls that the exchange cannot do without: it
//! waits, reads once, writes once.

use crate::common::STACK_LEN;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

/// Events that the coordinator takes at once, as many as Russula's.
const EVENTS_MAX: usize = 1024;

/// A coordinator and its workers that know nothing but the lengths of their messages.
pub(crate) struct Floor {
    epoll: OwnedFd,
    sockets: Vec<TcpStream>,
    goal: Vec<u8>,
    report_len: usize,
    events: Vec<Event>,
}

impl Floor {
    /// Connects `workers` workers that answer every `goal` with a `report`.
    pub(crate) fn start(workers: usize, goal: Vec<u8>, report: &[u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("a bound listener");
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
        let mut sockets = Vec::with_capacity(workers);
        for index in 0..workers {
            let socket = TcpStream::connect(address).expect("the listener's queue has room for one");
            let (accepted, _) = listener.accept().expect("the connection is there");
            prepare(&socket, &epoll, index);
            sockets.push(socket);
            let (goal_len, report) = (goal.len(), report.to_vec());
            let thread = thread::Builder::new().name("floor".into()).stack_size(STACK_LEN);
            thread.spawn(move || serve(accepted, goal_len, &report)).expect("a thread for the worker");
        }
        Self { epoll, sockets, goal, report_len: report.len(), events: Vec::with_capacity(EVENTS_MAX) }
    }

    /// A goal to every worker, a report back from each; returns how long it took.
    pub(crate) fn round(&mut self) -> Duration {
        let mut buffer = [0; 16 * 1024];
        let start = Instant::now();
        for mut socket in &self.sockets {
            assert_eq!(socket.write(&self.goal).expect("room for a goal"), self.goal.len());
        }
        let mut missing = self.sockets.len();
        while missing > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), None).expect("epoll works");
            for event in self.events.drain(..) {
                let index = usize::try_from(event.data.u64()).expect("an index");
                let mut socket = &self.sockets[index];
                assert_eq!(socket.read(&mut buffer).expect("a report"), self.report_len);
                missing -= 1;
            }
        }
        start.elapsed()
    }
}

/// A worker: answers until its coordinator is gone.
fn serve(mut socket: TcpStream, goal_len: usize, report: &[u8]) {
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
    prepare(&socket, &epoll, 0);
    let mut events: Vec<Event> = Vec::with_capacity(64);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None).expect("epoll works");
        events.clear();
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => assert_eq!(len, goal_len, "one goal at a time"),
        }
        assert_eq!(socket.write(report).expect("room for a report"), report.len());
    }
}

fn prepare(socket: &TcpStream, epoll: &OwnedFd, index: usize) {
    socket.set_nonblocking(true).expect("a socket can be non-blocking");
    socket.set_nodelay(true).expect("a TCP socket has the option");
    let data = EventData::new_u64(index as u64);
    epoll::add(epoll, socket, data, EventFlags::IN | EventFlags::ET).expect("room for a socket");
}
