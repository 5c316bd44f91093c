//! `runner ec2 destroy`, `list` and `gc`: what exists of runs, found by tag, from any machine; on the run's own machine
//! `destroy` also goes by its journal.

use super::account::{Session, interrupted};
use super::options::{PlaceArgs, TTL_MAX};
use crate::command::CommandError;
use crate::exit;
use clap::Args;
use ec2::inventory::{self, Found};
use ec2::journal::Known;
use ec2::names::{RunNames, TAG_BUCKET, TAG_CREATED, TAG_EXPIRES, TAG_OWNER};
use ec2::teardown;
use jiff::Timestamp;
use russula_proto::RunId;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Leads to the run that was begun last.
const LATEST: &str = "latest";

/// Options of `runner ec2 destroy`.
#[derive(Debug, Args)]
pub(super) struct Destroy {
    /// Name of the run, or `latest` for the last one of --out
    run: RunId,

    #[command(flatten)]
    place: PlaceArgs,

    /// Directory that has a directory for each run: if this one's is there, its journal says what it has created
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
}

/// Options of `runner ec2 list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Options of `runner ec2 gc`.
#[derive(Debug, Args)]
pub(super) struct Collect {
    #[command(flatten)]
    place: PlaceArgs,

    /// Also runs that were begun longer ago than this, whatever their time limit
    #[arg(long, value_name = "DURATION", value_parser = backends::durations::parse_limit)]
    older_than: Option<Duration>,
}

impl Destroy {
    pub(super) fn run(mut self) -> Result<ExitCode, CommandError> {
        if self.run.as_str() == LATEST {
            self.run = latest(&self.out)?;
        }
        // It is there only on the machine on which the run was begun.
        let journal = Known::read(&self.out.join(self.run.as_str()), &self.run);
        let errors = Vec::from_iter(journal.as_ref().err().map(ToString::to_string));
        let known = journal.unwrap_or_default();
        let account = &mut self.place.account;
        account.region = account.region.take().or_else(|| known.region.clone());
        let session = Session::open(account)?;
        let options = self.place.options(&session.account.region);
        let how = format!("`runner ec2 destroy {}{options}` goes on from here", self.run);
        let condemned = Condemned { run: self.run, known, with_report: true, errors };
        let destroyed = session.unless_interrupted(async {
            let bucket = Bucket::find(&session, &self.place).await;
            destroy(&session, &bucket, condemned).await
        })?;
        Ok(destroyed.unwrap_or_else(|| interrupted(&how)))
    }
}

/// The run that was begun last in the directory of runs.
fn latest(out: &Path) -> Result<RunId, CommandError> {
    let link = out.join(LATEST);
    let directory = std::fs::canonicalize(&link).ok();
    let name = directory.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
    name.ok_or_else(|| {
        let link = link.display();
        CommandError::Input(format!(
            "{link} leads to no run; name it (`runner ec2 list` shows what there is)"
        ))
    })
}

