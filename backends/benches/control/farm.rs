//! Many workers in one process and on one thread: the other end of what a single coordinator thread does.
//!
//! Each worker is a real one, with its own state and its own links; only the sockets are shared: one poll, and one
//! listener for a hundred workers, which are told apart by the loopback address that was dialed. Their programs run as
//! soon as they are started, and their timers are not served: nothing here waits for so long.

use crate::child::Child;
use crate::common::{NoOp, WorkerPlan};
use backends::entropy;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use russula_proto::worker::Output;
use russula_proto::{ConnectionId, Group, RunId, Timestamp, Worker};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

/// The argument that makes the benchmark a farm.
pub(crate) const ARGUMENT: &str = "--farm";

/// Workers behind one listener, so that its queue has room for all of them.
const WORKERS_PER_LISTENER: usize = 100;
const QUEUE_LEN: i32 = 128;

/// The run of the farm's workers.
pub(crate) fn run() -> RunId {
    "farm".parse().expect("a run id")
}

/// A farm as a process of its own.
pub(crate) struct Farm {
    pub(crate) child: Child,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Farm {
    /// Starts a farm of `workers` servers; they listen when this returns.
    pub(crate) fn start(workers: u16) -> Self {
        let mut child = Child::start(&[ARGUMENT, &workers.to_string()]);
        let ports = child.line();
        let ports: Vec<u16> = ports.split_whitespace().map(|port| port.parse().expect("a port")).collect();
        let address = |index: usize| {
            SocketAddr::new(ip(index % WORKERS_PER_LISTENER), ports[index / WORKERS_PER_LISTENER])
        };
        Self { child, addresses: (0..usize::from(workers)).map(address).collect() }
    }
}

/// The address behind a listener by which the worker is known.
fn ip(place: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, u8::try_from(place + 1).expect("a hundred places")))
}

/// The `main` of a farm: serves until its stdin ends with the benchmark.
pub(crate) fn main(workers: u16) {
    let mut fields = Fields::new(workers);
    let ports: Vec<String> = fields.listeners.iter().map(|listener| port_of(listener).to_string()).collect();
    println!("{}", ports.join(" "));
    fields.serve();
}

struct Fields {
    poll: Poll,
    listeners: Vec<TcpListener>,
    workers: Vec<Worker>,
    /// By the number of the connection.
    connections: Vec<Option<Connection>>,
    dirty: VecDeque<usize>,
    begin: Instant,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    worker: usize,
}

impl Fields {
    fn new(count: u16) -> Self {
        let plan = WorkerPlan { run: run(), ..WorkerPlan::new(Group::Server, count) };
        let poll = Poll::new().expect("a poll");
        let listeners = (0..usize::from(count).div_ceil(WORKERS_PER_LISTENER)).map(|index| {
            let mut listener = listen_anywhere();
            poll.registry().register(&mut listener, Token(index), Interest::READABLE).expect("registered");
            listener
        });
        Self {
            listeners: listeners.collect(),
            poll,
            workers: (0..count).map(|index| plan.worker(index)).collect(),
            connections: vec![],
            dirty: VecDeque::new(),
            begin: Instant::now(),
            buffer: vec![0; 16 * 1024],
        }
    }

    fn serve(&mut self) {
        crate::child::end_with_stdin();
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
                continue;
            }
            for event in &events {
                match event.token().0.checked_sub(self.listeners.len()) {
                    None => self.accept(event.token().0),
                    Some(number) => self.handle_ready(number, event),
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) {
        loop {
            let stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            let number = self.connections.len();
            let worker = listener * WORKERS_PER_LISTENER + place_of(&stream);
            self.connections.push(Some(Connection { stream: self.prepare(stream, number), worker }));
            let entropy = entropy::bytes().expect("the system gives randomness");
            let now = self.now();
            self.workers[worker].handle_accepted(ConnectionId(number as u64), entropy, now);
            // As a worker with one listener does: the request may be there already.
            self.receive(number);
            self.carry_out(worker);
        }
    }

    /// What a worker does with a socket; see `backends::tcp`.
    fn prepare(&self, mut stream: TcpStream, number: usize) -> TcpStream {
        let token = Token(self.listeners.len() + number);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token, interest).expect("registered");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        sockopt::set_socket_keepalive(&stream, true).expect("a socket has the option");
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(60)).expect("a TCP socket has the option");
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(15)).expect("a TCP socket has the option");
        sockopt::set_tcp_keepcnt(&stream, 4).expect("a TCP socket has the option");
        stream
    }

    fn handle_ready(&mut self, number: usize, event: &Event) {
        let Some(connection) = &self.connections[number] else { return };
        let worker = connection.worker;
        if event.is_readable() || event.is_read_closed() {
            self.receive(number);
        }
        self.carry_out(worker);
    }

    /// Reads once; where the buffer is not filled nothing is left.
    fn receive(&mut self, number: usize) {
        let now = self.now();
        let Some(connection) = &mut self.connections[number] else { return };
        let worker = &mut self.workers[connection.worker];
        let id = ConnectionId(number as u64);
        match connection.stream.read(&mut self.buffer) {
            Ok(0) => {
                self.connections[number] = None;
                worker.handle_end(id, now);
            }
            Ok(len) => worker.handle_bytes(id, &self.buffer[..len], now),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                self.connections[number] = None;
                worker.handle_end(id, now);
            }
        }
    }

    fn carry_out(&mut self, worker: usize) {
        self.dirty.push_back(worker);
        while let Some(index) = self.dirty.pop_front() {
            self.carry_out_one(index);
        }
    }

    fn carry_out_one(&mut self, index: usize) {
        loop {
            let now = self.now();
            let worker = &mut self.workers[index];
            match worker.poll_output() {
                Output::Transmit(id) => send(&mut self.connections, worker, id, now),
                Output::Close(id) => self.connections[number(id)] = None,
                Output::Start { .. } => worker.handle_started(now),
                Output::Terminate | Output::Kill => {
                    worker.handle_program_ended(NoOp::usual_outcome(Group::Server, 0), now);
                }
                Output::CheckKernel(_) | Output::Event(_) | Output::Finished(_) => {}
                Output::Wait(_) => return,
            }
        }
    }

    fn now(&self) -> Timestamp {
        let micros = self.begin.elapsed().as_micros();
        Timestamp::from_micros(u64::try_from(micros).expect("the farm does not get that old"))
    }
}

/// Writes what fits, which is everything: nobody here says more than a few hundred bytes.
fn send(connections: &mut [Option<Connection>], worker: &mut Worker, id: ConnectionId, now: Timestamp) {
    let Some(connection) = &mut connections[number(id)] else { return };
    while !worker.outgoing(id).is_empty() {
        // A connection that broke shows when it is read.
        let Ok(len) = connection.stream.write(worker.outgoing(id)) else { return };
        worker.handle_sent(id, len, now);
    }
}

fn number(ConnectionId(number): ConnectionId) -> usize {
    usize::try_from(number).expect("it was one")
}

fn listen_anywhere() -> TcpListener {
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    listen(&listener, QUEUE_LEN).expect("a bound socket can listen");
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    TcpListener::from_std(listener)
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("it is bound").port()
}

/// Which of the workers behind a listener was dialed.
fn place_of(stream: &TcpStream) -> usize {
    match stream.local_addr().expect("it is connected").ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(ip) => panic!("{ip} was not dialed"),
    }
}
