//! Two links and a path between them on which anything can happen to the bytes.
//!
//! What has to hold is simple to say: an end receives exactly those messages whose bytes, and all bytes before
//! them, have arrived as they were sent.

use crate::input::{Input, noise};
use crate::messages;
use crate::strangers::Differs;
use russula_proto::link::MAX_OUTGOING_LEN;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use russula_proto::wire::{self, LENGTH_PREFIX_LEN, MAX_FRAME_LEN, WorkerMessage};
use russula_proto::{Group, Link, LinkError};

/// Opens a connection and does with it what `data` describes.
pub fn link(data: &[u8]) {
    let mut input = Input::new(data);
    let mut path = Path::new(input.one_of(&Differs::ALL));
    while !input.is_empty() {
        path.step(&mut input);
    }
    path.ends.iter().for_each(End::check_end_of_stream);
}

struct Path {
    /// The dialing end, and the answering one.
    ends: [End; 2],
    is_same: bool,
}

/// One end of the connection, and the way to it.
struct End {
    link: Link,
    /// What this end has said, and where in its stream each message ends.
    said: Vec<(usize, WorkerMessage)>,
    /// Everything that the socket has taken from this end.
    stream: Vec<u8>,
    /// Bytes on the way to this end.
    under_way: Vec<u8>,
    arrived: Vec<u8>,
    /// How much of `arrived` is what the peer has sent.
    intact: usize,
    received: usize,
    handshake_len: usize,
    error: Option<LinkError>,
}

impl Path {
    fn new(differs: Differs) -> Self {
        let right = Differs::Nothing;
        let (group, index, ticket) = (Group::Server, 3, 9);
        let dialed = Link::dialed(&right.toy_key(), &right.identity(group, index), [1; 32]);
        let accepted = Link::accepted(&differs.toy_key(), &differs.identity(group, index), [2; 32], ticket);
        let ends = [End::new(dialed, RESPONSE_LEN), End::new(accepted, REQUEST_LEN)];
        Self { ends, is_same: differs == right }
    }

    fn step(&mut self, input: &mut Input) {
        let kind = input.byte();
        let end = usize::from(kind % 2);
        match kind / 2 % 16 {
            0..=3 => self.ends[end].say(input),
            4..=6 => self.carry(end, input.len()),
            7 | 8 => self.carry(end, usize::MAX),
            9..=11 => self.deliver(end, input.len()),
            12 | 13 => self.deliver(end, usize::MAX),
            14 => self.tamper(end, input),
            _ => self.converse(),
        }
    }

    /// Bytes leave an end.
    fn carry(&mut self, from: usize, len: usize) {
        let bytes = self.ends[from].send(len);
        self.ends[1 - from].under_way.extend(bytes);
    }

    /// Bytes arrive at an end.
    fn deliver(&mut self, to: usize, len: usize) {
        let [dialing, answering] = &mut self.ends;
        let (end, peer) = if to == 0 { (dialing, answering) } else { (answering, dialing) };
        end.arrive(len, peer, self.is_same);
    }

    /// Everything that waits anywhere goes where it is to go.
    fn converse(&mut self) {
        for end in [0, 1, 0, 1] {
            self.carry(end, usize::MAX);
            self.deliver(1 - end, usize::MAX);
        }
    }

    /// Somebody on the way changes the bytes. What is put in was there before, or is noise.
    fn tamper(&mut self, to: usize, input: &mut Input) {
        let what = input.below(6);
        let (at, len) = (input.len(), input.len());
        let inserted = match what {
            2 => Some(piece(&self.ends[1 - to].stream, at, len)),
            3 => Some(piece(&self.ends[to].stream, at, len)),
            4 => Some(noise(input.byte(), len)),
            _ => None,
        };
        let under_way = &mut self.ends[to].under_way;
        let place = if under_way.is_empty() { 0 } else { input.len() % under_way.len() };
        if let Some(inserted) = inserted {
            under_way.splice(place..place, inserted);
        } else if what == 0 {
            under_way.drain(place..under_way.len().min(place + len));
        } else if let Some(byte) = under_way.get_mut(place) {
            *byte ^= input.byte();
        }
    }
}

