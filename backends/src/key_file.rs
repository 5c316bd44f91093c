//! The key of a run where it is kept and how it is handed over: 64 hex digits and a newline, in a file that nobody
//! else can read, or as the first line of a pipe.
//!
//! It never stands in an argument or in the environment, which other users of a host can see (`proc(5)`), and no
//! message of this module shows a part of it.

use crate::entropy;
use russula_proto::Key;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Hex digits of a key.
const DIGITS_LEN: usize = 2 * Key::LEN;

/// The digits and the newline.
const LINE_LEN: usize = DIGITS_LEN + 1;

/// The permission bits of a key file: its owner reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// The permission bits that a key file must not have: reading and writing, for the group and for others.
const OPEN_TO_OTHERS: u32 = 0o066;

/// Why there is no key. No message tells what was found in its place.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key cannot be made.
    #[error("cannot make a key, because the system gives no random bytes: {0}")]
    Entropy(#[source] io::Error),
    /// There is a file already.
    #[error("{} exists already; a key is for one run, so remove the file or choose another path", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system does not let the file be written.
    #[error("cannot write the key file {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system does not let the file be read.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else than a file is at the path.
    #[error("{} is no regular file, as a key file has to be", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// Somebody else may know the key, or may have chosen it.
    #[error(
        "the key file {} has the mode {mode:04o}, so that others than its owner can read or write it; \
         chmod 600 {}",
        path.display(), path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content of the file is no key.
    #[error("{} holds no key, which is {DIGITS_LEN} hex digits and a newline", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The stream that brings the key broke.
    #[error("cannot read the key that is handed over: {0}")]
    Stream(#[source] io::Error),
    /// The stream ended before its first line did.
    #[error(
        "the stream that was to hand the key over ended after {got_bytes} bytes; expected {DIGITS_LEN} hex digits and \
         a newline"
    )]
    StreamEnded {
        /// How far it came, in bytes.
        got_bytes: usize,
    },
    /// The first line of the stream is no key.
    #[error("the line that was handed over is no key, which is {DIGITS_LEN} hex digits and a newline")]
    NotAKeyLine,
}

/// Makes a key and writes it to a new file at `path` that only its owner can read, and that is on the disk afterwards.
///
/// # Errors
/// [`KeyError::Entropy`], [`KeyError::Exists`] and [`KeyError::Create`]. After an error no file of this call is left.
pub fn create(path: &Path) -> Result<Key, KeyError> {
    let key = Key::from_bytes(entropy::bytes().map_err(KeyError::Entropy)?);
    let file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path);
    let mut file = file.map_err(|source| {
        let path = path.to_owned();
        if source.kind() == ErrorKind::AlreadyExists {
            KeyError::Exists { path }
        } else {
            KeyError::Create { path, source }
        }
    })?;
    match file.write_all(&line_of(&key)).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(key),
        Err(source) => {
            // Half a key helps nobody. The error that counts is the first one.
            let _ = fs::remove_file(path);
            Err(KeyError::Create { path: path.to_owned(), source })
        }
    }
}

/// A key that is in no file.
///
/// # Errors
/// [`KeyError::Entropy`].
pub fn generate() -> Result<Key, KeyError> {
    entropy::bytes().map(Key::from_bytes).map_err(KeyError::Entropy)
}

/// Reads the key in the file at `path`; the newline at its end may be missing.
///
/// # Errors
/// [`KeyError::OpenToOthers`] if the group or others can read or write the file, [`KeyError::NotAKey`] if it holds
/// anything else, [`KeyError::NotAFile`] and [`KeyError::Read`].
pub fn read(path: &Path) -> Result<Key, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    // Opening a named pipe would otherwise wait for somebody to write to it.
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    // Of the file that is read, not of what is at the path a moment later.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(KeyError::OpenToOthers { path: path.to_owned(), mode });
    }
    let content = content_of(file).map_err(failed)?;
    let digits = content.strip_suffix(b"\n").unwrap_or(&content);
    parse(digits).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
}

