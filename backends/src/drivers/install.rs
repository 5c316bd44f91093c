//! Putting a driver into the cache with `cargo install`.

use super::search::{look_at, program_on_path};
use super::{COLLECTOR_PROGRAM, Cache, DriverName, Half, Package, programs_of_package};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io, thread};

/// The name under which the collector of netbench is installed.
pub const COLLECTOR: &str = "collector";

/// How long one installation may take. s2n-quic takes minutes on two cores.
pub const INSTALL_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// Builds a driver, or the collector ([`COLLECTOR`]), and puts its programs into the cache.
///
/// It is built from `source`; without one from the pinned version of a stock driver, or from the newest version of the
/// crate `s2n-netbench-driver-NAME`.
///
/// `path` is searched for cargo and for the tools that the build needs, and is the `PATH` of the build.
/// `progress` is told in a line what is being done; what cargo itself says goes to this process's stderr. The
/// build stays in the process group of its caller, so Ctrl-C reaches it.
///
/// The crates are installed with `--locked`: with today's versions of their dependencies they do not compile.
///
/// # Errors
/// [`InstallError`] says what is missing or went wrong. What was installed before stays as it was.
pub fn install(
    name: &DriverName,
    source: Option<&Package>,
    cache: &Cache,
    path: &OsStr,
    progress: &mut dyn FnMut(&str),
) -> Result<Installed, InstallError> {
    install_within(INSTALL_DEADLINE, name, source, cache, path, progress)
}

/// What an installation put where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The crate.
    pub crate_name: String,
    /// Its version, if cargo left a record of it.
    pub version: Option<String>,
    /// The programs that were looked for and found.
    pub programs: Vec<PathBuf>,
}

/// A driver could not be installed. The message is one line.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The driver is part of this project.
    #[error("the driver {0} is part of this program, there is nothing to install")]
    NothingToInstall(DriverName),
    /// There is no cargo.
    #[error("cargo was not found on PATH; install Rust from https://rustup.rs")]
    NoCargo,
    /// A tool that the build needs is not there.
    #[error(
        "building {crate_name} needs {tool}, which was not found on PATH; install it, for instance with {how}"
    )]
    ToolMissing {
        /// What was to be built.
        crate_name: String,
        /// The tool.
        tool: &'static str,
        /// How to get it.
        how: &'static str,
    },
    /// The directory of the cache cannot be made.
    #[error(
        "the driver cache {} cannot be created; set RUNNER_CACHE_DIR to a directory that can be written",
        dir.display()
    )]
    Cache {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// cargo cannot be started or waited for.
    #[error("{} cannot be run", cargo.display())]
    Start {
        /// The program.
        cargo: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// cargo failed.
    #[error("cargo could not install {crate_name} ({status}), its messages say why{hint}")]
    Failed {
        /// The crate.
        crate_name: String,
        /// How cargo ended.
        status: ExitStatus,
        /// What is often the reason, or nothing.
        hint: &'static str,
    },
    /// The build took too long and was ended.
    #[error(
        "installing {crate_name} took over {} s and was ended (deadline: driver installation)",
        deadline.as_secs()
    )]
    Deadline {
        /// The crate.
        crate_name: String,
        /// The time it had.
        deadline: Duration,
    },
    /// cargo succeeded, but a program is not there.
    #[error(
        "cargo installed {crate_name}, but {} is not there; is it a crate of a netbench driver?",
        program.display()
    )]
    ProgramMissing {
        /// The crate.
        crate_name: String,
        /// The program.
        program: PathBuf,
    },
}

/// The crate that holds both programs of a driver.
pub(super) fn crate_of_driver(name: &DriverName) -> String {
    format!("s2n-netbench-driver-{name}")
}

