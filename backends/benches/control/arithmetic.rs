//! The floor of a handshake: its arithmetic, on both sides, without sockets, links and messages.
//!
//! The primitives of `snow` through its handshake states, whose pattern was parsed before: two key pairs, two products
//! on the curve, and the hashes and seals that bind them together.

use crate::child::own_cpu_time;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use std::hint::black_box;
use std::time::Duration;

/// The pattern of a link; see `russula_proto::noise`.
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// As long as the prologue of a link.
const PROLOGUE: &[u8] = &[0; 16];

/// Length of what the answering side says.
const PAYLOAD: &[u8] = &[0; 8];

const KEY: &[u8; 32] = &[0x5a; 32];

/// The arithmetic of so many handshakes, one after another, in time on the processor.
pub(crate) fn measure(handshakes: u16) -> Duration {
    let params: NoiseParams = PATTERN.parse().expect("snow knows the pattern");
    let (mut request, mut response, mut payload) = ([0; 48], [0; 56], [0; 8]);
    let before = own_cpu_time();
    for seed in 1..=u64::from(handshakes) {
        let mut dialing = build(&params, seed, Builder::build_initiator);
        let mut answering = build(&params, !seed, Builder::build_responder);
        dialing.write_message(&[], &mut request).expect("the length is right");
        answering.read_message(&request, &mut []).expect("it verifies");
        answering.write_message(PAYLOAD, &mut response).expect("the length is right");
        dialing.read_message(&response, &mut payload).expect("it verifies");
        let states = (dialing.into_transport_mode(), answering.into_transport_mode());
        black_box((states.0.expect("it is done"), states.1.expect("it is done")));
    }
    own_cpu_time() - before
}

type Build = fn(Builder<'static>) -> Result<HandshakeState, Error>;

fn build(params: &NoiseParams, seed: u64, build: Build) -> HandshakeState {
    Builder::with_resolver(params.clone(), Box::new(Primitives(seed)))
        .psk(0, KEY)
        .and_then(|builder| builder.prologue(PROLOGUE))
        .and_then(build)
        .expect("the pattern needs a key and nothing else")
}

/// The primitives of snow with numbers that cost nothing in the place of random ones.
struct Primitives(u64);

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Numbers(self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

struct Numbers(u64);

impl Random for Numbers {
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Error> {
        for bytes in destination.chunks_mut(8) {
            // A multiplicative generator; its quality does not matter here.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.copy_from_slice(&self.0.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}
