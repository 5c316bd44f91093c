//! The cryptography of a link: the Noise handshake `NNpsk0_25519_ChaChaPoly_BLAKE2s`, by the `snow` crate.
//!
//! Both sides prove with the first bytes they send that they have the key of the run (`psk0`), and a key of
//! its own for every connection comes from two ephemeral keys (`NN`), so that whoever learns the key of the
//! run later can read nothing that was recorded earlier. The prologue binds the connection to what it is for:
//! version, run, group and index. What differs in any of them does not verify.
//!
//! Source of the rules: The Noise Protocol Framework, revision 34, sections 5, 7.5 and 9.

use crate::identity::Identity;
use crate::key::Key;
use crate::wire::PROTOCOL_VERSION;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, TransportState};

/// Fresh randomness for one connection, from the caller's good random generator.
pub type Entropy = [u8; 32];

/// Length of the code that a message carries, by which it is known to be whole and from the peer, in bytes.
pub const TAG_LEN: usize = 16;

/// Length of the first message of a handshake in bytes: an ephemeral key, and a code over nothing.
pub const REQUEST_LEN: usize = 32 + TAG_LEN;

/// Length of the second one: an ephemeral key, and the answering side's payload with its code.
pub const RESPONSE_LEN: usize = 32 + RESPONSE_PAYLOAD_LEN + TAG_LEN;

/// Length of what the answering side says with its handshake message.
pub const RESPONSE_PAYLOAD_LEN: usize = 8;

const PROTOCOL_NAME: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Domain of the prologue, so that the key of a run means nothing to another protocol.
const PROLOGUE_DOMAIN: &[u8] = b"russula";

/// Where a link gets its primitives from.
#[derive(Clone, Copy)]
pub(crate) struct Suite(fn(Entropy) -> BoxedCryptoResolver);

impl Suite {
    /// X25519, ChaCha20-Poly1305 and BLAKE2s.
    pub(crate) const REAL: Self = Self(|entropy| Box::new(Real { entropy }));

    pub(crate) const fn of(resolver: fn(Entropy) -> BoxedCryptoResolver) -> Self {
        Self(resolver)
    }
}

/// The side that sends the first message: the state of its handshake, and that message.
pub(crate) fn request(key: &Key, peer: &Identity, entropy: Entropy) -> (Box<HandshakeState>, Vec<u8>) {
    let mut state = Box::new(
        builder(key, entropy, &prologue(peer))
            .and_then(Builder::build_initiator)
            .expect("the pattern needs a key and nothing else, and has it"),
    );
    let mut message = alloc::vec![0; REQUEST_LEN];
    let len = state.write_message(&[], &mut message).expect("the buffer has the length of the message");
    assert_eq!(len, REQUEST_LEN, "the length is fixed by the pattern");
    (state, message)
}

/// The answering side: verifies `request`, and returns the finished state with the answer to be sent.
///
/// # Errors
/// If the request was not made with this key for this identity.
pub(crate) fn respond(
    key: &Key,
    own: &Identity,
    entropy: Entropy,
    request: &[u8; REQUEST_LEN],
    payload: [u8; RESPONSE_PAYLOAD_LEN],
) -> Result<(Box<TransportState>, Vec<u8>), Error> {
    let mut state = builder(key, entropy, &prologue(own))?.build_responder()?;
    state.read_message(request, &mut [])?;
    let mut message = alloc::vec![0; RESPONSE_LEN];
    let len = state.write_message(&payload, &mut message)?;
    assert_eq!(len, RESPONSE_LEN, "the length is fixed by the pattern");
    Ok((Box::new(state.into_transport_mode()?), message))
}

/// The first side again: verifies the answer, and returns the finished state with what the answer says.
///
/// # Errors
/// If the answer was not made with the same key for the same identity, or to another request.
pub(crate) fn finish(
    mut state: Box<HandshakeState>,
    response: &[u8; RESPONSE_LEN],
) -> Result<(Box<TransportState>, [u8; RESPONSE_PAYLOAD_LEN]), Error> {
    let mut payload = [0; RESPONSE_PAYLOAD_LEN];
    state.read_message(response, &mut payload)?;
    Ok((Box::new(state.into_transport_mode()?), payload))
}

