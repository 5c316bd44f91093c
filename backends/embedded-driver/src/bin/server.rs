//! `s2n-netbench-driver-server-embedded`: see [`embedded_driver`].

use std::process::ExitCode;

fn main() -> ExitCode {
    embedded_driver::server_main()
}
