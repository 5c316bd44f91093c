//! The drivers of a worker: what its command line names, and the programs that this comes to.

use crate::drivers::{
    DriverError, DriverName, DriverPaths, EMBEDDED, Flaw, Half, Role, look_at, program_on_path,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A driver and the program that it is on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DriverEntry {
    /// Name of the driver, as in `results/<scenario>/<driver>/`.
    pub(super) name: String,
    /// The program, as an absolute path.
    pub(super) path: PathBuf,
    /// Whether it is the embedded driver, which does two things that no other driver does: it writes the result file
    /// itself, and as a server it binds its port at the address of the host alone.
    ///
    /// Both the name and the program have to be the embedded driver's. Another program under its name
    /// (`--driver embedded=./script`) is sampled like any driver, and so is its program under another name, since
    /// its results would say `embedded` in a directory that does not.
    pub(super) is_embedded: bool,
}

/// `NAME` or `NAME=PATH`: a driver as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DriverArg {
    pub(super) name: String,
    /// Its program; without one it is looked for.
    program: Option<PathBuf>,
}

/// A driver cannot be run by this worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriverArgError {
    #[error("{source}; or name its program here: --driver {name}=PATH")]
    NotFound { name: DriverName, source: DriverError },
    #[error(
        "the driver {EMBEDDED} is neither in {}, beside this worker, nor in --driver-dir or on PATH; \
         cargo build --release -p embedded-driver makes it, --driver {EMBEDDED}=PATH names it",
        own_dir.display()
    )]
    NoEmbedded { own_dir: PathBuf },
    #[error("--driver {name}={}: there is no such program on PATH; for a file write its path, such as ./{}",
        program.display(), program.display())]
    NotOnPath { name: String, program: PathBuf },
    #[error("--driver {name}={}: there is no such file", program.display())]
    Missing { name: String, program: PathBuf },
    #[error("--driver {name}={}: {flaw}", program.display())]
    Unusable { name: String, program: PathBuf, flaw: Flaw },
    #[error("--driver {name}: {reason}; expected NAME=PATH, or a name to look for")]
    BadName { name: String, reason: String },
    #[error("the programs beside this worker cannot be looked for: {0}")]
    OwnPath(#[source] std::io::Error),
}

impl DriverArg {
    /// The program for `role`: the one that was named, or one that is found as `runner` finds drivers.
    pub(super) fn find(&self, role: Role, driver_dir: Option<&Path>) -> Result<DriverEntry, DriverArgError> {
        let path = match &self.program {
            Some(program) => self.named(program)?,
            None => self.look_for(role, driver_dir)?,
        };
        Ok(DriverEntry { is_embedded: is_embedded(&self.name, role, &path), name: self.name.clone(), path })
    }

    fn named(&self, program: &Path) -> Result<PathBuf, DriverArgError> {
        let name = self.name.clone();
        if program.components().count() == 1 && program.is_relative() && !program.starts_with(".") {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = program.to_str().and_then(|program| program_on_path(program, &path));
            return found.ok_or_else(|| DriverArgError::NotOnPath { name, program: program.into() });
        }
        match look_at(program) {
            Half::Usable => Ok(std::path::absolute(program).unwrap_or_else(|_| program.into())),
            Half::Missing => Err(DriverArgError::Missing { name, program: program.into() }),
            Half::Unusable(flaw) => Err(DriverArgError::Unusable { name, program: program.into(), flaw }),
        }
    }

    fn look_for(&self, role: Role, driver_dir: Option<&Path>) -> Result<PathBuf, DriverArgError> {
        let name: DriverName = self.name.parse().map_err(|error| DriverArgError::BadName {
            name: self.name.clone(),
            reason: format!("{error}"),
        })?;
        let not_found = |source| DriverArgError::NotFound { name: name.clone(), source };
        let mut paths = DriverPaths::from_env(driver_dir.map(Into::into)).map_err(not_found)?;
        if !name.is_embedded() {
            return paths.find(&name).map(|driver| driver.program(role).to_owned()).map_err(not_found);
        }
        let own_dir = own_dir().map_err(DriverArgError::OwnPath)?;
        paths.path = with_first(&own_dir, &paths.path);
        match paths.find(&name) {
            Ok(driver) => Ok(driver.program(role).to_owned()),
            Err(DriverError::Unknown { .. }) => Err(DriverArgError::NoEmbedded { own_dir }),
            Err(error) => Err(not_found(error)),
        }
    }
}

impl FromStr for DriverArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, program) = match text.split_once('=') {
            Some((name, path)) => (name, Some(PathBuf::from(path))),
            None => (text, None),
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.bytes().all(legal) {
            return Err(format!("{name:?} is no driver name: expected letters, digits, '-', '_' and '.'"));
        }
        if program.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(format!("the path of the program of {name} is missing after '='"));
        }
        Ok(Self { name: name.into(), program })
    }
}

/// See [`DriverEntry::is_embedded`].
fn is_embedded(name: &str, role: Role, path: &Path) -> bool {
    let Ok(name) = name.parse::<DriverName>() else { return false };
    name.is_embedded() && path.file_name().is_some_and(|file| *file == *role.program(&name))
}

/// The directory that this program itself is in.
fn own_dir() -> std::io::Result<PathBuf> {
    let own_path = std::env::current_exe()?;
    Ok(own_path.parent().unwrap_or(Path::new("/")).into())
}

fn with_first(dir: &Path, path: &OsString) -> OsString {
    let dirs = std::iter::once(dir.to_owned()).chain(std::env::split_paths(path));
    // It fails only for a directory with a ':' in its name, which cannot be on PATH.
    std::env::join_paths(dirs).unwrap_or_else(|_| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_embedded_driver_by_name_and_program_is_embedded() {
        let server = Path::new("/x/s2n-netbench-driver-server-embedded");
        assert!(is_embedded("embedded", Role::Server, server));
        assert!(!is_embedded("embedded", Role::Client, server), "it is the program of the other role");
        assert!(!is_embedded("mine", Role::Server, server), "its results would be those of another driver");
        assert!(!is_embedded("embedded", Role::Server, Path::new("/x/script.sh")));
        assert!(!is_embedded("tcp", Role::Server, Path::new("/x/s2n-netbench-driver-server-tcp")));
        assert!(!is_embedded("My_Driver", Role::Server, server));
    }
}
