//! What the coordinators want, done; and what they say, noted.

use super::super::socket::PORT;
use super::super::worker::OUTPUTS_AT_ONCE_MAX;
use super::{Dial, Process};
use crate::model::{End, HostId, Observation};
use crate::world::{Kind, Promise, Speaker, of_event};
use ::turmoil::net::TcpStream;
use russula_proto::Stage;
use russula_proto::coordinator::{Event, Output};
use russula_proto::link::MAX_OUTGOING_LEN;
use std::rc::Rc;

impl Process {
    /// Does what a coordinator wants until it wants to wait; returns whether that was anything.
    pub(super) async fn drain(&mut self, at: usize) -> bool {
        let mut is_busy = false;
        loop {
            self.listen(at);
            let Some(output) = self.sides[at].outputs.pop_front() else {
                self.check_limits(at);
                return is_busy;
            };
            is_busy = true;
            // What was written down is on the disk before anything follows from it.
            self.sync().await;
            self.carry_out(at, output);
        }
    }

    /// Takes note of what a coordinator says, and keeps for later what it wants to be done.
    pub(super) fn listen(&mut self, at: usize) {
        for _ in 0..OUTPUTS_AT_ONCE_MAX {
            let side = &mut self.sides[at];
            match side.coordinator.poll_output() {
                Output::Wait(until) => {
                    side.wait = until;
                    return;
                }
                Output::CheckKernel(index) => {
                    if let Dial::Up(socket) = &side.dials[index] {
                        side.coordinator.handle_kernel_counters(index, socket.traffic);
                    }
                }
                Output::Event(event) => {
                    self.desk.record.say(Speaker::Coordinator(side.group), Kind::Event, || of_event(&event));
                    self.note(at, &event);
                }
                output @ (Output::Dial(_) | Output::Transmit(_) | Output::Close(_)) => {
                    side.outputs.push_back(output);
                }
            }
        }
        let text = format!("the {}s' coordinator has no end of outputs", self.sides[at].group);
        self.desk.record.breach(Promise::Rest, text);
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        match output {
            Output::Dial(index) => {
                let address = (self.desk.addresses[&self.sides[at].host(index)], PORT);
                self.sides[at].dials[index] = Dial::Dialing(Box::pin(TcpStream::connect(address)));
            }
            Output::Transmit(index) => self.send(at, index),
            Output::Close(index) => self.sides[at].dials[index] = Dial::None,
            Output::CheckKernel(_) | Output::Event(_) | Output::Wait(_) => {}
        }
    }

    pub(super) fn send(&mut self, at: usize, index: usize) {
        let now = self.local_now();
        let side = &mut self.sides[at];
        while !side.coordinator.outgoing(index).is_empty() {
            let host = side.host(index);
            let Dial::Up(socket) = &mut side.dials[index] else { return };
            let waiting = side.coordinator.outgoing(index);
            let len = self.desk.options.network.piece_len(waiting.len(), &self.desk.random);
            let is_first = socket.traffic.sent_bytes == 0;
            match socket.send(&waiting[..len]) {
                Ok(0) => return,
                Ok(len) => {
                    self.desk.keep(host, &waiting[..len], is_first);
                    self.desk.record.note(Observation::Sent(host, End::Dialer, len));
                    side.coordinator.handle_sent(index, len, now);
                }
                Err(error) => return self.lose(at, index, &error),
            }
        }
    }

    fn note(&mut self, at: usize, event: &Event) {
        let group = self.sides[at].group;
        let record = Rc::clone(&self.desk.record);
        match event {
            Event::Worker(index, stage) => {
                let host = HostId { group, index: *index };
                record.note(Observation::Heard(host, *stage));
                let ending = self.sides[at].coordinator.peer(*index).ending.cloned();
                if let (Stage::Ended, Some(ending)) = (stage, ending) {
                    record.note(Observation::Learnt(host, Box::new(ending)));
                }
            }
            Event::Reached(milestone) => {
                self.note_dismissals(at);
                record.note(Observation::Reached(group, *milestone));
            }
            Event::Failed(failure) => {
                self.desk.journal.borrow_mut().write_failure(failure);
                record.note(Observation::Failed(group, Box::new(failure.clone())));
            }
            Event::Connected(_) => {
                self.desk.journal.borrow_mut().write_memories(&self.sides[at].coordinator);
            }
            Event::Finished => {
                self.desk.finished.borrow_mut().push(group);
                record.note(Observation::Finished(group));
            }
            Event::State { .. } | Event::Disconnected(..) => {}
        }
    }

    /// A coordinator that gives a worker up says so only in what it knows of it.
    fn note_dismissals(&mut self, at: usize) {
        let side = &mut self.sides[at];
        for index in 0..side.dials.len() {
            let is_given_up = side.coordinator.peer(index).is_given_up;
            if is_given_up && !std::mem::replace(&mut side.is_dismissed[index], true) {
                self.desk.record.note(Observation::Dismissed(side.host(index)));
            }
        }
    }

    fn check_limits(&self, at: usize) {
        let side = &self.sides[at];
        for index in 0..side.dials.len() {
            let waiting = side.coordinator.outgoing(index).len();
            if waiting > MAX_OUTGOING_LEN {
                let text = format!("{waiting} bytes wait for {}", side.host(index));
                self.desk.record.breach(Promise::Limits, text);
            }
        }
    }
}
