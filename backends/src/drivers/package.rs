//! A package that programs are built from, pinned: the same text gives the same source for ever.

use super::install::COLLECTOR;
use super::{COLLECTOR_PROGRAM, DriverName, Role};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The drivers of netbench itself, which are in the crate registry.
const STOCK: [&str; 4] = ["tcp", "s2n-quic", "s2n-tls", "native-tls"];

/// The version of the stock drivers and of the collector that this project is tried with.
const STOCK_VERSION: &str = "0.1.0";

/// Longest name of a package and longest version, in bytes. The registry has the first limit.
const NAME_MAX: usize = 64;

/// A package in the crate registry, by its exact version, or in a git repository, by the hash of a commit.
///
/// As text: `registry:PACKAGE@VERSION` or `git:URL@COMMIT#PACKAGE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Package {
    name: String,
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Registry { version: String },
    Git { url: String, revision: String },
}

impl Package {
    /// The package of a stock driver, or of the stock collector ([`COLLECTOR`]); `None` for another name.
    pub fn stock(name: &DriverName) -> Option<Self> {
        let is_stock = name.as_str() == COLLECTOR || STOCK.contains(&name.as_str());
        is_stock.then(|| Self {
            name: super::install::crate_of(name),
            origin: Origin::Registry { version: STOCK_VERSION.to_owned() },
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `cargo install` has to be told to take this package and no other one.
    pub fn cargo_args(&self) -> Vec<String> {
        let args = match &self.origin {
            Origin::Registry { version } => vec![self.name.as_str(), "--version", version],
            Origin::Git { url, revision } => vec![self.name.as_str(), "--git", url, "--rev", revision],
        };
        args.into_iter().map(str::to_owned).collect()
    }
}

/// The programs of a driver, or of the collector ([`COLLECTOR`]), as a package that holds them has to call them.
pub fn programs_of_package(name: &DriverName) -> Vec<String> {
    if name.as_str() == COLLECTOR {
        return vec![COLLECTOR_PROGRAM.to_owned()];
    }
    Role::ALL.iter().map(|role| role.program(name)).collect()
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.origin {
            Origin::Registry { version } => write!(f, "registry:{name}@{version}"),
            Origin::Git { url, revision } => write!(f, "git:{url}@{revision}#{name}"),
        }
    }
}

impl FromStr for Package {
    type Err = BadPackage;

    fn from_str(text: &str) -> Result<Self, BadPackage> {
        if let Some(rest) = text.strip_prefix("registry:") {
            let (name, version) = rest.split_once('@').ok_or_else(|| BadPackage::form(text))?;
            let name = package_name(name)?;
            return Ok(Self { name, origin: Origin::Registry { version: exact_version(version)? } });
        }
        let rest = text.strip_prefix("git:").ok_or_else(|| BadPackage::form(text))?;
        let (place, name) = rest.rsplit_once('#').ok_or_else(|| BadPackage::form(text))?;
        // A URL may have an @ of its own, and a revision never has one.
        let (url, revision) = place.rsplit_once('@').ok_or_else(|| BadPackage::form(text))?;
        let name = package_name(name)?;
        Ok(Self { name, origin: Origin::Git { url: git_url(url)?, revision: commit(revision)? } })
    }
}

impl TryFrom<String> for Package {
    type Error = BadPackage;

    fn try_from(text: String) -> Result<Self, BadPackage> {
        text.parse()
    }
}

impl From<Package> for String {
    fn from(package: Package) -> Self {
        package.to_string()
    }
}

/// A driver and the package that it is built from: `NAME=SOURCE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverSource {
    /// The driver.
    pub driver: DriverName,
    /// Its package.
    pub package: Package,
}

impl FromStr for DriverSource {
    type Err = BadPackage;

    fn from_str(text: &str) -> Result<Self, BadPackage> {
        let (driver, package) = text.split_once('=').ok_or_else(|| BadPackage::NoDriver(text.to_owned()))?;
        let driver = driver.parse().map_err(BadPackage::Driver)?;
        Ok(Self { driver, package: package.parse()? })
    }
}

impl TryFrom<String> for DriverSource {
    type Error = BadPackage;

