//! What kind of file a program is.

use super::elf::{Program, Unfit, inspect};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A file that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// It names the program that reads it, and runs wherever there is one.
    Script,
    /// It is machine code.
    Code(Program),
}

/// The form of the file at `path`.
///
/// # Errors
/// If it cannot be read, or is neither a script nor a program for x86-64 or arm64 Linux.
pub fn form_of(path: &Path) -> Result<Form, Unfit> {
    let begins = File::open(path).and_then(|file| {
        let mut begins = Vec::new();
        file.take(2).read_to_end(&mut begins).map(|_| begins)
    });
    let begins = begins.map_err(|source| Unfit::Unreadable { path: path.to_owned(), source })?;
    if begins == b"#!" { Ok(Form::Script) } else { inspect(path).map(Form::Code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_code_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (text, is_script) in
            [("#!/bin/sh\n", true), ("#!", true), ("#", false), ("", false), ("echo", false)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(form_of(&path).is_ok_and(|form| form == Form::Script), is_script, "{text:?}");
        }
        assert!(matches!(form_of(&std::env::current_exe().unwrap()), Ok(Form::Code(_))));
        assert!(matches!(form_of(&directory.path().join("none")), Err(Unfit::Unreadable { .. })));
    }
}
