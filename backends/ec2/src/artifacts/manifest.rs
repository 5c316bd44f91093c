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
use super::digest::Digest;
use crate::hosts::CloudHost;
use std::fmt::Write as _;

/// A file of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Of its bytes.
    pub digest: Digest,
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
    /// Two files of one path, or two hosts of one instance.
    #[error("{0} is in the manifest twice")]
    Twice(String),
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
        let _ = writeln!(text, "file {} {:o} {} {}", file.digest, file.mode & 0o777, file.name, file.url);
    }
    Ok(text)
}

impl ManifestFile {
    /// The file that `artifact` becomes, fetched from `url`.
    pub fn new(artifact: &Artifact, url: String) -> Self {
        Self { digest: artifact.digest, mode: artifact.mode, name: artifact.name.clone(), url }
    }

    fn check(&self) -> Result<(), BadManifest> {
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
        ManifestFile { digest: [10; 32].into(), mode: 0o755, name: name.into(), url }
    }

    #[test]
    fn a_line_for_each_host_and_each_file() {
        let text = manifest(&[host("i-1")], &[file("bin/runner"), file("aarch64/bin/runner")]).unwrap();
        let (digest, url) = ("0a".repeat(32), file("").url);
        let expected = format!(
            "host i-1 client 7 10.0.0.7\nfile {digest} 755 bin/runner {url}\nfile {digest} 755 aarch64/bin/runner {url}\n"
        );
        assert_eq!(text, expected);
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
        let bad = ManifestFile { url: "http://a/b c".into(), ..file("a") };
        assert!(matches!(manifest(&[], &[bad]), Err(BadManifest::Field { what: "URL", .. })));
        assert_eq!(manifest(&[], &[file("a"), file("a")]), Err(BadManifest::Twice("a".into())));
        assert_eq!(manifest(&[host("i-1"), host("i-1")], &[]), Err(BadManifest::Twice("i-1".into())));
    }
}
