//! The directory of a run; [`backends::layout`] says what lies where.

use super::takeover::RunState;
use super::{Plan, RunError, ScenarioSource};
use crate::files;
use crate::summary::Summary;
use backends::entropy;
use backends::hosts::Hosts;
use backends::key_file;
use backends::layout;
use jiff::{Timestamp, tz::TimeZone};
use russula_proto::{Group, Key, RunId};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// `runs/<run-id>/` in the making.
#[derive(Debug)]
pub struct RunDirectory {
    run: RunId,
    path: PathBuf,
    started: Timestamp,
    events: Mutex<File>,
    record: Mutex<Value>,
    /// Held as long as somebody drives the run; the kernel lets it go with the process.
    _lock: File,
}

impl RunDirectory {
    /// Makes a new directory below `out`, and `out/latest` lead to it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(out: &Path) -> Result<Self, RunError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Directory { path, source }
        };
        let out = std::path::absolute(out).map_err(fail(out))?;
        if out.to_str().is_none() {
            // It travels as text, in run.json and in the environment of drivers.
            let not_text = io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8");
            return Err(fail(&out)(not_text));
        }
        fs::create_dir_all(&out).map_err(fail(&out))?;
        let started = Timestamp::now();
        let (run, path) = new_directory(&out, started).map_err(fail(&out))?;
        for part in ["logs", "results"] {
            fs::create_dir(path.join(part)).map_err(fail(&path))?;
        }
        let events = File::create(path.join("events.jsonl")).map_err(fail(&path))?;
        let lock = lock(&path)?;
        if let Err(error) = point_latest_to(&out, &run) {
            tracing::warn!("{} does not lead to this run: {error}", out.join("latest").display());
        }
        let (events, record) = (Mutex::new(events), Mutex::new(Value::Null));
        Ok(Self { run, path, started, events, record, _lock: lock })
    }

    /// Opens the directory of a run whose orchestrator has died, at `path`.
    ///
    /// # Errors
    /// If it is none, or somebody still drives the run.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let no_run = |reason: String| RunError::NoRun { path: path.to_owned(), reason };
        let path = fs::canonicalize(path).map_err(|error| no_run(error.to_string()))?;
        let record = fs::read(path.join("run.json")).map_err(|error| no_run(format!("run.json: {error}")))?;
        let record: Value =
            serde_json::from_slice(&record).map_err(|error| no_run(format!("run.json: {error}")))?;
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let run = text("run_id").parse().map_err(|error| no_run(format!("run.json: {error}")))?;
        let started = text("started").parse().map_err(|error| no_run(format!("run.json: {error}")))?;
        let lock = lock(&path)?;
        remove_unfinished_files(&path);
        let events = OpenOptions::new().append(true).create(true).open(path.join("events.jsonl"));
        let events = events.map_err(|source| RunError::Directory { path: path.clone(), source })?;
        let (events, record) = (Mutex::new(events), Mutex::new(record));
        Ok(Self { run, path, started, events, record, _lock: lock })
    }

    /// What `run.json` says under `key`.
    pub fn recorded(&self, key: &str) -> Value {
        self.record.lock().map(|record| record[key].clone()).unwrap_or_default()
    }

    /// Reads a file of the run that holds JSON.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, RunError> {
        let no_run = |reason: String| RunError::NoRun { path: self.path.clone(), reason };
        let bytes = fs::read(self.path.join(name)).map_err(|error| no_run(format!("{name}: {error}")))?;
        serde_json::from_slice(&bytes).map_err(|error| no_run(format!("{name}: {error}")))
    }

    /// Name of the run.
    pub fn run_id(&self) -> &RunId {
        &self.run
    }

    /// Absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When the run began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Puts the scenario into the directory, as the one file that every host gets.
    ///
    /// It may hold private keys, so only its owner can read it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn place_scenario(&self, source: &ScenarioSource, name: &str) -> Result<PathBuf, RunError> {
        let path = self.path.join(layout::scenario_file(name));
        let copied = fs::create_dir(self.path.join("scenario"))
            .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path))
            .and_then(|mut file| source.copy_to(&mut file));
        copied.map_err(|source| RunError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// Makes `names` in the subdirectory `directory` lead to this program.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn link_to_self(&self, directory: &str, names: &[&str]) -> Result<PathBuf, RunError> {
        let own = std::env::current_exe().map_err(RunError::OwnPath)?;
        let directory = self.path.join(directory);
        // A process that died may have left it.
        let _ = fs::remove_dir_all(&directory);
        let made = fs::create_dir(&directory)
            .and_then(|()| names.iter().try_for_each(|name| symlink(&own, directory.join(name))));
        made.map_err(|source| RunError::File { path: directory.clone(), source })?;
        Ok(directory)
    }

    /// Writes `run.json`: what was asked for.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_plan(
        &self,
        backend: &str,
        plan: &Plan,
        options: &impl serde::Serialize,
    ) -> Result<(), RunError> {
        let record = json!({
            "run_id": self.run.as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started.to_string(),
            "state": "planned",
            "backend": backend,
            "workers_run": plan.run.as_str(),
            "scenario": plan.scenario.name(),
            "drivers": plan.drivers,
            "repeat": plan.repeat,
            "timeout_s": plan.timeout.as_secs_f64(),
            "options": options,
        });
        self.update_record(|value| *value = record)
    }

    /// Adds to `run.json` by what the key of the run is recognized, should somebody else take the run over with it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_fingerprint(&self, key: &Key) -> Result<(), RunError> {
        self.update_record(|value| value["key_fingerprint"] = key_file::fingerprint(key).into())
    }

    /// Whether `key` is that of the run, as far as that was recorded.
    pub fn has_key(&self, key: &Key) -> bool {
        self.recorded("key_fingerprint").as_str().is_none_or(|known| known == key_file::fingerprint(key))
    }

    /// Adds the hosts to `run.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_hosts(&self, hosts: &dyn Hosts) -> Result<(), RunError> {
        let of = |group| -> Vec<Value> {
            let hosts = hosts.group(group).iter();
            hosts.map(|host| json!({"host": host.address, "control": host.control})).collect()
        };
        self.update_record(|value| {
            value["hosts"] = json!({"servers": of(Group::Server), "clients": of(Group::Client)});
        })
    }

    /// Sets the state in `run.json`.
    pub(super) fn write_state(&self, state: &str) -> Result<(), RunError> {
        self.update_record(|value| value["state"] = state.into())
    }

    /// Whether its file system takes no more; drivers that fail cannot say so then.
    pub(super) fn is_on_full_disk(&self) -> bool {
        /// Less than this is no room.
        const ROOM_MIN_BYTES: u64 = 64 * 1024;

        let stat = rustix::fs::statvfs(&self.path);
        stat.is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < ROOM_MIN_BYTES)
    }

    /// Says in `run.json` why the run could not be carried out, as far as it can be written.
    pub fn note_failure(&self, error: &RunError) {
        let noted = self.update_record(|value| {
            value["state"] = "failed".into();
            value["error"] = error.to_string().into();
        });
        if let Err(error) = noted {
            tracing::debug!("{error}");
        }
    }

    /// Writes `state.json`.
    pub(super) fn write_run_state(&self, state: &RunState) -> Result<(), RunError> {
        self.replace("state.json", state)
    }

    /// Writes `summary.json`.
    pub(super) fn write_summary(&self, summary: &Summary) -> Result<(), RunError> {
        self.replace("summary.json", summary)
    }

    /// Adds a line to `events.jsonl`.
    pub(super) fn event(&self, mut event: Value) {
        event["time"] = Timestamp::now().to_string().into();
        let Ok(mut file) = self.events.lock() else { return };
        if let Err(error) = writeln!(file, "{event}") {
            tracing::debug!("an event was lost: {error}");
        }
    }

    fn update_record(&self, change: impl FnOnce(&mut Value)) -> Result<(), RunError> {
        let Ok(mut record) = self.record.lock() else { return Ok(()) };
        change(&mut record);
        self.replace("run.json", &*record)
    }

    fn replace(&self, name: &str, value: &impl serde::Serialize) -> Result<(), RunError> {
        let path = self.path.join(name);
        let json = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        json.and_then(|json| files::replace(&path, &json)).map_err(|source| RunError::File { path, source })
    }
}

