//! What can go wrong with files on their way to the bucket and back.

use crate::api::ApiError;
use std::io;
use std::path::PathBuf;

/// A file did not come where it should.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The service refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A local file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A local file cannot be written.
    #[error("{path} cannot be written: {source}; is there space on the disk?")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The body of an object broke off.
    #[error("the download of {key} broke off: {cause}")]
    BrokenOff {
        /// The object.
        key: String,
        /// Why.
        cause: String,
    },
    /// A host uploaded a name that no result has.
    #[error("the object {key:?} has a name that would leave the directory {directory}: it was refused")]
    Escapes {
        /// The object.
        key: String,
        /// Where it was to go.
        directory: PathBuf,
    },
    /// A link cannot be signed.
    #[error("no link to {key} can be signed: {cause}; a link lives for at most 7 days")]
    Unsigned {
        /// The object.
        key: String,
        /// Why.
        cause: String,
    },
    /// Some objects were not deleted.
    #[error(
        "{count} objects below {prefix} were not deleted, among them {example}: {cause}; \
         the caller needs s3:DeleteObject"
    )]
    NotDeleted {
        /// What was to be deleted.
        prefix: String,
        /// How many are left.
        count: usize,
        /// One of them.
        example: String,
        /// Why that one.
        cause: String,
    },
    /// An object is not what it should be.
    #[error("{key} is not text of at most {limit_bytes} bytes")]
    NotText {
        /// The object.
        key: String,
        /// Most bytes.
        limit_bytes: usize,
    },
}
