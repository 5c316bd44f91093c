//! The orchestrator's program.
//!
//! It is several programs in one file, so that a run needs nothing beside it: the orchestrator itself, a worker
//! (`runner worker ...`, started by a local run), and the embedded driver (by the name it is called by).

use runner::command;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    match name {
        Some(command::EMBEDDED_SERVER) => return embedded_driver::server_main(),
        Some(command::EMBEDDED_CLIENT) => return embedded_driver::client_main(),
        Some(_) | None => {}
    }
    if args.get(1).is_some_and(|arg| arg == command::WORKER) {
        args.remove(0);
        return backends::worker::main(args, &[command::WORKER]);
    }
    command::main(args)
}
