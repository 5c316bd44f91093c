//! Writes result files so that whoever is killed while writing loses the current line at most.

use super::result_file::{Header, Sample};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes the lines of one result file.
#[derive(Debug)]
pub struct ResultWriter {
    file: File,
    line: Vec<u8>,
}

impl ResultWriter {
    /// Creates the file, or empties it, and writes the header.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let mut writer = Self { file: File::create(path)?, line: Vec::new() };
        writer.write_line(header)?;
        Ok(writer)
    }

    /// Continues a file that ends with a whole line, as [`super::repair`] leaves it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::options().append(true).open(path)?, line: Vec::new() })
    }

    /// Writes one line with a single `write` call: the operating system has it when this returns.
    ///
    /// # Errors
    /// What the file system says; the line may then be there in part.
    pub fn write(&mut self, sample: &Sample) -> io::Result<()> {
        self.write_line(sample)
    }

    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}