pub(super) fn install_within(
    deadline: Duration,
    name: &DriverName,
    source: Option<&Package>,
    cache: &Cache,
    path: &OsStr,
    progress: &mut dyn FnMut(&str),
) -> Result<Installed, InstallError> {
    if name.is_embedded() {
        return Err(InstallError::NothingToInstall(name.clone()));
    }
    let package = source.cloned().or_else(|| Package::stock(name));
    let crate_name = package.as_ref().map_or_else(|| crate_of(name), |package| package.name().to_owned());
    let crate_args = package.map_or_else(|| vec![crate_name.clone()], |package| package.cargo_args());
    let cargo = program_on_path("cargo", path).ok_or(InstallError::NoCargo)?;
    check_tools(name, &crate_name, path)?;
    let root = cache.install_root();
    fs::create_dir_all(&root).map_err(|source| InstallError::Cache { dir: root.clone(), source })?;

    let mut command = Command::new(&cargo);
    command.args(["install", "--locked", "--root"]).arg(&root).args(&crate_args);
    command.env("CARGO_TARGET_DIR", cache.target_dir()).env("PATH", path);
    // Settings of the directory that the user happens to be in are not for this build.
    command.current_dir(cache.root());
    // This process's stdout is for results.
    command.stdin(Stdio::null()).stdout(io::stderr());
    progress(&format!("cargo install --locked --root {} {}", root.display(), crate_args.join(" ")));

    let failed_to_run = |source| InstallError::Start { cargo: cargo.clone(), source };
    let mut child = command.spawn().map_err(failed_to_run)?;
    match wait_within(deadline, &mut child).map_err(failed_to_run)? {
        None => return Err(InstallError::Deadline { crate_name, deadline }),
        Some(status) if !status.success() => {
            return Err(InstallError::Failed { crate_name, status, hint: hint(name) });
        }
        Some(_) => {}
    }
    let programs = programs_of(name, cache);
    if let Some(program) = programs.iter().find(|program| look_at(program) != Half::Usable) {
        return Err(InstallError::ProgramMissing { crate_name, program: program.clone() });
    }
    Ok(Installed { version: cache.installed_version(&crate_name), crate_name, programs })
}

/// The crate of a driver or of the collector, as far as the name says it.
pub(super) fn crate_of(name: &DriverName) -> String {
    if name.as_str() == COLLECTOR { COLLECTOR_PROGRAM.into() } else { crate_of_driver(name) }
}

fn programs_of(name: &DriverName, cache: &Cache) -> Vec<PathBuf> {
    programs_of_package(name).iter().map(|program| cache.bin_dir().join(program)).collect()
}

/// Builds of C libraries fail late and in many words, so their tools are looked for beforehand.
fn check_tools(name: &DriverName, crate_name: &str, path: &OsStr) -> Result<(), InstallError> {
    let any_of = |programs: &[&str]| programs.iter().any(|program| program_on_path(program, path).is_some());
    let missing = |tool, how| InstallError::ToolMissing { crate_name: crate_name.into(), tool, how };
    if !matches!(name.as_str(), "s2n-quic" | "s2n-tls") {
        return Ok(());
    }
    if !any_of(&["cmake"]) {
        return Err(missing("cmake", "apt install cmake, dnf install cmake or brew install cmake"));
    }
    if !any_of(&["cc", "gcc", "clang"]) {
        return Err(missing("a C compiler", "apt install gcc, dnf install gcc or xcode-select --install"));
    }
    Ok(())
}

/// OpenSSL can be found in too many ways to look for it beforehand.
fn hint(name: &DriverName) -> &'static str {
    match name.as_str() {
        "native-tls" => {
            "; it needs pkg-config and the headers of OpenSSL: apt install pkg-config libssl-dev, \
             dnf install pkgconf openssl-devel or brew install openssl"
        }
        _ => "",
    }
}

/// Waits for the end of `child` and reaps it; `None` if the deadline passed, after which it is killed.
fn wait_within(deadline: Duration, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // Without reaping: the id stays valid until the owner of the child takes the status.
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        // Nobody listens any more after the deadline.
        let _ = ended.send(());
    });
    if end.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}
