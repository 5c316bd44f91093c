//! Fuzz targets for the protocol. Their bodies are plain functions, so that the tests of a stable toolchain call
//! them too: `tests/corpus.rs` replays everything under `corpus/`.
//!
//! A fuzzer's bytes are read as a list of decisions ([`decode`] and [`handshake`] also take them as they are).
//! A target panics when something does not hold.

mod coordinator;
mod decode;
mod frames;
mod handshake;
mod input;
mod link;
mod messages;
mod round_trip;
mod strangers;
mod system;
mod worker;

pub use coordinator::coordinator;
pub use decode::decode;
pub use frames::frames;
pub use handshake::handshake;
pub use link::link;
pub use round_trip::round_trip;
pub use system::system;
pub use worker::worker;

/// The program of a target: cargo-fuzz links a fuzzing engine to it, everybody else gets one that does nothing.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $body(&[]);
        }
    };
}
