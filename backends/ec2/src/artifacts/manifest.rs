//! The list of hosts and files that every host of a run reads.
//!
//! ```text
//! host <instance> <group> <index> <private address>
//! file <sha256> <mode, octal> <path below the run's directory> <URL>
//! ```
//!
//! Fields are separated by one space. Hosts read it with the `read` of a shell, so nothing in it may hold a space, a
//! line feed, or anything else that is not a visible ASCII character.

use super::artifact::Artifact;
use crate::hosts::CloudHost;
use std::fmt::Write as _;

/// A file of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// SHA-256 of its bytes: 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its permissions on the host.
    pub mode: u32,
    /// Its path below the run's directory; see [`Artifact::name`].
    pub name: String,
    /// Where hosts fetch it.
    pub url: String,
}

/// Something that a manifest cannot hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// A field with an unfit character, or an empty one.
    #[error("the {what} {value:?} cannot be in a manifest: it needs visible ASCII characters and no space")]
    Field {
        /// What it is.
        what: &'static str,
        /// The field.
        value: String,
    },
    /// A path that leaves the run's directory.
    #[error("the path {0:?} cannot be in a manifest: it must stay below the run's directory")]
    Path(String),
    /// A digest that is none.
    #[error("the digest {0:?} cannot be in a manifest: it needs 64 lower-case hexadecimal digits")]
    Digest(String),
    /// Two files of one path, or two hosts of one instance.
    #[error("{0} is in the manifest twice")]
    Twice(String),
    /// A line that is neither a host nor a file.
    #[error("line {number} of the manifest is not understood: {line:?}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// The line.
        line: String,
    },
}

/// The manifest of `hosts` and `files`.
///
/// # Errors
/// If something would break its format.
pub fn manifest(hosts: &[CloudHost], files: &[ManifestFile]) -> Result<String, BadManifest> {
    let mut text = String::new();
    let mut seen = Vec::new();
    for host in hosts {
        field("instance", &host.instance)?;
        once(&mut seen, &host.instance)?;
        let _ =
            writeln!(text, "host {} {} {} {}", host.instance, host.group.name(), host.index, host.private_ip);
    }
    for file in files {
        file.check()?;
        once(&mut seen, &file.name)?;
        let _ = writeln!(text, "file {} {:o} {} {}", file.sha256, file.mode & 0o777, file.name, file.url);
    }
    Ok(text)
}

/// The hosts (instance, group, index, private address) and the files of a manifest.
///
/// # Errors
/// The first line that is not understood.
pub fn parse_manifest(text: &str) -> Result<(Vec<[String; 4]>, Vec<ManifestFile>), BadManifest> {
    let (mut hosts, mut files) = (Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        let fields: Vec<&str> = line.split(' ').collect();
        let bad = || BadManifest::Line { number, line: line.to_owned() };
        match fields[..] {
            ["host", instance, group, index, address] => {
                hosts.push([instance, group, index, address].map(str::to_owned));
            }
            ["file", sha256, mode, name, url] => {
                let mode = u32::from_str_radix(mode, 8).map_err(|_| bad())?;
                let [sha256, name, url] = [sha256, name, url].map(str::to_owned);
                let file = ManifestFile { sha256, mode, name, url };
                file.check()?;
                files.push(file);
            }
            [..] => return Err(bad()),
        }
    }
    Ok((hosts, files))
}

impl ManifestFile {
    /// The file that `artifact` becomes, fetched from `url`.
    pub fn new(artifact: &Artifact, url: String) -> Self {
        let (sha256, name) = (artifact.sha256.clone(), artifact.name.clone());
        Self { sha256, mode: artifact.mode, name, url }
    }

    fn check(&self) -> Result<(), BadManifest> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.sha256.len() != 64 || !self.sha256.bytes().all(digit) {
            return Err(BadManifest::Digest(self.sha256.clone()));
        }
        field("path", &self.name)?;
        field("URL", &self.url)?;
        if self.name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(BadManifest::Path(self.name.clone()));
        }
        Ok(())
    }
}

fn field(what: &'static str, value: &str) -> Result<(), BadManifest> {
    // A shell's `read -r` gives back every visible character as it is.
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadManifest::Field { what, value: value.to_owned() });
    }
    Ok(())
}

fn once<'a>(seen: &mut Vec<&'a str>, name: &'a str) -> Result<(), BadManifest> {
    if seen.contains(&name) {
        return Err(BadManifest::Twice(name.to_owned()));
    }
    seen.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use russula_proto::Group;
    use std::net::Ipv4Addr;

    fn host(instance: &str) -> CloudHost {
        CloudHost {
            instance: instance.into(),
            group: Group::Client,
            index: 7,
            private_ip: Ipv4Addr::new(10, 0, 0, 7),
            public_ip: Ipv4Addr::new(192, 0, 2, 7),
            zone: "us-east-1a".into(),
            instance_type: "c7g.large".into(),
        }
    }

    fn file(name: &str) -> ManifestFile {
        let url = "https://b.s3.amazonaws.com/artifacts/x?a=b&c=%2F".into();
        ManifestFile { sha256: "0a".repeat(32), mode: 0o755, name: name.into(), url }
    }

    #[test]
    fn what_is_written_is_read() {
        let files = [file("bin/runner"), file("aarch64/bin/runner")];
        let text = manifest(&[host("i-1")], &files).unwrap();
        assert_eq!(text.lines().next(), Some("host i-1 client 7 10.0.0.7"));
        let (hosts, read) = parse_manifest(&text).unwrap();
        assert_eq!(hosts, [["i-1", "client", "7", "10.0.0.7"].map(str::to_owned)]);
        assert_eq!(read, files);
    }

    #[test]
    fn what_would_break_a_line_is_refused() {
        for name in ["", "a b", "a\nhost i-2 server 0 10.0.0.1", "a\tb", "ü", "a\u{7f}"] {
            assert!(
                matches!(manifest(&[], &[file(name)]), Err(BadManifest::Field { what: "path", .. })),
                "{name}"
            );
        }
        for name in ["/etc/passwd", "../key", "a/../../b", "a//b", "./a", "a/"] {
            assert_eq!(manifest(&[], &[file(name)]), Err(BadManifest::Path(name.into())));
        }
        let bad = ManifestFile { sha256: "0A".repeat(32), ..file("a") };
        assert!(matches!(manifest(&[], &[bad]), Err(BadManifest::Digest(_))));
        let bad = ManifestFile { url: "http://a/b c".into(), ..file("a") };
        assert!(matches!(manifest(&[], &[bad]), Err(BadManifest::Field { what: "URL", .. })));
        assert_eq!(manifest(&[], &[file("a"), file("a")]), Err(BadManifest::Twice("a".into())));
        assert_eq!(manifest(&[host("i-1"), host("i-1")], &[]), Err(BadManifest::Twice("i-1".into())));
    }

    #[test]
    fn lines_that_are_not_understood_are_named() {
        for line in ["", "host i-1 client 7", "file x 755 a b c", "other", "file x 9 a b"] {
            let error = parse_manifest(&format!("host i-1 client 7 10.0.0.7\n{line}\n")).unwrap_err();
            assert!(matches!(error, BadManifest::Line { number: 2, .. }), "{line:?}: {error}");
        }
    }
}
