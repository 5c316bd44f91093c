//! What a run has created outside, written down and synced before each creation.
//!
//! `cloud.jsonl` in the run directory: one line for what is about to be created, and one for what came of it. A line
//! that says only what was intended means that it may exist. What is not in it does not exist.

use crate::hosts::CloudHost;
use crate::names::RunNames;
use russula_proto::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Name of the file in the run directory.
pub const FILE: &str = "cloud.jsonl";

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// The run, and where it is.
    Run {
        /// Its name.
        run: String,
        /// The region.
        region: String,
        /// The bucket for its files.
        bucket: String,
    },
    /// Something is about to be created.
    Intent {
        /// What it is.
        kind: ResourceKind,
        /// Its name, or the token that finds it.
        name: String,
    },
    /// It was created.
    Created {
        /// What it is.
        kind: ResourceKind,
        /// Its name, or the token that finds it.
        name: String,
        /// What the service calls it.
        ids: Vec<String>,
    },
    /// The hosts that run, with their places.
    Hosts {
        /// All of them.
        hosts: Vec<CloudHost>,
    },
    /// From now on the hosts are given back: nothing can go on with them.
    GivingBack,
    /// The audit at the end of a teardown found nothing of the run.
    Gone,
}

/// Kinds of things that a run creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// The hosts; the name is the client token of their launch.
    Instances,
    /// The security group.
    SecurityGroup,
    /// A placement group.
    PlacementGroup,
    /// The parameter with the key.
    Parameter,
    /// Files in the bucket; the name is what theirs begin with.
    Objects,
}

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// The journal cannot be kept, so nothing may be created.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written, and what is not written there is not created: {source}", path.display())]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

impl Journal {
    /// Opens the journal in a run directory; it is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE);
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let opened = opened.and_then(|mut file| end_torn_line(&mut file).map(|()| file));
        // The name has to survive a crash as well as what is in the file.
        let opened = opened.and_then(|file| File::open(directory)?.sync_all().map(|()| file));
        match opened {
            Ok(file) => Ok(Self { path, file: Mutex::new(file) }),
            Err(source) => Err(JournalError { path, source }),
        }
    }

    /// Adds a line; it is on disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(entry).map_err(|error| self.error(error.into()))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A full disk may have cut the line before.
        let written = end_torn_line(&mut file).and_then(|()| file.write_all(&line));
        written.and_then(|()| file.sync_data()).map_err(|error| self.error(error))
    }

    /// Something is about to be created.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn intend(&self, kind: ResourceKind, name: &str) -> Result<(), JournalError> {
        self.write(&Entry::Intent { kind, name: name.to_owned() })
    }

    /// Files of the run are about to be put into the bucket, and later its pages.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn intend_objects(&self, names: &RunNames) -> Result<(), JournalError> {
        self.intend(ResourceKind::Objects, &names.prefix())?;
        self.intend(ResourceKind::Objects, &names.report_prefix())
    }

    /// It was created.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn created(&self, kind: ResourceKind, name: &str, ids: &[String]) -> Result<(), JournalError> {
        self.write(&Entry::Created { kind, name: name.to_owned(), ids: ids.to_vec() })
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError { path: self.path.clone(), source }
    }
}

/// A crash or a full disk may have cut the last line: whatever is written next begins a line of its own.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Resources that the journal can name when their tags are not visible yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The region of the run.
    pub region: Option<String>,
    /// The bucket for the run's files.
    pub bucket: Option<String>,
    /// Hosts, by id.
    pub instances: BTreeSet<String>,
    /// Security groups, by id.
    pub security_groups: BTreeSet<String>,
    /// Placement groups, by name. They may not have come into being.
    pub placement_groups: BTreeSet<String>,
}

