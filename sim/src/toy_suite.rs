//! Primitives that cost nothing and protect nothing, for connections of a simulation.
//!
//! A real handshake costs more than a whole simulated run. These primitives have the same lengths and the same
//! faults show: another key, another prologue, a changed, repeated or missing message do not verify. Whoever
//! knows them can forge anything, so they are for worlds without attackers who know them. What is said stays
//! readable, so that the trace of a world can show it.

use russula_proto::noise::Entropy;
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver};
use snow::types::{Cipher, Dh, Hash, Random};

const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// The resolver for [`Key::for_simulation`](russula_proto::Key::for_simulation).
pub fn resolver(entropy: Entropy) -> BoxedCryptoResolver {
    Box::new(Toy { entropy })
}

struct Toy {
    entropy: Entropy,
}

impl CryptoResolver for Toy {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(ToyRandom(self.entropy)))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(ToyDh::default()))
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::new(ToyHash(Mixer::new(0))))
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(ToyCipher([0; KEY_LEN])))
    }
}

/// Returns what it is given.
struct ToyRandom(Entropy);

impl Random for ToyRandom {
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Error> {
        destination.copy_from_slice(self.0.get(..destination.len()).ok_or(Error::Rng)?);
        Ok(())
    }
}

/// The public key is the private one, and two of them agree on their sum.
#[derive(Default)]
struct ToyDh([u8; KEY_LEN]);

impl Dh for ToyDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    fn set(&mut self, key: &[u8]) {
        self.0.copy_from_slice(key);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        random.try_fill_bytes(&mut self.0)
    }

    fn pubkey(&self) -> &[u8] {
        &self.0
    }

    fn privkey(&self) -> &[u8] {
        &self.0
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        for ((out, own), peer) in out.iter_mut().zip(&self.0).zip(public) {
            *out = own.wrapping_add(*peer);
        }
        Ok(())
    }
}

/// The text as it is, and a checksum over everything.
struct ToyCipher([u8; KEY_LEN]);

impl ToyCipher {
    fn tag(&self, nonce: u64, authtext: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let mut mixer = Mixer::new(!nonce);
        mixer.add(&self.0);
        mixer.add(authtext);
        mixer.add(ciphertext);
        let mut tag = [0; TAG_LEN];
        tag[..8].copy_from_slice(&mixer.next().to_le_bytes());
        tag[8..].copy_from_slice(&mixer.next().to_le_bytes());
        tag
    }
}

impl Cipher for ToyCipher {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY_LEN]) {
        self.0 = *key;
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (ciphertext, tag) = out.split_at_mut(plaintext.len());
        ciphertext.copy_from_slice(plaintext);
        tag[..TAG_LEN].copy_from_slice(&self.tag(nonce, authtext, ciphertext));
        plaintext.len() + TAG_LEN
    }

    fn decrypt(&self, nonce: u64, authtext: &[u8], input: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (ciphertext, tag) = input.split_last_chunk::<TAG_LEN>().ok_or(Error::Decrypt)?;
        if *tag != self.tag(nonce, authtext, ciphertext) {
            return Err(Error::Decrypt);
        }
        out[..ciphertext.len()].copy_from_slice(ciphertext);
        Ok(ciphertext.len())
    }
}

struct ToyHash(Mixer);

impl Hash for ToyHash {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Mixer::new(0);
    }

    fn input(&mut self, data: &[u8]) {
        self.0.add(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        for chunk in out[..32].chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next().to_le_bytes());
        }
    }

    /// One pass instead of the four of HMAC, which is what most of a handshake would consist of.
    fn hmac(&mut self, key: &[u8], data: &[u8], out: &mut [u8]) {
        self.reset();
        self.input(key);
        self.input(data);
        self.result(out);
    }
}

/// Mixes bytes into 64 bits, and draws numbers from them (splitmix64).
struct Mixer(u64);

impl Mixer {
    fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn add(&mut self, data: &[u8]) {
        for chunk in data.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.0 = scramble(self.0 ^ u64::from_le_bytes(bytes)).wrapping_add(chunk.len() as u64);
        }
        self.0 = scramble(self.0 ^ data.len() as u64);
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }
}

fn scramble(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use russula_proto::wire::CoordinatorMessage;
    use russula_proto::{Group, Identity, Key, Link, LinkError};

    const KEY: Key = Key::for_simulation([7; Key::LEN], resolver);

    fn open(theirs: &Key) -> Result<(Link, Link), LinkError> {
        let identity = Identity { run: "run".parse().unwrap(), group: Group::Client, index: 3 };
        let mut dialed = Link::dialed(&KEY, &identity, [1; 32]);
        let mut accepted = Link::accepted(theirs, &identity, [2; 32], 9);
        let request = dialed.outgoing().to_vec();
        assert_eq!(accepted.receive::<CoordinatorMessage>(&mut &request[..])?, None);
        let response = accepted.outgoing().to_vec();
        dialed.handle_sent(request.len());
        accepted.handle_sent(response.len());
        assert_eq!(dialed.receive::<CoordinatorMessage>(&mut &response[..])?, None);
        Ok((dialed, accepted))
    }

    #[test]
    fn a_link_opens_and_carries_messages() {
        let (mut dialed, mut accepted) = open(&KEY).unwrap();
        assert_eq!((dialed.is_open(), dialed.ticket()), (true, 9));
        for _ in 0..3 {
            dialed.send(&CoordinatorMessage::ReadClock(u32::MAX));
            let bytes = dialed.outgoing().to_vec();
            dialed.handle_sent(bytes.len());
            let message = accepted.receive(&mut &bytes[..]).unwrap();
            assert_eq!(message, Some(CoordinatorMessage::ReadClock(u32::MAX)));
        }
    }

    #[test]
    fn another_key_and_a_changed_byte_do_not_verify() {
        let other = Key::for_simulation([8; Key::LEN], resolver);
        assert_eq!(open(&other).unwrap_err(), LinkError::Handshake);
        let (mut dialed, mut accepted) = open(&KEY).unwrap();
        dialed.send(&CoordinatorMessage::Finish);
        let mut bytes = dialed.outgoing().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(accepted.receive::<CoordinatorMessage>(&mut &bytes[..]), Err(LinkError::Forged));
    }
}
