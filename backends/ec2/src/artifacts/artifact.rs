//! A local file that hosts are to have, known by its digest.

use super::digest::Digest;
use super::error::ArtifactError;
use crate::names::RunNames;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Permissions of programs on a host.
pub const PROGRAM_MODE: u32 = 0o755;

/// Where a file lies in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By its digest, for all runs, until it expires: programs.
    Shared,
    /// Among the files of one run, which are removed with it: the scenario, which may hold secrets.
    Scenario,
}

/// A local file and where hosts are to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Of its bytes.
    pub digest: Digest,
    /// Where it lies in the bucket.
    pub place: Place,
    /// The local file.
    pub path: PathBuf,
    /// Its path below the run's directory on the host, such as `bin/runner`. A first component `x86_64` or `aarch64`
    /// is for such hosts only, and is left out there.
    pub name: String,
    /// Its permissions on the host.
    pub mode: u32,
    /// Its length in bytes.
    pub length_bytes: u64,
}

impl Artifact {
    /// The file at `path`, which hosts are to have as `name` with `mode`, through `place`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path, name: &str, mode: u32, place: Place) -> Result<Self, ArtifactError> {
        let read = || {
            let mut digest = Sha256::new();
            let length_bytes = io::copy(&mut File::open(path)?, &mut digest)?;
            Ok((Digest::from(<[u8; 32]>::from(digest.finalize())), length_bytes))
        };
        let (digest, length_bytes) =
            read().map_err(|source| ArtifactError::Read { path: path.to_owned(), source })?;
        Ok(Self { digest, place, path: path.to_owned(), name: name.to_owned(), mode, length_bytes })
    }

    /// Its key in the bucket, for the run with these names.
    pub fn key(&self, names: &RunNames) -> String {
        match self.place {
            Place::Shared => self.digest.key(),
            Place::Scenario => names.scenario(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_digest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let artifact = Artifact::of_file(&path, "bin/file", 0o755, Place::Shared).unwrap();
        let names = RunNames::new("r1".parse().unwrap());
        // From the standard, FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((artifact.key(&names), artifact.length_bytes), (format!("artifacts/{digest}"), 3));
        let scenario = Artifact { place: Place::Scenario, ..artifact };
        assert_eq!(scenario.key(&names), "runs/r1/scenario", "what is removed with the run");
        let missing = Artifact::of_file(&directory.path().join("none"), "bin/file", 0o755, Place::Shared);
        let missing = missing.unwrap_err();
        assert!(missing.to_string().contains("/none cannot be read"), "{missing}");
    }
}
