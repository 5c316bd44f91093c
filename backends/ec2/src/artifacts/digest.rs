//! SHA-256 digests, by which files are known.

use crate::names::ARTIFACTS;
use std::fmt;
use std::str::FromStr;

/// The SHA-256 digest of a file. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SHA-256 digest: it needs 64 lower-case hexadecimal digits")]
pub struct BadDigest(String);

impl Digest {
    /// Where the file lies in the bucket, for all runs.
    pub fn key(&self) -> String {
        format!("{ARTIFACTS}{self}")
    }

    /// As S3 wants it: in base64.
    pub(super) fn base64(&self) -> String {
        aws_smithy_types::base64::encode(self.0)
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest(text.to_owned());
        let value = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(bad()),
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(bad());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = value(digits[0])? << 4 | value(digits[1])?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of "abc", from the standard, FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_is_written_is_read() {
        let digest: Digest = ABC.parse().unwrap();
        assert_eq!(digest.to_string(), ABC);
        assert_eq!(digest.key(), format!("artifacts/{ABC}"));
        assert_eq!(digest.base64(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn only_digests_are_read() {
        for bad in
            ["", &ABC[1..], &format!("{ABC}0"), &ABC.to_uppercase(), &"../".repeat(21), &"ü".repeat(32)]
        {
            assert_eq!(bad.parse::<Digest>(), Err(BadDigest(bad.into())));
        }
    }
}
