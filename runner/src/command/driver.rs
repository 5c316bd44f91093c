//! `runner driver`: which driver programs there are, and how more come here.

use super::{CommandError, options};
use backends::drivers::{DriverName, DriverSource, EMBEDDED, Half, Listed, Role, install};
use clap::Subcommand;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Verbs of `runner driver`.
#[derive(Debug, Subcommand)]
pub(super) enum Driver {
    /// Build a driver from the crate registry into the driver cache
    ///
    /// tcp, s2n-quic, s2n-tls and native-tls are known; collector installs s2n-netbench-collector.
    Install {
        /// Name of the driver
        #[arg(required = true)]
        names: Vec<DriverName>,
        /// What a driver is built from: registry:PACKAGE@VERSION or git:URL@COMMIT#PACKAGE; repeat it for another
        /// one [default: the version of netbench's own drivers that this program is tried with]
        #[arg(long = "driver-source", value_name = "NAME=SOURCE")]
        sources: Vec<DriverSource>,
    },
    /// Say which drivers were found where
    List {
        /// Directory with driver programs, looked at before the driver cache and PATH
        #[arg(long, value_name = "DIR")]
        driver_dir: Option<PathBuf>,
    },
}

impl Driver {
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        match self {
            Self::Install { names, sources } => install_all(names, sources),
            Self::List { driver_dir } => list(driver_dir.clone()),
        }
    }
}

fn install_all(names: &[DriverName], sources: &[DriverSource]) -> Result<ExitCode, CommandError> {
    let paths = options::driver_paths(None)?;
    options::check_sources(sources, names)?;
    for name in names {
        if name.is_embedded() {
            return Err(CommandError::Input("the driver embedded is part of this program".into()));
        }
        let mut progress = |line: &str| {
            let _ = writeln!(std::io::stderr(), "{line}");
        };
        let source = sources.iter().find(|source| source.driver == *name).map(|source| &source.package);
        let installed = install::install(name, source, &paths.cache, &paths.path, &mut progress)?;
        for program in &installed.programs {
            let _ = writeln!(std::io::stdout(), "{}", program.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(driver_dir: Option<PathBuf>) -> Result<ExitCode, CommandError> {
    let paths = options::driver_paths(driver_dir)?;
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{EMBEDDED:12} part of this program");
    for driver in paths.list()? {
        let _ = writeln!(stdout, "{:12} {}", driver.name.to_string(), describe(&driver));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(driver: &Listed) -> String {
    let mut text = format!("{} {}", driver.source, driver.dir.display());
    if let Some(version) = &driver.version {
        text.push_str(&format!(", version {version}"));
    }
    for (role, half) in [(Role::Server, driver.server), (Role::Client, driver.client)] {
        match half {
            Half::Usable => {}
            Half::Missing => text.push_str(&format!("; {} is missing", role.program(&driver.name))),
            Half::Unusable(flaw) => text.push_str(&format!("; {}: {flaw}", role.program(&driver.name))),
        }
    }
    if driver.shadowed {
        text.push_str("; not used, the one above comes first");
    }
    text
}
