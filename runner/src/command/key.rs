//! `runner key`: the key of a run.

use super::CommandError;
use backends::key_file;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `runner key`.
#[derive(Debug, Args)]
pub(super) struct MakeKey {
    /// The file; there must be none of that name yet
    file: PathBuf,
}

impl MakeKey {
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        key_file::create(&self.file)?;
        Ok(ExitCode::SUCCESS)
    }
}
