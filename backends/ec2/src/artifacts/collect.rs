//! What hosts uploaded, into a local directory.

use super::error::ArtifactError;
use super::read::read;
use super::remove::list;
use crate::api::{Account, Pace};
use crate::names::RunNames;
use futures_util::StreamExt as _;
use futures_util::stream;
use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Downloads at a time. More do not make one link faster, and each holds a connection.
pub(super) const AT_ONCE: usize = 8;

/// How often an object is asked for: the SDK repeats a request only until the answer's headers are there.
const ATTEMPTS_MAX: usize = 4;

/// What breaks off later than this is not asked for again.
const AGAIN_LIMIT: Duration = Duration::from_secs(600);

/// Fetches what the hosts of a run uploaded into `directory`. `place` says where a file goes below it, from the name of
/// the host (`<group>-<index>`) and the path on the host (`logs/x.log`); `None` leaves it out.
///
/// A file appears only when it is whole. Trouble with one keeps no other from being fetched: returned is all that went
/// wrong, in the order of the objects' names, and nothing if everything was fetched. A name that would leave the
/// directory is refused.
#[must_use = "what could not be fetched may exist nowhere else"]
pub async fn collect(
    account: &Account,
    bucket: &str,
    names: &RunNames,
    directory: &Path,
    place: impl Fn(&str, &str) -> Option<PathBuf>,
) -> Vec<ArtifactError> {
    let prefix = names.hosts_prefix();
    let keys = match list(account, bucket, &prefix).await {
        Ok(keys) => keys,
        Err(error) => return vec![error.into()],
    };
    let (mut wanted, mut errors) = (Vec::new(), Vec::new());
    for (number, key) in keys.into_iter().enumerate() {
        match place_below(directory, &prefix, &key, &place) {
            Ok(Some(path)) => wanted.push((number, key, path)),
            Ok(None) => {}
            Err(error) => errors.push((number, error)),
        }
    }
    let fetches = stream::iter(wanted).map(async |(number, key, path): (usize, String, PathBuf)| {
        (number, fetch(account, bucket, &key, &path).await)
    });
    let fetched: Vec<_> = fetches.buffer_unordered(AT_ONCE).collect().await;
    errors.extend(fetched.into_iter().filter_map(|(number, result)| Some((number, result.err()?))));
    errors.sort_by_key(|&(number, _)| number);
    errors.into_iter().map(|(_, error)| error).collect()
}

/// Where the object `key` goes; `None` if it is left out.
fn place_below(
    directory: &Path,
    prefix: &str,
    key: &str,
    place: impl Fn(&str, &str) -> Option<PathBuf>,
) -> Result<Option<PathBuf>, ArtifactError> {
    let escapes = || ArtifactError::Escapes { key: key.to_owned(), directory: directory.to_owned() };
    let (host, name) = key.strip_prefix(prefix).and_then(|name| name.split_once('/')).ok_or_else(escapes)?;
    // What the console shows as a folder may be an empty object.
    if name.is_empty() || name.ends_with('/') {
        return Ok(None);
    }
    if !stays_below(host) || !stays_below(name) {
        return Err(escapes());
    }
    let Some(path) = place(host, name) else { return Ok(None) };
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(escapes());
    }
    Ok(Some(directory.join(path)))
}

fn stays_below(name: &str) -> bool {
    !name.contains(['\0', '\\']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Fetches an object; from the beginning again if it breaks off.
async fn fetch(account: &Account, bucket: &str, key: &str, path: &Path) -> Result<(), ArtifactError> {
    let mut pace = Pace::new("download", AGAIN_LIMIT, account.poll_interval);
    let mut attempt = 1;
    loop {
        match fetch_once(account, bucket, key, path).await {
            Err(error @ ArtifactError::BrokenOff { .. }) => {
                if attempt == ATTEMPTS_MAX || pace.wait().await.is_err() {
                    return Err(error);
                }
                tracing::debug!("{error}: attempt {attempt} of {ATTEMPTS_MAX}");
            }
            result => return result,
        }
        attempt += 1;
    }
}

async fn fetch_once(account: &Account, bucket: &str, key: &str, path: &Path) -> Result<(), ArtifactError> {
    let write = |source| ArtifactError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(write)?;
    }
    let part = Part::of(path);
    let mut file = File::create(&part.0).map_err(write)?;
    read(account, bucket, key, |piece| file.write_all(piece).map_err(write)).await?;
    std::fs::rename(&part.0, path).map_err(write)
}

/// A file that is not whole; it is removed, unless it was renamed.
struct Part(PathBuf);

impl Part {
    fn of(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        Self(PathBuf::from(name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