    fn try_from(text: String) -> Result<Self, BadPackage> {
        text.parse()
    }
}

impl From<DriverSource> for String {
    fn from(source: DriverSource) -> Self {
        format!("{}={}", source.driver, source.package)
    }
}

/// A text names no package, or one that is not pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPackage {
    /// It is neither of the two forms.
    #[error("{0:?} is no source: expected registry:PACKAGE@VERSION or git:URL@COMMIT#PACKAGE")]
    Form(String),
    /// There is no driver before it.
    #[error(
        "{0:?} names no driver: expected NAME=SOURCE, such as tcp=registry:s2n-netbench-driver-tcp@{STOCK_VERSION}"
    )]
    NoDriver(String),
    /// What is before it is no name of a driver.
    #[error(transparent)]
    Driver(super::BadDriverName),
    /// The package cannot be called that.
    #[error(
        "{0:?} is no name of a package: expected at most {NAME_MAX} letters, digits, - and _, a letter first"
    )]
    Name(String),
    /// The version leaves a choice.
    #[error("{0:?} is no exact version: expected three numbers, such as 0.1.0")]
    Version(String),
    /// Cargo could not fetch it.
    #[error("{0:?} is no URL of a repository: expected https://, ssh://, git:// or file://")]
    Url(String),
    /// It would be seen in logs and commands.
    #[error("the URL of a repository holds a password, which others would see: use one that needs none")]
    Secret,
    /// A branch, a tag or a short hash may be another commit tomorrow.
    #[error(
        "{0:?} is not pinned: expected the full hash of a commit, 40 hexadecimal digits (git rev-parse {0} tells it)"
    )]
    NotPinned(String),
}

impl BadPackage {
    fn form(text: &str) -> Self {
        Self::Form(text.to_owned())
    }
}

fn package_name(name: &str) -> Result<String, BadPackage> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if begins && name.len() <= NAME_MAX && name.bytes().all(is_allowed) {
        return Ok(name.to_owned());
    }
    Err(BadPackage::Name(name.to_owned()))
}

/// `MAJOR.MINOR.PATCH`, with what semantic versioning allows behind it.
fn exact_version(version: &str) -> Result<String, BadPackage> {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let fits = numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && rest.len() != 1
        && rest.bytes().all(is_allowed)
        && version.len() <= NAME_MAX;
    if fits { Ok(version.to_owned()) } else { Err(BadPackage::Version(version.to_owned())) }
}

fn git_url(url: &str) -> Result<String, BadPackage> {
    let bad = || BadPackage::Url(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let is_known = matches!(scheme, "https" | "http" | "ssh" | "git" | "file");
    if !is_known || rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        // The user of ssh is no secret; what stands in its place elsewhere may be a token.
        Some((user, _)) if scheme != "ssh" || user.contains(':') => Err(BadPackage::Secret),
        Some(_) | None => Ok(url.to_owned()),
    }
}

