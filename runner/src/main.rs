//! The orchestrator's program.
//!
//! It is several programs in one file, so that a run needs nothing beside it: the orchestrator itself, a worker
//! (`runner worker ...`, started by a local run), and the embedded driver (by the name it is called by).

use runner::command;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    #[cfg(target_os = "linux")]
    if let Some(code) = another_program(&args) {
        return code;
    }
    command::main(args)
}

/// Runs as one of the other programs, if that is what was called.
#[cfg(target_os = "linux")]
fn another_program(args: &[OsString]) -> Option<ExitCode> {
    let path = args.first().map(std::path::Path::new);
    let name = path.and_then(|path| path.file_name()).and_then(|name| name.to_str());
    match name {
        Some(command::EMBEDDED_SERVER) => return Some(embedded_driver::server_main()),
        Some(command::EMBEDDED_CLIENT) => return Some(embedded_driver::client_main()),
        Some(_) | None => {}
    }
    let is_worker = args.get(1).is_some_and(|arg| arg == command::WORKER);
    is_worker.then(|| backends::worker::main(args[1..].iter().cloned(), &[command::WORKER]))
}
