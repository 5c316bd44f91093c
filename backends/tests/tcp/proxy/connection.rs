//! One connection of a proxy, on a thread of its own.

use super::{Direction, End, Fault, Recording, Shared, Strike};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a test sees of a connection, and how it reaches it.
pub(super) struct Line {
    recording: Mutex<Recording>,
    order: Mutex<Option<Strike>>,
    /// Readable once there is an order.
    ordered: OwnedFd,
}

impl Line {
    pub(super) fn new() -> Self {
        let ordered = eventfd(0, EventfdFlags::empty()).unwrap();
        Self { recording: Mutex::default(), order: Mutex::default(), ordered }
    }

    pub(super) fn recording(&self) -> Recording {
        self.recording.lock().unwrap().clone()
    }

    pub(super) fn strike(&self, strike: Strike) {
        *self.order.lock().unwrap() = Some(strike);
        rustix::io::write(&self.ordered, &1u64.to_ne_bytes()).unwrap();
    }

    fn take_order(&self) -> io::Result<Option<Strike>> {
        rustix::io::read(&self.ordered, &mut [0; 8])?;
        Ok(self.order.lock().unwrap().take())
    }

    fn record(&self, direction: Direction, bytes: &[u8]) {
        let mut recording = self.recording.lock().unwrap();
        match direction {
            Direction::Up => recording.up.extend_from_slice(bytes),
            Direction::Down => recording.down.extend_from_slice(bytes),
        }
    }

    fn forwarded_len(&self, direction: Direction) -> usize {
        self.recording.lock().unwrap().of(direction).len()
    }
}

pub(super) struct Connection {
    pub(super) coordinator: TcpStream,
    pub(super) worker: TcpStream,
    pub(super) fault: Option<Fault>,
    pub(super) line: Arc<Line>,
    pub(super) shared: Arc<Shared>,
}

/// What a wait ended with.
enum Wake {
    /// There is something to forward.
    Ready(Direction),
    /// The stall is over.
    Released,
    /// The test has ordered a strike.
    Ordered,
}

/// Which directions a stall holds.
type Held = Vec<Direction>;

impl Connection {
    /// Forwards both ways until both sides have ended, or a strike ends it.
    pub(super) fn forward(mut self) -> io::Result<()> {
        let mut open = vec![Direction::Up, Direction::Down];
        let mut held = Held::new();
        let mut flip = None;
        let mut buffer = vec![0; self.shared.path.chunk_len];
        while !open.is_empty() {
            if let Some(fault) =
                self.fault.take_if(|fault| self.line.forwarded_len(fault.direction) == fault.after_len)
            {
                match fault.strike {
                    Strike::Stall => held = self.stall(vec![fault.direction]),
                    Strike::Flip => flip = Some(fault.direction),
                    strike @ (Strike::End | Strike::Reset | Strike::Forgotten(_)) => {
                        return self.strike(strike);
                    }
                }
            }
            let direction = match self.wait(&open, &held)? {
                Wake::Ready(direction) => direction,
                Wake::Released => {
                    held.clear();
                    continue;
                }
                Wake::Ordered => match self.line.take_order()? {
                    Some(Strike::Stall) => {
                        held = self.stall(vec![Direction::Up, Direction::Down]);
                        continue;
                    }
                    Some(strike) => return self.strike(strike),
                    None => continue,
                },
            };
            let is_changed = flip.take_if(|flip| *flip == direction).is_some();
            if !self.pass(direction, &mut buffer, is_changed)? {
                open.retain(|open| *open != direction);
            }
        }
        Ok(())
    }

    /// Forwards what there is, up to the fault; returns whether there may be more.
    fn pass(&self, direction: Direction, buffer: &mut [u8], is_changed: bool) -> io::Result<bool> {
        let at_most = match self.fault {
            Some(fault) if fault.direction == direction => {
                (fault.after_len - self.line.forwarded_len(direction)).min(buffer.len())
            }
            Some(_) | None => buffer.len(),
        };
        let (mut from, mut to) = self.ends(direction);
        let len = from.read(&mut buffer[..at_most])?;
        if len == 0 {
            to.shutdown(Shutdown::Write)?;
            return Ok(false);
        }
        buffer[0] ^= u8::from(is_changed);
        // Before the other side can know of it.
        self.line.record(direction, &buffer[..len]);
        to.write_all(&buffer[..len])?;
        Ok(true)
    }

    fn stall(&self, held: Held) -> Held {
        // Nobody listens where the stall is not what the test waits for.
        let _ = self.shared.stalls.send(());
        held
    }

    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::Up => (&self.coordinator, &self.worker),
            Direction::Down => (&self.worker, &self.coordinator),
        }
    }

    fn wait(&self, open: &[Direction], held: &Held) -> io::Result<Wake> {
        let flowing: Vec<Direction> = open.iter().copied().filter(|open| !held.contains(open)).collect();
        let mut fds = vec![PollFd::new(&self.line.ordered, PollFlags::IN)];
        fds.extend(flowing.iter().map(|open| PollFd::new(self.ends(*open).0, PollFlags::IN)));
        if !held.is_empty() {
            fds.push(PollFd::new(&self.shared.released, PollFlags::IN));
        }
        poll(&mut fds, None)?;
        let ready = fds.iter().position(|fd| !fd.revents().is_empty()).expect("a poll without a limit");
        Ok(match ready.checked_sub(1) {
            None => Wake::Ordered,
            Some(at) => flowing.get(at).map_or(Wake::Released, |direction| Wake::Ready(*direction)),
        })
    }

    fn strike(self, strike: Strike) -> io::Result<()> {
        match strike {
            Strike::End => {
                self.coordinator.shutdown(Shutdown::Both)?;
                self.worker.shutdown(Shutdown::Both)
            }
            Strike::Reset => {
                reset(self.coordinator)?;
                reset(self.worker)
            }
            Strike::Forgotten(End::Worker) => self.shared.forget(self.worker, self.coordinator),
            Strike::Forgotten(End::Coordinator) => self.shared.forget(self.coordinator, self.worker),
            // They do not end it.
            Strike::Stall | Strike::Flip => Ok(()),
        }
    }
}

impl Shared {
    /// `lost` is gone at once, `other` when it says something.
    fn forget(&self, lost: TcpStream, other: TcpStream) -> io::Result<()> {
        reset(lost)?;
        let mut fds = [PollFd::new(&other, PollFlags::IN), PollFd::new(&self.released, PollFlags::IN)];
        poll(&mut fds, None)?;
        reset(other)
    }
}

/// Closing a socket that lingers for no time sends a reset.
fn reset(stream: TcpStream) -> io::Result<()> {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(())
}
