//! The protocol's behaviour as text: every file in `scenarios/` is a list of commands with the log that they
//! lead to.
//!
//! ```text
//! # A comment, kept.
//! command arguments
//! another command
//! ----
//! the log since the last block, up to an empty line
//! ```
//!
//! `UPDATE_GOLDEN=1 cargo test -p sim --test scenarios` writes the logs anew; whoever does so reads
//! them before they are committed. The commands are in `scenario/command.rs`.

mod scenario;

use scenario::Scenario;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn every_scenario_leads_to_its_log() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", folder.display());

    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = String::new();
    for file in &files {
        let expected = std::fs::read_to_string(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        let actual = run(&name, &expected);
        if actual != expected && update {
            std::fs::write(file, actual).unwrap();
        } else if actual != expected {
            let _ = writeln!(differences, "\n{name}:\n{}", difference(&expected, &actual));
        }
    }
    assert!(
        differences.is_empty(),
        "the log is not the expected one ('-' expected, '+' actual).\n{differences}\n\
         If the change is meant: UPDATE_GOLDEN=1 cargo test -p sim --test scenarios"
    );
}

/// The file as it should be: its comments and commands, each block with its actual log.
fn run(name: &str, text: &str) -> String {
    let mut scenario = Scenario::new();
    let mut out = String::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line == "----" {
            while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
            out.push_str(&scenario.take_log());
        } else if !line.is_empty() && !line.starts_with('#') {
            scenario.execute(line).unwrap_or_else(|error| panic!("{name}:{}: {line:?}: {error}", at + 1));
        }
    }
    assert_eq!(scenario.take_log(), "", "{name}: the last block has no '----'");
    assert_eq!(scenario.breaches(), [], "{name}");
    out
}

/// The lines that differ, each with the two that come before it.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let same = expected.iter().zip(&actual).take_while(|(a, b)| a == b).count();
    let rest = |lines: &[&str]| lines.len() - same;
    let tail = expected[same..].iter().rev().zip(actual[same..].iter().rev());
    let same_tail = tail.take_while(|(a, b)| a == b).count();
    let mut out = String::new();
    for line in &expected[same.saturating_sub(2)..same] {
        let _ = writeln!(out, "    {line}");
    }
    for line in &expected[same..same + rest(&expected) - same_tail] {
        let _ = writeln!(out, "  - {line}");
    }
    for line in &actual[same..same + rest(&actual) - same_tail] {
        let _ = writeln!(out, "  + {line}");
    }
    out
}

#[test]
fn a_difference_is_shown_with_its_surroundings() {
    assert_eq!(difference("a\nb\nc\nd\ne", "a\nb\nx\ny\nd\ne"), "    a\n    b\n  - c\n  + x\n  + y\n");
}

#[test]
#[should_panic(expected = "x.txt:2: \"dance\": no such command")]
fn an_unknown_command_is_named_with_its_line() {
    run("x.txt", "# nothing\ndance\n----\n");
}
