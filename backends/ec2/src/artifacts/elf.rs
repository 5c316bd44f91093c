//! Whether a program can run on a host, as far as its file says: found out before a host costs anything.

use crate::plan::Architecture;
use object::Endianness;
use object::elf::{EM_386, EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, Machine};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The C library of Amazon Linux 2023.
pub const AL2023_GLIBC: (u16, u16) = (2, 34);

/// What a program's file says about where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its architecture.
    pub architecture: Architecture,
    /// How it finds its libraries.
    pub linkage: Linkage,
    /// The newest version of glibc that it asks for, major and minor.
    pub glibc: Option<(u16, u16)>,
}

/// How a program finds its libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// It has them in itself.
    Static,
    /// This program on the host loads them.
    Dynamic {
        /// Its path.
        interpreter: String,
    },
}

/// A program that cannot run on a host.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no Linux program, or only a part of one.
    #[error(
        "{path} is not a program for 64-bit Linux ({why}): give a driver or a worker built for the hosts"
    )]
    NotAProgram {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is for other processors.
    #[error(
        "{path} is built for {is}, the hosts are {expected}: choose an instance type of {is}, or build it for \
         {expected}"
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What it is built for.
        is: String,
        /// What the hosts are.
        expected: Architecture,
    },
    /// It needs a newer C library.
    #[error(
        "{path} needs glibc {}.{}, the hosts have {}.{}: build it on a system with glibc {}.{} or older, \
         link it statically (musl), or have it built on a host", .needs.0, .needs.1, .has.0, .has.1, .has.0, .has.1
    )]
    Glibc {
        /// The file.
        path: PathBuf,
        /// What it needs.
        needs: (u16, u16),
        /// What the hosts have.
        has: (u16, u16),
    },
    /// It is started by a program that the hosts lack.
    #[error(
        "{path} is started by {interpreter}, the hosts have {expected}: link it statically, or against glibc"
    )]
    Interpreter {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        interpreter: String,
        /// What hosts have.
        expected: &'static str,
    },
}

/// What the file at `path` says about where it runs.
///
/// # Errors
/// If it cannot be read, or is not a program for x86-64 or arm64 Linux.
pub fn inspect(path: &Path) -> Result<Program, Unfit> {
    let data = std::fs::read(path).map_err(|source| Unfit::Unreadable { path: path.to_owned(), source })?;
    let not = |error: object::Error| Unfit::NotAProgram { path: path.to_owned(), why: error.to_string() };
    let header = FileHeader64::<Endianness>::parse(data.as_slice()).map_err(not)?;
    let endian = header.endian().map_err(not)?;
    if !matches!(header.e_type(endian), ET_EXEC | ET_DYN) {
        let why = "it is neither an executable nor position-independent".to_owned();
        return Err(Unfit::NotAProgram { path: path.to_owned(), why });
    }
    let architecture = Architecture::of(header.e_machine(endian))
        .map_err(|why| Unfit::NotAProgram { path: path.to_owned(), why })?;
    Ok(Program {
        architecture,
        linkage: linkage(header, endian, &data).map_err(not)?,
        glibc: newest_glibc(header, endian, &data).map_err(not)?,
    })
}

impl Program {
    /// Whether it can run on hosts of `architecture` with this version of glibc, if that is known; errors name it by
    /// `path`.
    ///
    /// # Errors
    /// What does not fit, and what to do about it.
    pub fn check(
        &self,
        path: &Path,
        architecture: Architecture,
        glibc: Option<(u16, u16)>,
    ) -> Result<(), Unfit> {
        let path = path.to_owned();
        if self.architecture != architecture {
            let is = self.architecture.to_string();
            return Err(Unfit::Architecture { path, is, expected: architecture });
        }
        let expected = architecture.interpreter();
        match &self.linkage {
            Linkage::Dynamic { interpreter } if interpreter != expected => {
                return Err(Unfit::Interpreter { path, interpreter: interpreter.clone(), expected });
            }
            Linkage::Dynamic { .. } | Linkage::Static => {}
        }
        match self.glibc.zip(glibc) {
            Some((needs, has)) if needs > has => Err(Unfit::Glibc { path, needs, has }),
            Some(_) | None => Ok(()),
        }
    }
}

type Header = FileHeader64<Endianness>;

fn linkage(header: &Header, endian: Endianness, data: &[u8]) -> object::Result<Linkage> {
    for segment in header.program_headers(endian, data)? {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            return Ok(Linkage::Dynamic { interpreter: String::from_utf8_lossy(interpreter).into_owned() });
        }
    }
    Ok(Linkage::Static)
}

/// From the list of versions that the program asks its libraries for (.gnu.version_r).
fn newest_glibc(header: &Header, endian: Endianness, data: &[u8]) -> object::Result<Option<(u16, u16)>> {
    let sections = header.sections(endian, data)?;
    let mut newest = None;
    for section in sections.iter() {
        let Some((mut libraries, names)) = section.gnu_verneed(endian, data)? else { continue };
        let names = sections.strings(endian, data, names)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                newest = newest.max(glibc_version(version.name(endian, names)?));
            }
        }
    }
    Ok(newest)
}

