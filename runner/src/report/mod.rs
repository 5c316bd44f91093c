//! `report/index.html`: a run on one page that opens from disk, without a network.
//!
//! Everything is in the file: the data, the style sheet, Plotly and a short script that draws the plots. A
//! content security policy in the page has the browser refuse anything else.

mod data;
mod figures;
mod histogram;
mod html;
mod page;
mod palette;
mod samples;
mod series;
#[cfg(feature = "ec2")]
pub(crate) mod status;

use crate::{files::replace, summary::Summary};
use data::RunData;
#[cfg(feature = "ec2")]
pub(crate) use html::without_file_links;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the summary within the run directory.
const SUMMARY_FILE: &str = "summary.json";

/// Makes the report of the run in `run_dir` from its `summary.json` and the result files that it names, and
/// returns its path, `run_dir/report/index.html`.
///
/// Result files that are missing or damaged are named on the page. A report that exists is replaced at once:
/// whoever opens it sees the old or the new one.
pub fn write(run_dir: &Path) -> Result<PathBuf, ReportError> {
    let summary = read_summary(run_dir)?;
    let data = RunData::read(run_dir, &summary);
    let html = page::render(&summary, &data);
    let directory = run_dir.join("report");
    let path = directory.join("index.html");
    fs::create_dir_all(&directory)
        .and_then(|()| replace(&path, html.as_bytes()))
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The summary could not be read.
    #[error("cannot read {}: a report is made from a run directory (runs/<run-id>) with a summary in it", path.display())]
    ReadSummary {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The summary is not one.
    #[error("{} is not the summary of a run: was it changed, or written by another version?", path.display())]
    ParseSummary {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// The report could not be written.
    #[error("cannot write {}: the directory has to be writable and the disk must have room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn read_summary(run_dir: &Path) -> Result<Summary, ReportError> {
    let path = run_dir.join(SUMMARY_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ReportError::ReadSummary { path, source }),
    };
    serde_json::from_slice(&text).map_err(|source| ReportError::ParseSummary { path, source })
}
