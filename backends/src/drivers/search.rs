//! Looking into one directory.

use super::{DriverName, Role, Source};
use rustix::fs::{Access, access};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A directory to look into.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) source: Source,
    /// Absolute.
    pub(super) dir: PathBuf,
}

/// What one directory holds of one driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The driver.
    pub name: DriverName,
    /// The kind of place.
    pub source: Source,
    /// The directory.
    pub dir: PathBuf,
    /// The server program.
    pub server: Half,
    /// The client program.
    pub client: Half,
    /// Whether an earlier directory has something of the same driver, which is then taken instead.
    pub shadowed: bool,
    /// The version, where it is known: for what was installed into the cache.
    pub version: Option<String>,
}

impl Listed {
    pub(super) fn look(place: &Place, name: &DriverName) -> Self {
        let [server, client] = Role::ALL.map(|role| look_at(&place.dir.join(role.program(name))));
        Self {
            name: name.clone(),
            source: place.source,
            dir: place.dir.clone(),
            server,
            client,
            shadowed: false,
            version: None,
        }
    }

    /// Whether this is what a search for the driver finds.
    pub fn is_chosen(&self) -> bool {
        !self.shadowed && self.server == Half::Usable && self.client == Half::Usable
    }
}

/// One of the two programs of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// It is not there.
    Missing,
    /// It is there and can be started.
    Usable,
    /// Something is there that cannot be started.
    Unusable(Flaw),
}

/// Why a program cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is a directory.
    Directory,
    /// It is neither a file nor a directory.
    NotAFile,
    /// It is a link to something that is not there.
    DanglingLink,
    /// This user may not execute it.
    NotExecutable,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "it is a directory",
            Self::NotAFile => "it is not a file",
            Self::DanglingLink => "it is a link to something that is not there",
            Self::NotExecutable => "it is not executable, chmod +x may help",
        })
    }
}

/// Looks whether there is a program at `path`.
///
/// What this user may not even look at counts as missing, as it does in a shell.
pub(crate) fn look_at(path: &Path) -> Half {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_ok() => {
            Half::Unusable(Flaw::DanglingLink)
        }
        Err(_) => Half::Missing,
        Ok(metadata) if metadata.is_dir() => Half::Unusable(Flaw::Directory),
        Ok(metadata) if !metadata.is_file() => Half::Unusable(Flaw::NotAFile),
        Ok(_) if access(path, Access::EXEC_OK).is_err() => Half::Unusable(Flaw::NotExecutable),
        Ok(_) => Half::Usable,
    }
}

/// The program `name` in the first directory of `path` that has it, as a shell would find it.
pub(crate) fn program_on_path(name: &str, path: &std::ffi::OsStr) -> Option<PathBuf> {
    let dirs = std::env::split_paths(path).filter(|dir| !dir.as_os_str().is_empty());
    dirs.map(|dir| dir.join(name)).find(|program| look_at(program) == Half::Usable)
}

/// Every driver of which `place` holds a program, sorted by name.
pub(super) fn list(place: &Place) -> Vec<Listed> {
    let names: BTreeSet<DriverName> = fs::read_dir(&place.dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| driver_of(entry.file_name().to_str()?))
        .collect();
    names.iter().map(|name| Listed::look(place, name)).collect()
}

fn driver_of(file_name: &str) -> Option<DriverName> {
    Role::ALL.iter().find_map(|role| file_name.strip_prefix(role.program_prefix())?.parse().ok())
}