/// Removes what the process that died was about to write.
fn remove_unfinished_files(path: &Path) {
    let files = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    for file in files.filter(|file| files::is_unfinished(file)) {
        if let Err(error) = fs::remove_file(&file) {
            tracing::warn!("{} cannot be removed: {error}", file.display());
        }
    }
}

/// Makes this process the only one that drives the run.
fn lock(path: &Path) -> Result<File, RunError> {
    let file = File::create(path.join("lock"));
    let file = file.map_err(|source| RunError::Directory { path: path.to_owned(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(RunError::StillDriven { path: path.to_owned() }),
        Err(error) => Err(RunError::Directory { path: path.to_owned(), source: error.into() }),
    }
}

/// A directory that did not exist before, named by the time and a number that makes it the only one, also among the
/// runs of other machines: what a run creates in the cloud is found by its name.
fn new_directory(out: &Path, started: Timestamp) -> io::Result<(RunId, PathBuf)> {
    let time = started.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    let [a, b, c, d, ..] = entropy::bytes()?;
    let mut lot = u32::from_be_bytes([a, b, c, d]);
    loop {
        let run: RunId = format!("{time}-{lot:08x}").parse().expect("digits and dashes are legal");
        let path = out.join(run.as_str());
        match fs::create_dir(&path) {
            Ok(()) => {
                // What will be written there, before anything is created, has to be found after a crash.
                fs::File::open(out)?.sync_all()?;
                return Ok((run, path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => lot = lot.wrapping_add(1),
            Err(error) => return Err(error),
        }
    }
}

fn point_latest_to(out: &Path, run: &RunId) -> io::Result<()> {
    let new = out.join(format!(".latest-{run}"));
    symlink(run.as_str(), &new)?;
    fs::rename(&new, out.join("latest"))
}