/// Reads the first line of `source`, which is the key, and not one byte more: what follows is left to others.
///
/// Returns when the line is complete, cannot become a key any more, or the stream ends; how long it blocks until then
/// is up to the source. Give it an unbuffered one, or one that is the only way to what follows.
///
/// # Errors
/// [`KeyError::NotAKeyLine`], [`KeyError::StreamEnded`] and [`KeyError::Stream`].
pub fn read_from(source: &mut impl Read) -> Result<Key, KeyError> {
    let mut line = [0; LINE_LEN];
    for at in 0..LINE_LEN {
        match source.read_exact(&mut line[at..=at]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(KeyError::StreamEnded { got_bytes: at });
            }
            Err(error) => return Err(KeyError::Stream(error)),
        }
        if line[at] == b'\n' {
            return parse(&line[..at]).ok_or(KeyError::NotAKeyLine);
        }
    }
    Err(KeyError::NotAKeyLine)
}

/// Writes `key` to `sink` as the line that [`read_from`] reads.
///
/// # Errors
/// Those of the sink.
pub fn write_to(sink: &mut impl Write, key: &Key) -> io::Result<()> {
    sink.write_all(&line_of(key))?;
    sink.flush()
}

/// A number by which a key is recognized, and which tells nothing else about it: the first 64 bits of a SHA-256 digest,
/// as hex digits.
pub fn fingerprint(key: &Key) -> String {
    let digest = Sha256::new_with_prefix(b"fingerprint of the key of a run\n").chain_update(key.as_bytes());
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What is in a file that should hold a key, and no more of it than shows that it does not.
fn content_of(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(LINE_LEN + 1);
    file.take(LINE_LEN as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn line_of(key: &Key) -> [u8; LINE_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = [b'\n'; LINE_LEN];
    for (byte, digits) in key.as_bytes().iter().zip(line.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    line
}

fn parse(digits: &[u8]) -> Option<Key> {
    let digits: &[u8; DIGITS_LEN] = digits.try_into().ok()?;
    let mut bytes = [0; Key::LEN];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value_of(pair[0])? << 4 | value_of(pair[1])?;
    }
    Some(Key::from_bytes(bytes))
}

fn value_of(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    const DIGITS: &str = "00ff7e01000102030405060708090a0b0c0d0e0f101112131415161718191a1b";

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    fn file(directory: &tempfile::TempDir, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.path().join("key");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        path
    }

    #[test]
    fn a_key_that_was_made_is_read_again_and_belongs_to_its_owner_alone() {
        let directory = directory();
        let path = directory.path().join("key");
        let key = create(&path).expect("made");
        assert_eq!(read(&path).expect("read").as_bytes(), key.as_bytes());
        let metadata = fs::metadata(&path).expect("it is there");
        // A umask can take more away, but not give anything back.
        assert_eq!(metadata.mode() & 0o077, 0);
        assert_eq!(metadata.len(), LINE_LEN as u64);
        let another = directory.path().join("another");
        assert_ne!(create(&another).expect("made").as_bytes(), key.as_bytes());
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_is_always_the_same() {
        let one = Key::from_bytes([1; Key::LEN]);
        assert_eq!(fingerprint(&one), "7755b3d71272e627");
        assert_ne!(fingerprint(&one), fingerprint(&Key::from_bytes([2; Key::LEN])));
    }

    #[test]
    fn a_key_is_not_written_over_anything() {
        let directory = directory();
        let path = file(&directory, b"mine", 0o600);
        let error = create(&path).expect_err("there is a file");
        assert!(matches!(error, KeyError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("it is there"), b"mine");
        let nowhere = directory.path().join("none/key");
        let error = create(&nowhere).expect_err("there is no such directory");
        assert!(matches!(error, KeyError::Create { .. }), "{error}");
        assert!(error.to_string().contains("none/key"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused_with_its_mode_and_the_remedy() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o666, 0o777] {
            let directory = directory();
            let path = file(&directory, DIGITS.as_bytes(), mode);
            let error = read(&path).expect_err("others can").to_string();
            assert!(error.contains(&format!("the mode {mode:04o}")), "{error}");
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
            assert!(!error.contains(DIGITS), "{error}");
        }
        for mode in [0o400, 0o600, 0o700] {
            let directory = directory();
            read(&file(&directory, DIGITS.as_bytes(), mode)).expect("only its owner can");
        }
    }

    #[test]
    fn what_is_not_64_hex_digits_is_refused_and_not_shown() {
        let secret = &DIGITS[..63];
        let contents = [
            String::new(),
            "\n".into(),
            secret.into(),
            format!("{secret}\n"),
            format!("{secret}g"),
            format!("{secret}+\n"),
            format!("{secret}é"),
            format!("{DIGITS}\n\n"),
            format!("{DIGITS}\r\n"),
            format!("{DIGITS} \n"),
            format!(" {DIGITS}"),
            format!("{DIGITS}0"),
            format!("{DIGITS}\n{DIGITS}\n"),
            DIGITS.repeat(100_000),
        ];
        for content in contents {
            let directory = directory();
            let path = file(&directory, content.as_bytes(), 0o600);
            let error = read(&path).expect_err("no key");
            assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
            let texts = [error.to_string(), format!("{error:?}")];
            assert!(texts.iter().all(|text| !text.contains(&secret[..8])), "{texts:?}");
        }
    }

    #[test]
    fn capital_digits_and_a_missing_newline_are_fine() {
        for content in [DIGITS.into(), format!("{DIGITS}\n"), DIGITS.to_uppercase()] {
            let directory = directory();
            let key = read(&file(&directory, content.as_bytes(), 0o600)).expect("a key");
            assert_eq!(key.as_bytes()[..5], [0, 0xff, 0x7e, 1, 0]);
            assert_eq!(key.as_bytes()[31], 0x1b);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = directory();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a named pipe");
        for path in [&pipe, directory.path()] {
            let error = read(path).expect_err("no file");
            assert!(matches!(error, KeyError::NotAFile { .. }), "{error}");
        }
        let error = read(&directory.path().join("none")).expect_err("nothing there");
        assert!(matches!(error, KeyError::Read { .. }), "{error}");
    }

    #[test]
    fn a_key_is_handed_over_as_one_line_and_what_follows_it_stays() {
        let key = Key::from_bytes([0xA5; Key::LEN]);
        let mut stream = Vec::new();
        write_to(&mut stream, &key).expect("room");
        assert_eq!(stream, format!("{}\n", "a5".repeat(32)).as_bytes());
        stream.extend_from_slice(b"what follows");
        let mut rest = stream.as_slice();
        assert_eq!(read_from(&mut rest).expect("a key").as_bytes(), key.as_bytes());
        assert_eq!(rest, b"what follows");
    }

    #[test]
    fn a_stream_that_ends_within_its_first_line_says_how_far_it_came() {
        for len in [0, 1, 63, 64] {
            let error = read_from(&mut &DIGITS.as_bytes()[..len]).expect_err("no newline");
            assert!(matches!(error, KeyError::StreamEnded { got_bytes } if got_bytes == len), "{error}");
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_read_up_to_its_limit() {
        for (line, left_len) in [("\n", 0), ("abc\nabc", 3), (&"x".repeat(100), 35), (&"0".repeat(100), 35)] {
            let mut rest = line.as_bytes();
            let error = read_from(&mut rest).expect_err("no key");
            assert!(matches!(error, KeyError::NotAKeyLine), "{error}");
            assert_eq!(rest.len(), left_len);
        }
    }

    #[test]
    fn a_stream_that_breaks_is_told_with_its_cause() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let error = read_from(&mut Broken).expect_err("broken");
        assert!(matches!(&error, KeyError::Stream(cause) if cause.kind() == ErrorKind::ConnectionReset));
    }
}
