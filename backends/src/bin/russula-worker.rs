//! The worker of a measured host; see [`backends::worker`].

use std::process::ExitCode;

fn main() -> ExitCode {
    backends::worker::main(std::env::args_os(), &[])
}