impl End {
    fn new(link: Link, handshake_len: usize) -> Self {
        Self {
            link,
            said: vec![],
            stream: vec![],
            under_way: vec![],
            arrived: vec![],
            intact: 0,
            received: 0,
            handshake_len,
            error: None,
        }
    }

    fn say(&mut self, input: &mut Input) {
        let message = messages::worker_message(input);
        let waiting = self.link.outgoing().len();
        let len = LENGTH_PREFIX_LEN + wire::encode(&message).len() + TAG_LEN;
        if self.link.is_open() && waiting + len <= MAX_OUTGOING_LEN {
            self.link.send(&message);
            assert_eq!(self.link.outgoing().len(), waiting + len);
            self.said.push((self.stream.len() + waiting + len, message));
        }
    }

    fn send(&mut self, len: usize) -> Vec<u8> {
        let waiting = self.link.outgoing();
        let bytes = waiting[..len.min(waiting.len())].to_vec();
        self.link.handle_sent(bytes.len());
        self.stream.extend_from_slice(&bytes);
        assert_eq!(self.link.is_flushed(), self.link.outgoing().is_empty());
        assert_eq!(self.link.traffic().sent_bytes, self.stream.len() as u64);
        bytes
    }

    fn arrive(&mut self, len: usize, peer: &End, is_same: bool) {
        let bytes: Vec<u8> = self.under_way.drain(..len.min(self.under_way.len())).collect();
        self.arrived.extend_from_slice(&bytes);
        while self.intact < self.arrived.len()
            && self.arrived.get(self.intact) == peer.stream.get(self.intact)
        {
            self.intact += 1;
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match self.link.receive::<WorkerMessage>(&mut rest) {
                Ok(Some(message)) => {
                    assert_eq!(peer.said.get(self.received).map(|(_, said)| said), Some(&message), "forged");
                    self.received += 1;
                }
                Ok(None) => assert!(rest.is_empty()),
                Err(error) => {
                    let is_blameless = is_same && self.intact == self.arrived.len();
                    assert!(!is_blameless && self.error.is_none(), "{error} over an intact path");
                    self.error = Some(error);
                }
            }
        }
        assert_eq!(self.link.traffic().received_bytes, self.arrived.len() as u64);
        assert!(self.link.buffered() <= MAX_FRAME_LEN, "{} bytes held", self.link.buffered());
        self.check(peer, is_same);
    }

    fn check(&self, peer: &End, is_same: bool) {
        let complete = peer.said.iter().take_while(|(end, _)| *end <= self.intact).count();
        assert_eq!(
            self.received, complete,
            "messages received, and messages whose bytes arrived as they were"
        );
        let is_shaken = is_same && self.intact >= self.handshake_len;
        assert_eq!(self.link.is_open(), is_shaken && self.error.is_none(), "after {} bytes", self.intact);
        if self.error.is_none() && !is_shaken {
            assert!(self.arrived.len() < self.handshake_len, "a handshake that does not verify is refused");
        }
    }

    fn check_end_of_stream(&self) {
        let mid_handshake =
            !self.link.is_open() && (self.handshake_len == RESPONSE_LEN || !self.arrived.is_empty());
        let expected = match self.link.handle_end() {
            _ if self.error.is_some() => Ok(()),
            _ if mid_handshake => Err(LinkError::HandshakeEnded),
            result => {
                assert!(matches!(result, Ok(()) | Err(LinkError::Truncated)));
                result
            }
        };
        assert_eq!(self.link.handle_end(), expected);
    }
}

fn piece(bytes: &[u8], at: usize, len: usize) -> Vec<u8> {
    let at = at.min(bytes.len());
    bytes[at..bytes.len().min(at + len)].to_vec()
}
