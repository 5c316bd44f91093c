//! Where driver programs come from.
//!
//! A driver is a pair of programs, `s2n-netbench-driver-server-NAME` and `s2n-netbench-driver-client-NAME`.
//! They are looked for in a fixed order: the directory that the user gave, the project's own cache, `PATH`.
//! The first directory that holds either half decides, and it has to hold both: halves of different builds
//! would measure something that nobody asked for.
//!
//! [`DriverPaths`] finds them, [`install`](install::install) puts them into the cache, [`Package`] says what they are
//! built from. The driver that is
//! part of this project, [`EMBEDDED`], is not looked for; whoever asks for it knows where it is.

mod cache;
mod error;
pub mod install;
mod name;
mod package;
mod search;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use error::DriverError;
pub use name::{BadDriverName, DriverName, Role};
pub use package::{BadPackage, DriverSource, Package, programs_of_package};
pub use search::{Flaw, Half, Listed};
#[cfg(target_os = "linux")]
pub(crate) use search::{look_at, program_on_path};

use search::Place;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of the driver that is part of this project. It is always known and never looked for.
pub const EMBEDDED: &str = "embedded";

/// The program name of the collector of netbench.
pub const COLLECTOR_PROGRAM: &str = "s2n-netbench-collector";

/// The places where driver programs may be.
#[derive(Clone, Debug)]
pub struct DriverPaths {
    /// The directory that the user gave (`--driver-dir`); it comes first.
    pub driver_dir: Option<PathBuf>,
    /// The project's own cache; it comes second.
    pub cache: Cache,
    /// Directories in the form of the variable `PATH`; they come last. Empty ones do not count.
    pub path: OsString,
}

impl DriverPaths {
    /// The places as the environment of this process says.
    ///
    /// # Errors
    /// [`DriverError::NoCache`] if the environment says nothing about where a cache may be.
    pub fn from_env(driver_dir: Option<PathBuf>) -> Result<Self, DriverError> {
        let cache = Cache::from_env()?;
        Ok(Self { driver_dir, cache, path: std::env::var_os("PATH").unwrap_or_default() })
    }

    /// Finds both programs of a driver.
    ///
    /// # Errors
    /// If there is no such driver, if one of its programs is missing or cannot be started, or if the
    /// directory that the user gave is none.
    pub fn find(&self, name: &DriverName) -> Result<Driver, DriverError> {
        for place in self.places()? {
            let listed = Listed::look(&place, name);
            let [server, client] = Role::ALL.map(|role| place.dir.join(role.program(name)));
            match (listed.server, listed.client) {
                (Half::Missing, Half::Missing) => {}
                (Half::Usable, Half::Usable) => {
                    return Ok(Driver { name: name.clone(), server, client, source: place.source });
                }
                (Half::Unusable(flaw), _) => return Err(DriverError::Unusable { program: server, flaw }),
                (_, Half::Unusable(flaw)) => return Err(DriverError::Unusable { program: client, flaw }),
                (Half::Missing, Half::Usable) => {
                    return Err(DriverError::HalfMissing { missing: server, found: client });
                }
                (Half::Usable, Half::Missing) => {
                    return Err(DriverError::HalfMissing { missing: client, found: server });
                }
            }
        }
        let known = self.list()?.into_iter().filter(Listed::is_chosen).collect();
        Err(DriverError::Unknown { name: name.clone(), known })
    }

    /// Finds the collector of netbench.
    ///
    /// # Errors
    /// If it is not there or cannot be started.
    pub fn find_collector(&self) -> Result<PathBuf, DriverError> {
        for place in self.places()? {
            let program = place.dir.join(COLLECTOR_PROGRAM);
            match search::look_at(&program) {
                Half::Missing => {}
                Half::Usable => return Ok(program),
                Half::Unusable(flaw) => return Err(DriverError::Unusable { program, flaw }),
            }
        }
        Err(DriverError::NoCollector)
    }

    /// Every driver in every place, sorted by name and then in the order in which places are searched.
    ///
    /// # Errors
    /// If the directory that the user gave is none. Other directories that are missing or cannot be read hold
    /// nothing.
    pub fn list(&self) -> Result<Vec<Listed>, DriverError> {
        let mut all: Vec<Listed> = self.places()?.iter().flat_map(search::list).collect();
        // The sort is stable: entries of the same name stay in the order of their places.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for index in 1..all.len() {
            all[index].shadowed = all[index].name == all[index - 1].name;
        }
        for listed in all.iter_mut().filter(|listed| listed.source == Source::Cache) {
            listed.version = self.cache.installed_version(&install::crate_of_driver(&listed.name));
        }
        Ok(all)
    }

    fn places(&self) -> Result<Vec<Place>, DriverError> {
        let mut places: Vec<Place> = Vec::new();
        let mut add = |source, dir: &Path| {
            // A program is started from another directory than the one that a relative path starts from.
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
            if places.iter().all(|place| place.dir != dir) {
                places.push(Place { source, dir });
            }
        };
        if let Some(dir) = &self.driver_dir {
            if !dir.is_dir() {
                return Err(DriverError::DriverDir { dir: dir.clone(), exists: dir.exists() });
            }
            add(Source::DriverDir, dir);
        }
        add(Source::Cache, &self.cache.bin_dir());
        for dir in std::env::split_paths(&self.path).filter(|dir| !dir.as_os_str().is_empty()) {
            add(Source::Path, &dir);
        }
        Ok(places)
    }
}

/// A driver that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: DriverName,
    /// Its server program, as an absolute path.
    pub server: PathBuf,
    /// Its client program, as an absolute path.
    pub client: PathBuf,
    /// Where both were found.
    pub source: Source,
}

impl Driver {
    /// The program for one role.
    pub fn program(&self, role: Role) -> &Path {
        match role {
            Role::Server => &self.server,
            Role::Client => &self.client,
        }
    }
}

/// The kind of place where a driver was found, in the order of search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The directory that the user gave.
    DriverDir,
    /// The project's own cache.
    Cache,
    /// A directory of `PATH`.
    Path,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DriverDir => "--driver-dir",
            Self::Cache => "driver cache",
            Self::Path => "PATH",
        })
    }
}
