//! What the hosts of a run said about themselves: kernel, processor, sysctls, and counters before and after.
//!
//! `facts/<group>-<index>/` in the run directory has `before.tsv` and `after.tsv` from the host and `orchestrator.tsv`
//! from whoever launched it; each line is a source, a name and a value, with tabs between. A run whose backend collects
//! no facts has no such directory. What cannot be read is left out: facts explain a run, and never fail one.

mod compare;
mod counters;

pub use compare::{Comparison, Difference, Fact};
pub use counters::{Counter, allowance_meaning, warnings};

use crate::files;
use crate::hosts::Role;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The directory of all facts, in the run directory.
const DIRECTORY: &str = "facts";

/// What the orchestrator knows about a host.
const ORCHESTRATOR_FILE: &str = "orchestrator.tsv";

/// The source of the facts in `orchestrator.tsv`.
pub const ORCHESTRATOR: &str = "orchestrator";

/// Most hosts whose facts are read.
const HOSTS_MAX: usize = 1000;

/// Most bytes of one file; a real one has about 20 kB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Most lines of one file.
const LINES_MAX: usize = 4096;

/// Most characters of a source or a name; a longer one is none.
const NAME_CHARS_MAX: usize = 120;

/// Most characters of a value; the rest is cut off.
const VALUE_CHARS_MAX: usize = 1000;

/// Values by source and name.
pub type Values = BTreeMap<(String, String), String>;

/// What is known about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Its group.
    pub role: Role,
    /// Its place in the group.
    pub index: usize,
    /// From before the first repetition.
    pub before: Values,
    /// From after the last one.
    pub after: Values,
    /// From whoever launched it.
    pub orchestrator: Values,
}

impl HostFacts {
    /// `server 0`.
    pub fn name(&self) -> String {
        format!("{} {}", self.role.word(), self.index)
    }

    /// The value of a fact, whoever knows it; what the host said first comes before what it said last.
    pub fn get(&self, source: &str, name: &str) -> Option<&str> {
        let key = (source.to_owned(), name.to_owned());
        let found = [&self.orchestrator, &self.before, &self.after].into_iter().find_map(|of| of.get(&key));
        found.map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The facts of all hosts in `run_dir`, clients first; none if the run has no facts.
pub fn read(run_dir: &Path) -> Vec<HostFacts> {
    let directory = run_dir.join(DIRECTORY);
    let mut names: Vec<(Role, usize, PathBuf)> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let (role, index) = host_of(entry.file_name().to_str()?)?;
            Some((role, index, entry.path()))
        })
        .collect();
    names.sort_by_key(|(role, index, _)| (std::cmp::Reverse(*role), *index));
    names.truncate(HOSTS_MAX);
    let host = |(role, index, path): (Role, usize, PathBuf)| HostFacts {
        role,
        index,
        before: read_file(&path.join("before.tsv")),
        after: read_file(&path.join("after.tsv")),
        orchestrator: read_file(&path.join(ORCHESTRATOR_FILE)),
    };
    names.into_iter().map(host).collect()
}

/// Writes what the orchestrator knows about a host, by name.
///
/// # Errors
/// If it cannot be written.
pub fn write(run_dir: &Path, role: Role, index: usize, facts: &[(&str, String)]) -> io::Result<()> {
    let directory = run_dir.join(DIRECTORY).join(format!("{}-{index}", role.word()));
    let line = |(name, value): &(&str, String)| {
        let value = value.replace(['\t', '\r', '\n'], " ");
        format!("{ORCHESTRATOR}\t{name}\t{value}\n")
    };
    let text: String = facts.iter().map(line).collect();
    fs::create_dir_all(&directory)?;
    files::replace(&directory.join(ORCHESTRATOR_FILE), text.as_bytes())
}

/// `server-0`.
fn host_of(name: &str) -> Option<(Role, usize)> {
    let (group, index) = name.split_once('-')?;
    let role = [Role::Server, Role::Client].into_iter().find(|role| role.word() == group)?;
    Some((role, index.parse().ok()?))
}

fn read_file(path: &Path) -> Values {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => parse(&String::from_utf8_lossy(&bytes)),
        Err(error) => {
            tracing::debug!("{}: {error}", path.display());
            Values::new()
        }
    }
}

/// The facts in a text; a line that is none is skipped.
fn parse(text: &str) -> Values {
    let fact = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let (source, name, value) = (parts.next()?, parts.next()?, parts.next()?);
        let is_name = |text: &str| !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX;
        let value = value.trim_end_matches('\r').chars().take(VALUE_CHARS_MAX).collect();
        (is_name(source) && is_name(name)).then(|| ((source.to_owned(), name.to_owned()), value))
    };
    text.lines().take(LINES_MAX).filter_map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_facts_are_skipped() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let text = format!(
            "kernel\trelease\t6.1.0\n\nno tabs\none\ttab\n\t\tempty\n{long}\tname\tvalue\nsysctl\ta\tb\tc\r\n\
             ethtool\tempty\t\nkernel\tlong\t{}",
            "é".repeat(VALUE_CHARS_MAX * 2)
        );
        let facts = parse(&text);
        let get = |source: &str, name: &str| facts.get(&(source.to_owned(), name.to_owned())).cloned();
        assert_eq!(facts.len(), 4, "{facts:?}");
        assert_eq!(get("kernel", "release").as_deref(), Some("6.1.0"));
        assert_eq!(get("sysctl", "a").as_deref(), Some("b\tc"));
        assert_eq!(get("ethtool", "empty").as_deref(), Some(""));
        assert_eq!(get("kernel", "long").map(|value| value.chars().count()), Some(VALUE_CHARS_MAX));
        assert!(parse(&"a\tb\tc\n".repeat(LINES_MAX)).len() == 1);
    }

    #[test]
    fn a_directory_without_facts_has_none_and_one_with_rubbish_has_what_makes_sense() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(read(run.path()), []);
        for name in ["server-0", "client-10", "client-2", "server-x", "elsewhere", "server--1"] {
            fs::create_dir_all(run.path().join("facts").join(name)).unwrap();
        }
        fs::write(run.path().join("facts/note"), "a file").unwrap();
        let bytes = b"kernel\trelease\t6\xff\nkernel\tmachine\tx86_64\n\xff\xfe";
        fs::write(run.path().join("facts/client-2/before.tsv"), bytes).unwrap();
        write(run.path(), Role::Client, 2, &[("zone", "us-east-1a\n\tx".to_owned())]).unwrap();
        let facts = read(run.path());
        let names: Vec<String> = facts.iter().map(HostFacts::name).collect();
        assert_eq!(names, ["client 2", "client 10", "server 0"]);
        assert_eq!(facts[0].get("kernel", "machine"), Some("x86_64"));
        assert_eq!(facts[0].get(ORCHESTRATOR, "zone"), Some("us-east-1a  x"));
        assert_eq!(facts[2].get("kernel", "machine"), None);
    }
}
