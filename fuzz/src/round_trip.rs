//! Any message that can be made, encoded and decoded: the same message.

use crate::input::Input;
use crate::messages;
use russula_proto::wire;

/// Encodes and decodes the messages that `data` describes.
pub fn round_trip(data: &[u8]) {
    let mut input = Input::new(data);
    while !input.is_empty() {
        if input.flag() {
            let message = messages::coordinator_message(&mut input);
            assert_eq!(wire::decode(&wire::encode(&message)).as_ref(), Ok(&message));
        } else {
            let message = messages::worker_message(&mut input);
            assert_eq!(wire::decode(&wire::encode(&message)).as_ref(), Ok(&message));
        }
    }
}