/// What both sides have to agree on: every field is delimited, so that no two meanings share their bytes.
fn prologue(identity: &Identity) -> Vec<u8> {
    let run = identity.run.as_str().as_bytes();
    let mut prologue = Vec::with_capacity(PROLOGUE_DOMAIN.len() + run.len() + 8);
    prologue.extend_from_slice(PROLOGUE_DOMAIN);
    prologue.push(PROTOCOL_VERSION);
    prologue.push(identity.group as u8);
    prologue.extend_from_slice(&identity.index.to_be_bytes());
    prologue.extend_from_slice(run);
    prologue
}

fn builder<'a>(key: &'a Key, entropy: Entropy, prologue: &'a [u8]) -> Result<Builder<'a>, Error> {
    let params: NoiseParams = PROTOCOL_NAME.parse()?;
    Builder::with_resolver(params, key.suite().0(entropy)).psk(0, key.as_bytes())?.prologue(prologue)
}

/// The primitives of snow, with our randomness.
struct Real {
    entropy: Entropy,
}

impl CryptoResolver for Real {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.entropy))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    /// Sealing a message takes a seventh of the time that it takes with the RustCrypto crates, and a barrier round
    /// seals and opens two of them for each worker.
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// A side of a handshake draws once: its ephemeral key. Randomness that is there once cannot be used twice.
struct Once(Option<Entropy>);

impl Random for Once {
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Error> {
        let entropy = self.0.take().ok_or(Error::Rng)?;
        if destination.len() != entropy.len() {
            return Err(Error::Rng);
        }
        destination.copy_from_slice(&entropy);
        Ok(())
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Suite")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::Group;

    fn identity(run: &str, group: Group, index: u16) -> Identity {
        Identity { run: run.parse().unwrap(), group, index }
    }

    fn shake(asked: &Identity, own: &Identity, keys: [u8; 2]) -> Result<(), Error> {
        let [ours, theirs] = keys.map(|byte| Key::from_bytes([byte; Key::LEN]));
        let (state, message) = request(&ours, asked, [1; 32]);
        let message = message.first_chunk().unwrap();
        let (mut worker, answer) = respond(&theirs, own, [2; 32], message, 7_u64.to_be_bytes())?;
        let (mut coordinator, payload) = finish(state, answer.first_chunk().unwrap())?;
        assert_eq!(u64::from_be_bytes(payload), 7);
        let (mut sealed, mut opened) = ([0; 32], [0; 32]);
        let len = coordinator.write_message(b"hello", &mut sealed)?;
        assert_eq!(worker.read_message(&sealed[..len], &mut opened)?, 5);
        assert_eq!(&opened[..5], b"hello");
        Ok(())
    }

    #[test]
    fn only_the_same_key_run_group_and_index_verify() {
        let own = identity("run", Group::Server, 1);
        assert!(shake(&own, &own, [3, 3]).is_ok());
        assert!(shake(&own, &own, [3, 4]).is_err());
        for other in [
            identity("rum", Group::Server, 1),
            identity("run", Group::Client, 1),
            identity("run", Group::Server, 2),
            identity("ru", Group::Server, 1),
        ] {
            assert!(shake(&other, &own, [3, 3]).is_err(), "{other}");
        }
    }

    #[test]
    fn an_answer_to_another_request_does_not_verify() {
        let (own, key) = (identity("run", Group::Client, 0), Key::from_bytes([3; Key::LEN]));
        let (_, recorded) = request(&key, &own, [1; 32]);
        let (_, answer) = respond(&key, &own, [2; 32], recorded.first_chunk().unwrap(), [0; 8]).unwrap();
        let (state, _) = request(&key, &own, [4; 32]);
        assert!(finish(state, answer.first_chunk().unwrap()).is_err());
    }
}
