//! The worker program: listens for its coordinator and runs netbench drivers for it.
//!
//! It is a binary of its own, `russula-worker`, for measured hosts: one thread, no runtime, nothing that wakes
//! up by itself. The `runner` contains it as well and starts itself as a worker in a local run.

mod drivers;
mod options;
mod programs;
mod shutdown;

use crate::clock;
use crate::layout;
use crate::process::GuardProgram;
use crate::tcp::WorkerDriver;
use clap::Parser;
use options::Options;
use russula_proto::worker::Finish;
use russula_proto::{Identity, Text, Worker, WorkerConfig, WorkerLimits};
use shutdown::HostSignals;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing::{error, info, warn};

pub use options::GroupName;

/// The first argument that makes the program a guard; see [`crate::process`].
pub const GUARD_COMMAND: &str = "guard";

/// What the line on stdout begins with that tells where the worker listens.
pub const LISTENING: &str = "listening on ";

/// The `main` of a worker. `args` begin with the program's own name; `guard_args` are what has to stand before
/// [`GUARD_COMMAND`] on the command line of this executable to get here.
pub fn main(args: impl IntoIterator<Item = OsString>, guard_args: &[&str]) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|arg| arg == GUARD_COMMAND) {
        return crate::process::guard_main();
    }
    let options = match Options::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // It fails only when stderr is closed, and then there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    init_log();
    match run(&options, guard_args) {
        Ok(reason) => {
            match reason {
                Finish::RunOver => info!("ends: {reason}"),
                Finish::Requested | Finish::Orphaned => warn!("ends: {reason}"),
            }
            ExitCode::from(exit_code(reason))
        }
        Err(error) => {
            // Not by the log, which RUST_LOG may have turned off.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn exit_code(reason: Finish) -> u8 {
    match reason {
        Finish::RunOver => 0,
        Finish::Orphaned => 3,
        Finish::Requested => 130,
    }
}

/// Why a worker did not come to listen.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("{0}")]
    Options(#[from] options::OptionsError),
    #[error("cannot find out which program this is, which is needed to start it again as a guard: {0}")]
    OwnPath(#[source] std::io::Error),
    #[error("--key-file: {0}")]
    Key(#[source] crate::key_file::KeyError),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("cannot watch what tells the worker to end: {0}")]
    Signals(#[source] std::io::Error),
    #[error("the poll of the control connection failed: {0}")]
    Poll(#[source] std::io::Error),
}

fn run(options: &Options, guard_args: &[&str]) -> Result<Finish, WorkerError> {
    let prepared = options.prepare()?;
    let own_path = std::env::current_exe().map_err(WorkerError::OwnPath)?;
    let guard = guard_program(own_path, guard_args);
    let config = WorkerConfig {
        identity: Identity { run: options.run.clone(), group: options.group.into(), index: options.index },
        key: options.read_key().map_err(WorkerError::Key)?,
        session: clock::session(),
        work: prepared.work,
        programs: u16::try_from(prepared.drivers.len()).expect("the options limit the number of drivers"),
        program_version: Text::tail_of(env!("CARGO_PKG_VERSION")),
        limits: WorkerLimits {
            kill_grace: options.kill_grace,
            orphan: options.orphan_timeout,
            ..WorkerLimits::default()
        },
    };
    let ends_in = prepared.out.join(layout::orphan_ending(options.group.into(), &prepared.host.to_string()));
    let mut signals = HostSignals::new(options.exit_with_stdin).map_err(WorkerError::Signals)?;
    let address = options.listen;
    let programs = programs::DriverPrograms::new(prepared, guard);
    let mut driver = WorkerDriver::bind(address, Worker::new(config), programs)
        .map_err(|source| WorkerError::Listen { address, source })?;
    let bound = driver.address().map_err(|source| WorkerError::Listen { address, source })?;
    info!("{} worker {} of run {} listens on {bound}", options.group, options.index, options.run);
    // Whoever started the worker may wait for this line; a closed stdout means that nobody does.
    let _ = writeln!(std::io::stdout(), "{LISTENING}{bound}");
    let finish = driver.run(&mut signals).map_err(WorkerError::Poll)?;
    if finish == Finish::Orphaned {
        keep_ending(driver.worker(), &ends_in);
    }
    Ok(finish)
}

/// Nobody is there to be told how the driver ended; its host remembers it.
fn keep_ending(worker: &Worker, path: &Path) {
    let ending = worker.ending();
    let text = ending.map_or_else(|| "nothing was run".to_owned(), |ending| format!("the driver {ending}"));
    let record = serde_json::json!({
        "repetition": worker.repetition(),
        "what": text,
        "ending": ending,
    });
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match written.and_then(|()| std::fs::write(path, format!("{record:#}\n"))) {
        Ok(()) => error!("repetition {}: {text}; see {}", worker.repetition(), path.display()),
        Err(error) => {
            error!(
                "repetition {}: {text}; it cannot be kept in {}: {error}",
                worker.repetition(),
                path.display()
            );
        }
    }
}

fn guard_program(path: PathBuf, guard_args: &[&str]) -> GuardProgram {
    let args = guard_args.iter().copied().chain([GUARD_COMMAND]).map(OsString::from).collect();
    GuardProgram { path, args }
}

fn init_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    // A second initialization fails and changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        // It would panic where the log is on a full disk.
        .log_internal_errors(false)
        .try_init();
}
