//! Files for the hosts of a run, and from them: by digest through the bucket.
//!
//! ```text
//! artifact  a local file with its digest
//! digest    the digest
//! elf       whether a program can run on a host
//! form      a script, or machine code
//! manifest  the list of hosts and files that each host reads
//! upload    what is not in the bucket yet
//! read      what is there
//! link      for whoever may read it there
//! collect   what hosts uploaded, into a directory
//! remove    everything below a prefix
//! ```

mod artifact;
mod collect;
mod digest;
mod elf;
mod error;
mod form;
mod link;
mod manifest;
mod read;
mod remove;
mod upload;

#[cfg(test)]
mod tests;

pub use artifact::{Artifact, PROGRAM_MODE, Place};
pub use collect::collect;
pub use digest::{BadDigest, Digest};
pub use elf::{AL2023_GLIBC, Linkage, Program, Unfit, inspect};
pub use error::ArtifactError;
pub use form::{Form, form_of};
pub use link::{LINK_LIFE_MAX, Link, Signer};
pub use manifest::{BadManifest, ManifestFile, manifest};
pub use read::{age, read_text};
pub use remove::remove_all;
pub(crate) use upload::{Put, put};
pub use upload::{upload_manifest, upload_own, upload_shared};
