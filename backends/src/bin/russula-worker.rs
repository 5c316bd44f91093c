//! The worker of a measured host; see [`backends::worker`].

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    backends::worker::main(std::env::args_os(), &[])
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("error: workers run on Linux only");
    ExitCode::from(2)
}
