//! Where a program of the hosts comes from: decided before a host costs anything, by a pure function.
//!
//! A local file that all hosts can run is uploaded once. Hosts of an architecture that no local file fits get a program
//! that one of them builds.

use backends::drivers::Package;
use ec2::artifacts::Form;
use ec2::plan::Architecture;
use std::path::PathBuf;

/// What programs find on hosts of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Machine {
    pub(super) architecture: Architecture,
    /// The version of their C library, major and minor, if it is known.
    pub(super) glibc: Option<(u16, u16)>,
}

/// A local file that may be a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    /// What it is, or why it is none.
    pub(super) form: Result<Form, String>,
}

/// Where a program can be built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) package: Package,
    /// Whether it is built with the features that it has by default.
    pub(super) default_features: bool,
    /// Its name in the package.
    pub(super) program: String,
}

/// A program that hosts need.
#[derive(Clone, Debug)]
pub(super) struct Need {
    /// In words: `the worker`.
    pub(super) what: String,
    /// Its paths below the run's directory on the hosts.
    pub(super) names: Vec<String>,
    /// The hosts that need it; each kind once.
    pub(super) machines: Vec<Machine>,
    /// What it could be; code for a machine comes before scripts, and earlier ones before later ones.
    pub(super) files: Vec<LocalFile>,
    /// What it is built from where no file fits.
    pub(super) source: Option<Source>,
    /// What the user can do where no file fits and there is no source.
    pub(super) advice: String,
}

/// How hosts get a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// A local file is uploaded.
    Upload {
        file: PathBuf,
        /// The only hosts that get it; without, all do.
        only: Option<Architecture>,
    },
    /// A host builds it for all of its kind.
    Build { architecture: Architecture, source: Source },
}

/// A program that some hosts cannot get.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not there for the {architecture} hosts: {reason}; {advice}")]
pub(super) struct Unsupplied {
    what: String,
    architecture: Architecture,
    reason: String,
    advice: String,
}

/// How the hosts get what they need.
///
/// # Errors
/// The first kind of host that cannot get it, with the reason and what to do.
pub(super) fn supply(need: &Need) -> Result<Vec<Supply>, Unsupplied> {
    let mut supplies = Vec::new();
    for &machine in &need.machines {
        let architecture = machine.architecture;
        supplies.push(match (choose(&need.files, machine), &need.source) {
            (Ok(file), _) => Supply::Upload { file, only: Some(architecture) },
            (Err(_), Some(source)) => Supply::Build { architecture, source: source.clone() },
            (Err(reason), None) => {
                let (what, advice) = (need.what.clone(), need.advice.clone());
                return Err(Unsupplied { what, architecture, reason, advice });
            }
        });
    }
    Ok(for_all(&supplies).map_or(supplies, |supply| vec![supply]))
}

/// The one supply that does for all hosts, if there is one.
fn for_all(supplies: &[Supply]) -> Option<Supply> {
    let mut files = supplies.iter().map(|supply| match supply {
        Supply::Upload { file, .. } => Some(file),
        Supply::Build { .. } => None,
    });
    let first = files.next()??;
    files.all(|file| file == Some(first)).then(|| Supply::Upload { file: first.clone(), only: None })
}

