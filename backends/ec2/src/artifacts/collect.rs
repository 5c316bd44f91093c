//! What hosts uploaded, into a local directory.

use super::error::ArtifactError;
use super::parallel;
use super::remove::list;
use crate::api::{Account, call};
use crate::names::RunNames;
use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The host that uploaded it: `<group>-<index>`.
    pub host: String,
    /// Where it lies now.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length_bytes: u64,
}

/// Fetches what the hosts of a run uploaded into `directory`. `place` says where a file goes below it, from the name of
/// the host (`<group>-<index>`) and the path on the host (`logs/x.log`); `None` leaves it out.
///
/// A file appears only when it is whole.
///
/// # Errors
/// The first that fails, and a name that would leave the directory; in that case nothing is fetched.
pub async fn collect(
    account: &Account,
    bucket: &str,
    names: &RunNames,
    directory: &Path,
    place: impl Fn(&str, &str) -> Option<PathBuf>,
) -> Result<Vec<Collected>, ArtifactError> {
    let prefix = format!("{}hosts/", names.prefix());
    let mut wanted = Vec::new();
    for key in list(account, bucket, &prefix).await? {
        let escapes = || ArtifactError::Escapes { key: key.clone(), directory: directory.to_owned() };
        let (host, name) =
            key.strip_prefix(&prefix).and_then(|name| name.split_once('/')).ok_or_else(escapes)?;
        // What the console shows as a folder may be an empty object.
        if name.is_empty() || name.ends_with('/') {
            continue;
        }
        if !stays_below(host) || !stays_below(name) {
            return Err(escapes());
        }
        let Some(path) = place(host, name) else { continue };
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(escapes());
        }
        wanted.push((host.to_owned(), key.clone(), directory.join(path)));
    }
    let work = |(host, key, path): (String, String, PathBuf)| {
        let (account, bucket) = (account.clone(), bucket.to_owned());
        async move {
            let length_bytes = fetch(&account, &bucket, &key, &path).await?;
            Ok(Collected { host, path, length_bytes })
        }
    };
    parallel::each(wanted, work).await
}

fn stays_below(name: &str) -> bool {
    !name.contains(['\0', '\\']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

async fn fetch(account: &Account, bucket: &str, key: &str, path: &Path) -> Result<u64, ArtifactError> {
    let request = account.s3.get_object().bucket(bucket).key(key);
    let mut object = call("GetObject", &format!("s3://{bucket}/{key}"), request.send()).await?;
    let write = |source| ArtifactError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(write)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = File::create(&part).map_err(write)?;
    let mut length_bytes = 0;
    while let Some(more) = object.body.next().await {
        let more =
            more.map_err(|error| ArtifactError::BrokenOff { key: key.to_owned(), cause: error.to_string() })?;
        file.write_all(&more).map_err(write)?;
        length_bytes += more.len() as u64;
    }
    std::fs::rename(&part, path).map_err(write)?;
    Ok(length_bytes)
}
