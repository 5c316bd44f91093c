//! One link, and whatever somebody may say to it who wants to be taken for its peer.
//!
//! The real primitives also get bytes as they come. The toy ones do not: a fuzzer watches comparisons and would
//! soon know their tags. For the same reason the right bytes are known by where they came from, and not compared.

use crate::input::{Input, noise};
use crate::strangers::Differs;
use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN};
use russula_proto::wire::{CoordinatorMessage, MAX_FRAME_LEN};
use russula_proto::{Group, Identity, Key, Link, LinkError};

/// Plays the peer of a link, as `data` describes.
pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let mut scene = Scene::new(&mut input);
    for _ in 0..input.below(4) {
        scene.say(&mut input);
    }
    let pieces: Vec<usize> = (0..input.below(8)).map(|_| input.len().max(1)).collect();
    if scene.is_real {
        scene.said.extend_from_slice(input.take(usize::MAX));
    }
    scene.play(&pieces);
}

struct Scene {
    link: Link,
    is_real: bool,
    answers: bool,
    /// What the link under test has said.
    request: Vec<u8>,
    /// What is said to it.
    said: Vec<u8>,
    /// Whether that begins with what it must accept.
    is_right: bool,
}

impl Scene {
    fn new(input: &mut Input) -> Self {
        let (is_real, answers) = (input.flag(), input.flag());
        let (key, identity) = secrets(is_real, Differs::Nothing);
        let link = if answers {
            Link::accepted(&key, &identity, [ENTROPY; 32], TICKET)
        } else {
            Link::dialed(&key, &identity, [ENTROPY; 32])
        };
        let request = link.outgoing().to_vec();
        Self { link, is_real, answers, request, said: vec![], is_right: false }
    }

    fn say(&mut self, input: &mut Input) {
        let (mut bytes, mut is_right) = self.some_bytes(input);
        let (at, change) = (input.len(), input.byte());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= change;
            is_right &= change == 0;
        }
        if self.said.is_empty() && !bytes.is_empty() {
            self.is_right = is_right;
        }
        self.said.extend(bytes);
    }

    /// What a peer says, or one that differs from it, or one that has listened to another connection; and whether
    /// it is to be accepted.
    fn some_bytes(&self, input: &mut Input) -> (Vec<u8>, bool) {
        let what = input.below(6);
        let differs = input.one_of(&Differs::ALL);
        let entropy = input.byte();
        let (key, identity) = secrets(self.is_real, differs);
        let asked = || Link::dialed(&key, &identity, [entropy; 32]).outgoing().to_vec();
        let is_peer = differs == Differs::Nothing;
        match what {
            0 => (asked(), self.answers && is_peer),
            1 => (answer(&key, &identity, &self.request), !self.answers && is_peer),
            2 => (answer(&key, &identity, &asked()), !self.answers && is_peer && entropy == ENTROPY),
            3 => (self.request.clone(), false),
            4 => (noise(input.byte(), input.len()), false),
            _ => (self.said.clone(), false),
        }
    }

    fn play(&mut self, pieces: &[usize]) {
        let needed = if self.answers { REQUEST_LEN } else { RESPONSE_LEN };
        let said = std::mem::take(&mut self.said);
        let mut pieces = pieces.iter().copied().cycle();
        let mut arrived = 0;
        while arrived < said.len() {
            let len = pieces.next().unwrap_or(usize::MAX).min(said.len() - arrived);
            let mut piece = &said[arrived..arrived + len];
            arrived += len;
            let result = self.link.receive::<CoordinatorMessage>(&mut piece);
            assert!(!matches!(result, Ok(Some(_))), "nobody said {result:?}");
            assert!(self.link.buffered() <= MAX_FRAME_LEN, "{} bytes held", self.link.buffered());
            if arrived < needed {
                assert_eq!(result, Ok(None));
                self.check_closed();
            } else if !self.is_right {
                assert_eq!(result, Err(LinkError::Handshake));
                self.check_closed();
                return self.check_broken();
            } else if result.is_ok() {
                self.check_open();
            } else {
                assert!(matches!(result, Err(LinkError::Forged | LinkError::Length(_))), "{result:?}");
                return self.check_broken();
            }
        }
    }

    /// Before the peer has shown that it has the key, nothing is kept for it and nothing said to it.
    fn check_closed(&self) {
        assert!(!self.link.is_open());
        assert_eq!(self.link.outgoing(), self.request);
        assert_eq!(self.link.buffered(), 0);
    }

    fn check_open(&self) {
        assert!(self.link.is_open());
        let (waiting, ticket) =
            if self.answers { (RESPONSE_LEN, TICKET) } else { (REQUEST_LEN, PEER_TICKET) };
        assert_eq!(self.link.outgoing().len(), waiting);
        assert_eq!(self.link.ticket(), ticket);
    }

    fn check_broken(&mut self) {
        let mut more = &self.request[..];
        assert_eq!(self.link.receive::<CoordinatorMessage>(&mut more), Ok(None));
        assert!(more.is_empty() && !self.link.is_open());
        assert_eq!(self.link.handle_end(), Ok(()));
    }
}

/// What a worker answers to `request`: nothing, if that was not meant for it.
fn answer(key: &Key, identity: &Identity, request: &[u8]) -> Vec<u8> {
    let mut link = Link::accepted(key, identity, [2; 32], PEER_TICKET);
    // An error is an answer too: nothing.
    let _ = link.receive::<CoordinatorMessage>(&mut &*request);
    link.outgoing().to_vec()
}

fn secrets(is_real: bool, differs: Differs) -> (Key, Identity) {
    let key = if is_real { differs.real_key() } else { differs.toy_key() };
    (key, differs.identity(Group::Client, 0))
}

/// Of the link under test.
const ENTROPY: u8 = 1;
const TICKET: u64 = 5;
const PEER_TICKET: u64 = 6;
