//! `s2n-netbench-driver-client-embedded`: see [`embedded_driver`].

use std::process::ExitCode;

fn main() -> ExitCode {
    embedded_driver::client_main()
}