impl Known {
    /// What the journal of `run` in its run directory knows; nothing if there is none.
    ///
    /// # Errors
    /// If there is one that cannot be read, or if it is that of another run.
    pub fn read(directory: &Path, run: &RunId) -> io::Result<Self> {
        let entries = match read(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let path = directory.join(FILE);
                return Err(io::Error::new(
                    error.kind(),
                    format!("{} cannot be read: {error}", path.display()),
                ));
            }
            Ok(entries) => entries,
        };
        let mut known = Self::default();
        for entry in entries {
            match entry {
                Entry::Run { run: other, .. } if other != run.as_str() => {
                    let path = directory.join(FILE);
                    let error = format!("{} is the journal of {other:?}, not of {run}", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Entry::Run { region, bucket, .. } => {
                    (known.region, known.bucket) = (Some(region), Some(bucket));
                }
                Entry::Intent { kind: ResourceKind::PlacementGroup, name } => {
                    known.placement_groups.insert(name);
                }
                Entry::Created { kind: ResourceKind::Instances, ids, .. } => known.instances.extend(ids),
                Entry::Created { kind: ResourceKind::SecurityGroup, ids, .. } => {
                    known.security_groups.extend(ids);
                }
                Entry::Created { .. }
                | Entry::Intent { .. }
                | Entry::Hosts { .. }
                | Entry::GivingBack
                | Entry::Gone => {}
            }
        }
        Ok(known)
    }
}

/// The lines of a journal that can be read. One that was cut by a crash is left out: what it would have told is known
/// from the intent before it, or was not done.
///
/// # Errors
/// If the file cannot be read.
pub fn read(directory: &Path) -> io::Result<Vec<Entry>> {
    // A cut may also be in the middle of a letter.
    let bytes = std::fs::read(directory.join(FILE))?;
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        "20261123-041500-1a2b".parse().unwrap()
    }

    #[test]
    fn a_journal_is_read_without_the_line_that_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.intend(ResourceKind::SecurityGroup, "netbench-r").unwrap();
        journal.created(ResourceKind::SecurityGroup, "netbench-r", &["sg-1".to_owned()]).unwrap();
        let mut file = OpenOptions::new().append(true).open(directory.path().join(FILE)).unwrap();
        file.write_all(br#"{"what":"intent","kind":"inst"#).unwrap();
        let kind = ResourceKind::SecurityGroup;
        let expected = [
            Entry::Intent { kind, name: "netbench-r".to_owned() },
            Entry::Created { kind, name: "netbench-r".to_owned(), ids: vec!["sg-1".to_owned()] },
        ];
        assert_eq!(read(directory.path()).unwrap(), expected);
        // The next process goes on behind it.
        Journal::open(directory.path()).unwrap().write(&Entry::GivingBack).unwrap();
        Journal::open(directory.path()).unwrap().write(&Entry::Gone).unwrap();
        let expected: Vec<Entry> = expected.into_iter().chain([Entry::GivingBack, Entry::Gone]).collect();
        assert_eq!(read(directory.path()).unwrap(), expected);
        let text = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), expected.len() + 1, "no line is empty: {text}");
    }

    #[test]
    fn a_journal_that_cannot_be_read_or_is_of_another_run_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(FILE)).unwrap();
        let error = Known::read(directory.path(), &run()).unwrap_err();
        assert!(error.to_string().contains("cloud.jsonl cannot be read"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let text = |text: &str| text.to_owned();
        let entry = Entry::Run { run: text("other"), region: text("us-east-1"), bucket: text("b") };
        Journal::open(directory.path()).unwrap().write(&entry).unwrap();
        let error = Known::read(directory.path(), &run()).unwrap_err();
        assert!(error.to_string().contains("is the journal of \"other\", not of 2026"), "{error}");
    }

    #[test]
    fn what_was_created_is_known_without_its_tags() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Known::read(directory.path(), &run()).unwrap(), Known::default());
        let journal = Journal::open(directory.path()).unwrap();
        let (region, bucket) = ("us-east-1".to_owned(), "the-bucket".to_owned());
        journal.write(&Entry::Run { run: run().to_string(), region, bucket }).unwrap();
        journal.intend(ResourceKind::SecurityGroup, "netbench-r").unwrap();
        journal.created(ResourceKind::SecurityGroup, "netbench-r", &["sg-1".to_owned()]).unwrap();
        journal.intend(ResourceKind::PlacementGroup, "netbench-r-cluster-a").unwrap();
        journal.intend(ResourceKind::Instances, "token").unwrap();
        journal.created(ResourceKind::Instances, "token", &["i-1".to_owned(), "i-2".to_owned()]).unwrap();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected = Known {
            region: Some("us-east-1".to_owned()),
            bucket: Some("the-bucket".to_owned()),
            instances: set(&["i-1", "i-2"]),
            security_groups: set(&["sg-1"]),
            placement_groups: set(&["netbench-r-cluster-a"]),
        };
        assert_eq!(Known::read(directory.path(), &run()).unwrap(), expected);
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = Journal::open(&directory.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("cloud.jsonl cannot be written"), "{error}");
    }
}