impl List {
    pub(super) fn run(self) -> Result<ExitCode, CommandError> {
        let session = Session::open(&self.place.account)?;
        let runs = session.runtime.block_on(async {
            let bucket = Bucket::find(&session, &self.place).await;
            inventory::find(&session.account, None, bucket.name()).await
        })?;
        let mut stdout = std::io::stdout().lock();
        // A closed stdout is the reader's wish.
        if self.json {
            let json = serde_json::to_string_pretty(&runs);
            let _ = writeln!(stdout, "{}", json.map_err(|error| CommandError::Input(error.to_string()))?);
            return Ok(ExitCode::SUCCESS);
        }
        for (run, found) in &runs {
            let tag = |key: &str| found.tags.get(key).map_or("?", String::as_str);
            let _ = writeln!(
                stdout,
                "{}  {} things  created {}  expires {}  by {}",
                run.escape_debug(),
                found.describe().len(),
                tag(TAG_CREATED),
                tag(TAG_EXPIRES),
                tag(TAG_OWNER)
            );
            for what in found.describe() {
                let _ = writeln!(stdout, "    {what}");
            }
        }
        if runs.is_empty() {
            let _ = writeln!(std::io::stderr(), "nothing of any run exists");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Collect {
    pub(super) fn run(self) -> Result<ExitCode, CommandError> {
        let session = Session::open(&self.place.account)?;
        let collected = session.unless_interrupted(self.collect(&session))?;
        let options = self.place.options(&session.account.region);
        collected.unwrap_or_else(|| Ok(interrupted(&format!("`runner ec2 gc{options}` goes on from here"))))
    }

    async fn collect(&self, session: &Session) -> Result<ExitCode, CommandError> {
        let bucket = Bucket::find(session, &self.place).await;
        let runs = inventory::find(&session.account, None, bucket.name()).await?;
        let now = Timestamp::now();
        let mut code = ExitCode::SUCCESS;
        for (run, found) in &runs {
            if !is_due(run, found, now, self.older_than) {
                let _ = writeln!(std::io::stderr(), "{}: its time limit has not passed", run.escape_debug());
                continue;
            }
            let Ok(run) = run.parse::<RunId>() else {
                // Anybody who may tag or upload has chosen the name.
                let name = run.escape_debug();
                let _ = writeln!(std::io::stderr(), "{name}: not the name of a run; remove it by hand");
                code = ExitCode::from(exit::INFRASTRUCTURE);
                continue;
            };
            if found.has_only(&RunNames::new(run.clone()).hosts_prefix()) {
                let what = "results that could not be fetched, which expire in the bucket";
                let destroy =
                    format!("runner ec2 destroy {run}{}", self.place.options(&session.account.region));
                let _ = writeln!(std::io::stderr(), "{run}: {what}; `{destroy}` removes them");
                continue;
            }
            // Copies of reports outlive their runs; the bucket lets them expire.
            let condemned = Condemned { run, known: Known::default(), with_report: false, errors: vec![] };
            if destroy(session, &bucket, condemned).await != ExitCode::SUCCESS {
                code = ExitCode::from(exit::INFRASTRUCTURE);
            }
        }
        Ok(code)
    }
}

/// Whether a run may be removed: its time limit has passed, or it was begun long ago. What has no tags, such as a key
/// that is the last thing of a run, is as old as the run's name says.
fn is_due(run: &str, found: &Found, now: Timestamp, older_than: Option<Duration>) -> bool {
    let time = |key: &str| found.tags.get(key).and_then(|time| time.parse::<Timestamp>().ok());
    let created = time(TAG_CREATED).or_else(|| begun_of(run));
    let expires = time(TAG_EXPIRES).or_else(|| created?.checked_add(TTL_MAX).ok());
    let age = created.and_then(|created| Duration::try_from(now.duration_since(created)).ok());
    expires.is_some_and(|expires| expires <= now)
        || age.zip(older_than).is_some_and(|(age, limit)| age >= limit)
}

/// When a run was begun, from a name such as `20261122-225500-1a2b`.
fn begun_of(run: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", run.get(..15)?).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// Where files of runs are: a run can be destroyed without, but then nobody knows whether they are gone.
#[derive(Clone)]
enum Bucket {
    Known(String),
    /// Why nobody knows. There may be no such stack, and another one with which the run was made.
    Unknown(Arc<CommandError>),
}

impl Bucket {
    async fn find(session: &Session, place: &PlaceArgs) -> Self {
        match place.infrastructure(session).await {
            Ok(infrastructure) => Self::Known(infrastructure.bucket),
            Err(error) => {
                tracing::warn!("the bucket is not known, so files of runs are not looked for: {error}");
                Self::Unknown(Arc::new(error))
            }
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Known(name) => Some(name),
            Self::Unknown(_) => None,
        }
    }
}

/// A run that is to be removed.
struct Condemned {
    run: RunId,
    /// What its journal knows; nothing without one.
    known: Known,
    with_report: bool,
    /// Why nobody can know whether everything is gone.
    errors: Vec<String>,
}

async fn destroy(session: &Session, bucket: &Bucket, condemned: Condemned) -> ExitCode {
    let Condemned { run, known, with_report, errors } = condemned;
    let account = &session.account;
    let there = inventory::find(account, Some(run.as_str()), bucket.name()).await;
    // Where the run's files are is said by what there is of it, and by its journal; the stack may be another one.
    let tagged = there.as_ref().ok().and_then(|runs| runs.get(run.as_str())?.tags.get(TAG_BUCKET).cloned());
    let bucket = &tagged.or_else(|| known.bucket.clone()).map_or_else(|| bucket.clone(), Bucket::Known);
    let place = format!("account {}, region {}", session.caller.account, account.region);
    if there.is_ok_and(|runs| runs.is_empty()) {
        // It may be a wrong name or a wrong place.
        let _ = writeln!(std::io::stderr(), "nothing of a run {run} is found in {place}");
    }
    let names = RunNames::new(run);
    let teardown = teardown::Teardown {
        account: &session.account,
        names: &names,
        bucket: bucket.name(),
        with_report,
        keep_results: false,
        known: &known,
    };
    let mut stderr = std::io::stderr();
    let mut say = |what: &str| {
        let _ = writeln!(std::io::stderr(), "{what}");
    };
    let mut left = teardown.run(&mut say).await;
    left.errors.extend(errors);
    if let Bucket::Unknown(error) = bucket {
        left.errors.push(format!(
            "files of the run may be in the bucket, which is not known: {error}; was the run made with another stack? \
             name it by --stack or --cdk-config-file"
        ));
    }
    if left.is_nothing() {
        // A closed stdout is the reader's wish.
        let _ = writeln!(std::io::stdout(), "nothing is left of run {} in {place}", names.run());
        return ExitCode::SUCCESS;
    }
    for what in left.describe() {
        let _ = writeln!(stderr, "left: {what}");
    }
    ExitCode::from(exit::INFRASTRUCTURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_collected_when_its_time_has_come() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let found = |expires: &str| Found {
            tags: [(TAG_EXPIRES, expires), (TAG_CREATED, "2026-11-22T10:00:00Z")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Found::default()
        };
        let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
        let is_due = |found: &Found, older_than| is_due("20261122-090000-1a2b", found, now, older_than);
        assert!(is_due(&found("2026-11-22T11:59:59Z"), None));
        assert!(!is_due(&found("2026-11-22T12:00:01Z"), None));
        assert!(!is_due(&found("2026-11-22T12:00:01Z"), hours(3)));
        assert!(is_due(&found("2026-11-22T12:00:01Z"), hours(1)));
        // Without tags, the name says when it was begun.
        let untagged = Found::default();
        assert!(is_due(&untagged, hours(2)) && !is_due(&untagged, hours(4)) && !is_due(&untagged, None));
        assert!(super::is_due("20261101-090000-1a2b", &untagged, now, None));
        assert!(!super::is_due("somebody's", &untagged, now, hours(1)), "nobody knows how old it is");
    }
}