/// In lower case, so that two spellings are one source.
fn commit(revision: &str) -> Result<String, BadPackage> {
    if revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(revision.to_ascii_lowercase());
    }
    Err(BadPackage::NotPinned(revision.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn what_is_pinned_is_read_and_written_the_same() {
        for (text, args) in [
            ("registry:s2n-netbench-driver-tcp@0.1.0", "s2n-netbench-driver-tcp --version 0.1.0"),
            ("registry:a_B-9@1.20.3-rc.1+build.5", "a_B-9 --version 1.20.3-rc.1+build.5"),
            ("git:https://host/a/b.git@COMMIT#driver", "driver --git https://host/a/b.git --rev COMMIT"),
            ("git:ssh://git@host/a@COMMIT#driver", "driver --git ssh://git@host/a --rev COMMIT"),
            ("git:file:///a/@b@COMMIT#driver", "driver --git file:///a/@b --rev COMMIT"),
        ] {
            let text = text.replace("COMMIT", COMMIT);
            let package: Package = text.parse().unwrap();
            assert_eq!(package.to_string(), text);
            assert_eq!(package.cargo_args().join(" "), args.replace("COMMIT", COMMIT));
        }
        let loud: Package = format!("git:https://h/a@{}#d", COMMIT.to_uppercase()).parse().unwrap();
        assert_eq!(loud.to_string(), format!("git:https://h/a@{COMMIT}#d"));
    }

    #[test]
    fn what_is_not_pinned_is_refused_and_says_why() {
        for (text, expected) in [
            ("", "expected registry:PACKAGE@VERSION or git:URL@COMMIT#PACKAGE"),
            ("s2n-netbench-driver-tcp", "is no source"),
            ("registry:tcp", "is no source"),
            ("registry:@1.0.0", "is no name of a package"),
            ("registry:--config@1.0.0", "is no name of a package"),
            ("registry:tcp@1.0", "\"1.0\" is no exact version"),
            ("registry:tcp@^1.0.0", "is no exact version"),
            ("registry:tcp@*", "is no exact version"),
            ("registry:tcp@1.0.0-", "is no exact version"),
            ("registry:tcp@", "is no exact version"),
            ("git:https://h/a@COMMIT", "is no source"),
            ("git:https://h/a#tcp", "is no source"),
            ("git:https://h/a@main#tcp", "\"main\" is not pinned: expected the full hash of a commit"),
            ("git:https://h/a@v1.0.0#tcp", "is not pinned"),
            ("git:https://h/a@0123456#tcp", "is not pinned"),
            ("git:git@h:a/b@COMMIT#tcp", "is no URL of a repository"),
            ("git:/a/b@COMMIT#tcp", "is no URL of a repository"),
            ("git:ext::sh@COMMIT#tcp", "is no URL of a repository"),
            ("git:https://h/a b@COMMIT#tcp", "is no URL of a repository"),
            ("git:https://token@h/a@COMMIT#tcp", "holds a password"),
            ("git:ssh://git:secret@h/a@COMMIT#tcp", "holds a password"),
            ("git:https://h/a@COMMIT#", "is no name of a package"),
        ] {
            let error = text.replace("COMMIT", COMMIT).parse::<Package>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret") && !error.contains("token"), "{error}");
        }
    }

    #[test]
    fn a_source_belongs_to_a_driver() {
        let source: DriverSource = "tcp=registry:x@1.0.0".parse().unwrap();
        assert_eq!((source.driver.as_str(), source.package.name()), ("tcp", "x"));
        assert_eq!(String::from(source), "tcp=registry:x@1.0.0");
        for (text, expected) in [
            ("registry:x@1.0.0", "names no driver: expected NAME=SOURCE"),
            ("TCP=registry:x@1.0.0", "is no driver name"),
            ("tcp=x", "is no source"),
        ] {
            let error = text.parse::<DriverSource>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn stock_drivers_have_a_version_and_others_have_none() {
        let stock = |name: &str| Package::stock(&name.parse().unwrap()).map(|package| package.to_string());
        assert_eq!(stock("s2n-quic").as_deref(), Some("registry:s2n-netbench-driver-s2n-quic@0.1.0"));
        assert_eq!(stock("collector").as_deref(), Some("registry:s2n-netbench-collector@0.1.0"));
        assert_eq!((stock("mine"), stock("embedded")), (None, None));
        for name in STOCK {
            assert_eq!(stock(name).unwrap().parse::<Package>().unwrap().to_string(), stock(name).unwrap());
        }
        let programs = |name: &str| programs_of_package(&name.parse().unwrap()).join(" ");
        assert_eq!(programs("mine"), "s2n-netbench-driver-server-mine s2n-netbench-driver-client-mine");
        assert_eq!(programs("collector"), "s2n-netbench-collector");
    }
}