/// The file for hosts of one kind, or why there is none.
fn choose(files: &[LocalFile], machine: Machine) -> Result<PathBuf, String> {
    let (mut script, mut reasons) = (None, Vec::new());
    for file in files {
        match &file.form {
            Ok(Form::Script) => script = script.or(Some(file)),
            Ok(Form::Code(program)) => match program.check(&file.path, machine.architecture, machine.glibc) {
                Ok(()) => return Ok(file.path.clone()),
                Err(unfit) => reasons.push((program.architecture == machine.architecture, unfit.to_string())),
            },
            Err(reason) => reasons.push((false, reason.clone())),
        }
    }
    // What is made for other hosts is the less interesting reason.
    reasons.sort_by_key(|(is_near, _)| !is_near);
    let reason =
        reasons.into_iter().next().map_or_else(|| "no file was found".to_owned(), |(_, reason)| reason);
    script.map(|file| file.path.clone()).ok_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::{Arm64, X86_64};
    use ec2::artifacts::{Linkage, Program};

    /// `x86`, `arm`: code for glibc 2.34; `-new` for 2.36, `-static` for none, `-musl` for another loader. `script`,
    /// and `mac` for what is no program.
    fn file(name: &str) -> LocalFile {
        let architecture = if name.starts_with("arm") { Arm64 } else { X86_64 };
        let interpreter =
            if name.ends_with("-musl") { "/lib/ld-musl.so.1" } else { architecture.interpreter() };
        let is_static = name.ends_with("-static");
        let linkage =
            if is_static { Linkage::Static } else { Linkage::Dynamic { interpreter: interpreter.into() } };
        let glibc = (!is_static).then_some(if name.ends_with("-new") { (2, 36) } else { (2, 34) });
        let form = match name {
            "script" => Ok(Form::Script),
            "mac" => Err("mac is no program for Linux".to_owned()),
            _ => Ok(Form::Code(Program { architecture, linkage, glibc })),
        };
        LocalFile { path: name.into(), form }
    }

    /// What `supply` says, in short, for hosts, files, and whether there is a source.
    fn said(machines: &str, files: &str, has_source: bool) -> String {
        let machine = |name| match name {
            "x86" => Machine { architecture: X86_64, glibc: Some((2, 34)) },
            // An image whose library nobody knows.
            "x86-own-image" => Machine { architecture: X86_64, glibc: None },
            _ => Machine { architecture: Arm64, glibc: Some((2, 34)) },
        };
        let source = has_source.then(|| Source {
            package: "registry:p@1.0.0".parse().unwrap(),
            default_features: true,
            program: "p".into(),
        });
        let need = Need {
            what: "the worker".into(),
            names: vec!["bin/runner".into()],
            machines: machines.split_whitespace().map(machine).collect(),
            files: files.split_whitespace().map(file).collect(),
            source,
            advice: "do this".into(),
        };
        let short = |supply: &Supply| match supply {
            Supply::Upload { file, only: None } => format!("{} for all", file.display()),
            Supply::Upload { file, only: Some(architecture) } => {
                format!("{} for {architecture}", file.display())
            }
            Supply::Build { architecture, .. } => format!("build for {architecture}"),
        };
        match supply(&need) {
            Ok(supplies) => supplies.iter().map(short).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_table_of_supplies() {
        for (machines, files, has_source, expected) in [
            // One kind of host.
            ("x86", "x86", true, "x86 for all"),
            ("x86", "x86 x86-static", false, "x86 for all"),
            ("x86", "x86-new x86-static", false, "x86-static for all"),
            ("x86", "script", false, "script for all"),
            ("x86", "script x86", false, "x86 for all"),
            ("x86", "x86-new", true, "build for x86_64"),
            ("x86", "x86-musl", true, "build for x86_64"),
            ("x86", "", true, "build for x86_64"),
            ("x86", "mac", true, "build for x86_64"),
            ("x86-own-image", "x86-new", false, "x86-new for all"),
            ("arm", "x86", true, "build for arm64"),
            ("arm", "x86 arm", false, "arm for all"),
            // Two.
            ("x86 arm", "x86 arm", false, "x86 for x86_64, arm for arm64"),
            ("x86 arm", "arm x86", false, "x86 for x86_64, arm for arm64"),
            ("x86 arm", "script", false, "script for all"),
            ("x86 arm", "x86 script", false, "x86 for x86_64, script for arm64"),
            ("x86 arm", "x86", true, "x86 for x86_64, build for arm64"),
            ("x86 arm", "x86-new arm", true, "build for x86_64, arm for arm64"),
            ("x86 arm", "", true, "build for x86_64, build for arm64"),
        ] {
            assert_eq!(said(machines, files, has_source), expected, "{machines} <- {files}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_said_with_the_nearest_reason() {
        for (machines, files, expected) in [
            ("x86 arm", "x86", "for the arm64 hosts: x86 is built for x86_64, the hosts are arm64"),
            ("x86", "arm x86-new", "for the x86_64 hosts: x86-new needs glibc 2.36, the hosts have 2.34"),
            ("x86", "mac", "for the x86_64 hosts: mac is no program for Linux"),
            ("x86", "", "for the x86_64 hosts: no file was found"),
        ] {
            let said = said(machines, files, false);
            assert!(said.contains(expected) && said.starts_with("the worker is not there"), "{said}");
            assert!(said.ends_with("; do this"), "{said}");
        }
    }
}
