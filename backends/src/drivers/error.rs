//! Why a driver cannot be used.

use super::{COLLECTOR_PROGRAM, DriverName, EMBEDDED, Flaw, Listed};
use std::path::PathBuf;

/// A driver, or the collector, cannot be used. The message is one line.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// No directory holds a program of the driver.
    #[error("unknown driver {name}; known: {}; to install it: runner driver install {name}", list(known))]
    Unknown {
        /// The driver.
        name: DriverName,
        /// The drivers that can be used.
        known: Vec<Listed>,
    },
    /// Only one of the two programs is there.
    #[error(
        "{} is missing, although there is {}; both have to be in the same directory",
        missing.display(), found.display()
    )]
    HalfMissing {
        /// The program that is missing.
        missing: PathBuf,
        /// The program that is there.
        found: PathBuf,
    },
    /// A program is there and cannot be started.
    #[error("{} cannot be started: {flaw}", program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why.
        flaw: Flaw,
    },
    /// The directory that the user gave is no directory.
    #[error(
        "--driver-dir {}: {}, expected a directory with driver programs",
        dir.display(),
        if *exists { "not a directory" } else { "no such directory" }
    )]
    DriverDir {
        /// What the user gave.
        dir: PathBuf,
        /// Whether something else is there.
        exists: bool,
    },
    /// The collector of netbench is in no directory.
    #[error("{COLLECTOR_PROGRAM} was not found; to install it: runner driver install collector")]
    NoCollector,
    /// The environment does not say where a cache may be.
    #[error("no place for the driver cache: set RUNNER_CACHE_DIR to a directory")]
    NoCache,
}

fn list(known: &[Listed]) -> String {
    let mut names = vec![EMBEDDED.to_string()];
    names.extend(
        known.iter().map(|driver| format!("{} ({} {})", driver.name, driver.source, driver.dir.display())),
    );
    names.join(", ")
}