/// `GLIBC_2.34` and `GLIBC_2.2.5` name versions of glibc; `GLIBCXX_3.4` and `GCC_3.0` do not.
fn glibc_version(name: &[u8]) -> Option<(u16, u16)> {
    let version = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    if version == "ABI_DT_RELR" {
        // The packed relocations that bear this name came with glibc 2.36.
        return Some((2, 36));
    }
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Architecture {
    /// What loads the libraries of a program on a glibc system.
    pub fn interpreter(self) -> &'static str {
        match self {
            Self::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }

    /// As `uname -m` says it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn of(machine: Machine) -> Result<Self, String> {
        match machine {
            EM_X86_64 => Ok(Self::X86_64),
            EM_AARCH64 => Ok(Self::Arm64),
            EM_386 => Err("it is built for 32-bit x86".to_owned()),
            Machine(other) => Err(format!("it is built for ELF machine number {other}")),
        }
    }
}

impl fmt::Display for Architecture {
    /// As EC2 says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Architecture =
        if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 };
    const THERE: Architecture =
        if cfg!(target_arch = "aarch64") { Architecture::X86_64 } else { Architecture::Arm64 };

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, bytes).unwrap();
        (directory, path)
    }

    /// The first 64 bytes of an ELF file, with no segments and no sections.
    fn header(class: u8, machine: u16, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        bytes[16..18].copy_from_slice(&kind.to_le_bytes());
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[20] = 1;
        bytes[52] = 64;
        bytes
    }

    fn check(path: &Path, architecture: Architecture, glibc: (u16, u16)) -> Result<(), Unfit> {
        inspect(path)?.check(path, architecture, Some(glibc))
    }

    #[test]
    fn this_program_fits_here_and_nowhere_else() {
        let path = std::env::current_exe().unwrap();
        let program = inspect(&path).unwrap();
        assert_eq!(program.architecture, HERE);
        assert_eq!(program.linkage, Linkage::Dynamic { interpreter: HERE.interpreter().to_owned() });
        let needs = program.glibc.unwrap();
        assert!(((2, 2)..(3, 0)).contains(&needs), "{needs:?}");

        check(&path, HERE, needs).unwrap();
        program.check(&path, HERE, None).unwrap();
        let older = check(&path, HERE, (needs.0, needs.1 - 1)).unwrap_err();
        assert!(matches!(older, Unfit::Glibc { .. }), "{older}");
        let text =
            format!("needs glibc {}.{}, the hosts have {}.{}:", needs.0, needs.1, needs.0, needs.1 - 1);
        assert!(older.to_string().contains(&text), "{older}");
        let other = check(&path, THERE, needs).unwrap_err();
        assert!(other.to_string().contains(&format!("built for {HERE}, the hosts are {THERE}")), "{other}");
    }

    #[test]
    fn a_static_program_needs_no_glibc() {
        let (_directory, path) = file(&header(2, 183, 2));
        let program = Program { architecture: Architecture::Arm64, linkage: Linkage::Static, glibc: None };
        assert_eq!(inspect(&path).unwrap(), program);
        check(&path, Architecture::Arm64, AL2023_GLIBC).unwrap();
    }

    #[test]
    fn what_is_no_program_says_why() {
        let cases = [
            (b"".to_vec(), ""),
            (b"#!/bin/sh\n".to_vec(), ""),
            (header(2, 62, 2)[..40].to_vec(), ""),
            (header(1, 3, 2), ""),
            (header(2, 243, 2), "machine number 243"),
            (header(2, 62, 1), "neither an executable"),
        ];
        for (bytes, why) in cases {
            let (_directory, path) = file(&bytes);
            let error = inspect(&path).unwrap_err();
            assert!(matches!(error, Unfit::NotAProgram { .. }), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(matches!(inspect(Path::new("/nowhere/program")), Err(Unfit::Unreadable { .. })));
    }

    #[test]
    fn a_program_that_is_cut_off_anywhere_is_an_error_or_readable_but_no_panic() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [1, 16, 63, 64, 100, 1000, 4096, whole.len() / 2, whole.len() - 1] {
            let (_directory, path) = file(&whole[..length]);
            let result = inspect(&path);
            assert!(result.is_err() || length > 1000, "{length}: {result:?}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(glibc_version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert!(glibc_version(b"GLIBC_2.34") > glibc_version(b"GLIBC_2.4"));
        assert_eq!(glibc_version(b"GLIBC_ABI_DT_RELR"), Some((2, 36)));
        for other in [b"GLIBC_PRIVATE".as_slice(), b"GLIBCXX_3.4", b"GCC_3.0", b"GLIBC_", b"\xff"] {
            assert_eq!(glibc_version(other), None);
        }
    }
}
