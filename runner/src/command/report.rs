//! `runner report`: the report of a run, made again.

use super::CommandError;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `runner report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Directory of the run, such as runs/latest
    directory: PathBuf,
}

impl Report {
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        let path = crate::report::write(&self.directory)?;
        // A closed stdout is the reader's wish; the file is there.
        let _ = writeln!(std::io::stdout(), "{}", path.display());
        Ok(ExitCode::SUCCESS)
    }
}
