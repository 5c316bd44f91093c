//! Reads along what one side of a connection says, for the trace.

use russula_proto::noise::{REQUEST_LEN, RESPONSE_LEN, TAG_LEN};
use russula_proto::wire::{self, FrameReader};
use serde::de::DeserializeOwned;

use crate::model::End;

/// Puts the messages of one side together again. Works where the cipher leaves them readable, which the toy
/// suite does.
#[derive(Debug)]
pub(super) struct Sniffer {
    handshake_left: usize,
    reader: FrameReader,
}

impl Sniffer {
    /// For what `end` of a connection says.
    pub(super) fn of(end: End) -> Self {
        let handshake_left = match end {
            End::Dialer => REQUEST_LEN,
            End::Worker => RESPONSE_LEN,
        };
        Self { handshake_left, reader: FrameReader::default() }
    }

    /// The next message that ends in `bytes`, as long as they make sense.
    pub(super) fn next<M: DeserializeOwned>(&mut self, bytes: &mut &[u8]) -> Option<M> {
        let skipped = self.handshake_left.min(bytes.len());
        self.handshake_left -= skipped;
        *bytes = &bytes[skipped..];
        let payload = self.reader.read(bytes).ok()??;
        wire::decode(&payload[..payload.len() - TAG_LEN]).ok()
    }
}
