//! The project's own directory of drivers.

use super::DriverError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The cache of the project: what `cargo install` built, and the builds themselves.
///
/// ```text
/// <root>/drivers/bin/s2n-netbench-driver-...    installed programs
/// <root>/drivers/.crates2.json                  what cargo knows about them
/// <root>/target/                                shared by all builds
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in the directory `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache as the environment says: `$RUNNER_CACHE_DIR`, else `$XDG_CACHE_HOME/netbench-runner`, else
    /// `$HOME/.cache/netbench-runner`.
    ///
    /// # Errors
    /// [`DriverError::NoCache`] if none of them is set.
    pub fn from_env() -> Result<Self, DriverError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The cache as a lookup of environment variables says; see [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// [`DriverError::NoCache`] if none of them is set; a relative path counts for `RUNNER_CACHE_DIR` only.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, DriverError> {
        // The XDG base directory specification says that a relative path counts as none.
        let dir = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // An empty path has no absolute form.
        variable("RUNNER_CACHE_DIR")
            .and_then(|path| std::path::absolute(path).ok())
            .or_else(|| Some(dir("XDG_CACHE_HOME")?.join("netbench-runner")))
            .or_else(|| Some(dir("HOME")?.join(".cache/netbench-runner")))
            .map(Self::new)
            .ok_or(DriverError::NoCache)
    }

    /// The directory of the cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that is given to `cargo install --root`.
    pub fn install_root(&self) -> PathBuf {
        self.root.join("drivers")
    }

    /// The directory of the installed programs.
    pub fn bin_dir(&self) -> PathBuf {
        self.install_root().join("bin")
    }

    /// The directory in which drivers are built. All builds share it, because most of what they build is the
    /// same.
    pub fn target_dir(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The version of a crate that was installed here, from the record that cargo keeps.
    pub fn installed_version(&self, crate_name: &str) -> Option<String> {
        let json = fs::read(self.install_root().join(".crates2.json")).ok()?;
        let record: InstallRecord = serde_json::from_slice(&json).ok()?;
        // A key is `name version (source)`.
        record.installs.keys().find_map(|key| {
            let mut words = key.split(' ');
            (words.next() == Some(crate_name)).then(|| words.next().map(String::from)).flatten()
        })
    }
}

/// The part of cargo's record of installed crates that is needed.
#[derive(Deserialize)]
struct InstallRecord {
    installs: BTreeMap<String, IgnoredAny>,
}
