//! Any bytes as either message: an error, or a message that says the same again when it is encoded.

use russula_proto::outcome::{DETAIL_MAX, STDERR_TAIL_MAX};
use russula_proto::wire::{
    self, CoordinatorMessage, DecodeError, PROGRAM_VERSION_MAX, Position, Report, WorkerMessage,
};
use russula_proto::{Ending, Outcome, StartFailure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Decodes `data` as both kinds of messages.
pub fn decode(data: &[u8]) {
    check::<CoordinatorMessage>(data);
    if let Some(message) = check::<WorkerMessage>(data) {
        check_texts(&message);
    }
}

fn check<M: Debug + PartialEq + Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<M> {
    match wire::decode::<M>(bytes) {
        Ok(message) => {
            let again = wire::encode(&message);
            assert!(again.len() <= bytes.len(), "nothing says {message:?} in less than {again:?}");
            assert_eq!(wire::decode(&again).as_ref(), Ok(&message), "from {again:?}");
            check_borders::<M>(&again);
            Some(message)
        }
        Err(DecodeError::Trailing { extra, len }) => {
            assert_eq!(len, bytes.len());
            let message = wire::decode::<M>(&bytes[..len - extra]);
            assert!(extra > 0 && message.is_ok(), "{extra} bytes after {message:?}");
            None
        }
        Err(DecodeError::Message { len }) => {
            assert_eq!(len, bytes.len());
            None
        }
    }
}

/// A message ends where it ends: a byte less is none, a byte more is too much.
fn check_borders<M: Debug + PartialEq + DeserializeOwned>(encoded: &[u8]) {
    let len = encoded.len();
    assert_eq!(wire::decode::<M>(&encoded[..len - 1]), Err(DecodeError::Message { len: len - 1 }));
    let longer = [encoded, &[0]].concat();
    assert_eq!(wire::decode::<M>(&longer), Err(DecodeError::Trailing { extra: 1, len: len + 1 }));
}

fn check_texts(message: &WorkerMessage) {
    match message {
        WorkerMessage::Welcome(welcome) => {
            assert!(welcome.program_version.as_str().len() <= PROGRAM_VERSION_MAX);
        }
        WorkerMessage::Report(Report {
            position: Position::Ended(ending) | Position::Released(ending),
            ..
        }) => check_ending(ending),
        WorkerMessage::Report(_)
        | WorkerMessage::Refused(_)
        | WorkerMessage::Clock(_)
        | WorkerMessage::Farewell => {}
    }
}

fn check_ending(ending: &Ending) {
    let stderr_fits = |outcome: &Outcome| outcome.stderr_tail.as_str().len() <= STDERR_TAIL_MAX;
    assert!(ending.outcome().is_none_or(stderr_fits));
    if let Ending::StartFailed(StartFailure::Spawn(detail) | StartFailure::PortInUse { detail, .. }) = ending
    {
        assert!(detail.as_str().len() <= DETAIL_MAX);
    }
}
