//! What a run shows in the bucket: its status while it lasts, and a copy of its report. See [`ec2::publish`].

use super::Session;
use super::options::Ec2Run;
use crate::causes::with_causes;
use crate::command::CommandError;
use crate::exit;
use crate::facts;
use crate::hosts::{Role, status_word};
use crate::report;
use crate::report::status::StatusPage as Content;
use crate::run::{Observer, Outcome, Plan, RunDirectory, RunError, Stage};
use crate::summary::Status;
use backends::signals::Patience;
use ec2::hosts::CloudHost;
use ec2::names::RunNames;
use ec2::patience::out_of_patience;
use ec2::plan::LaunchPlan;
use ec2::publish::{Link, Page, PublishError, REPORT, STATUS, Shelf, StatusPage};
use jiff::Timestamp;
use russula_proto::Group;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

/// The pages of a run. Whatever goes wrong with them is a warning.
pub(super) struct Publication {
    runtime: Arc<Runtime>,
    shelf: Shelf,
    status: Arc<Live>,
    /// For the user, once there is a status page.
    invitation: String,
    patience: Patience,
}

/// The status page as it is now.
#[derive(Debug)]
struct Live {
    content: Mutex<Content>,
    page: StatusPage,
}

impl Publication {
    /// The pages of `plan`'s run. None is there before [`Self::launched`]. `patience` tells when the user does not
    /// want to wait any more.
    pub(super) fn begin(
        session: &Session,
        bucket: &str,
        directory: &RunDirectory,
        plan: &Plan,
        patience: Patience,
    ) -> Self {
        let shelf = Shelf::new(&session.account, bucket, &RunNames::new(directory.run_id().clone()));
        let names: Vec<&str> = plan.drivers.iter().map(|driver| driver.name.as_str()).collect();
        let times = if plan.repeat > 1 { format!(" ({} times each)", plan.repeat) } else { String::new() };
        let drivers = format!("{}{times}", names.join(", "));
        let content = Content::new(directory.run_id().as_str(), plan.scenario.name(), drivers);
        let page = StatusPage::begin(session.runtime.handle(), shelf.clone());
        let status = Arc::new(Live { content: Mutex::new(content), page });
        let invitation = match session.runtime.block_on(shelf.link(STATUS)) {
            Ok(link) => format!("status page ({}): {}", life_of(&link), link.url),
            Err(error) => format!("warning: {}", with_causes(&error)),
        };
        Self { runtime: session.runtime.clone(), shelf, status, invitation, patience }
    }

    /// Whom the run tells where it is.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        self.status.clone()
    }

    /// The hosts run: from now on there is a status page. Returns what to tell the user.
    pub(super) fn launched(&self, hosts: &[CloudHost]) -> &str {
        let row = |host: &CloudHost| {
            let name = format!("{} {}", host.group, host.index);
            let address = host.public_ip.to_string();
            [name, host.instance.clone(), host.instance_type.clone(), host.zone.clone(), address]
        };
        self.status.change(|content| {
            content.hosts = hosts.iter().map(row).collect();
            content.enter("preparing the hosts", &now())
        });
        &self.invitation
    }

    /// The run is over and its hosts are given back: uploads the report, if there is one, and the last status.
    fn end(self, run_directory: &Path, status: Status, error: Option<String>) {
        // Whose hosts never ran has nothing to show.
        if !self.status.page.has_content() {
            return;
        }
        let mut stderr = std::io::stderr();
        let told = self.runtime.block_on(async {
            tokio::select! {
                told = self.publish(run_directory, status, error) => told,
                () = out_of_patience(Some(&self.patience), self.patience.total() + 1, "") => {
                    vec!["interrupted while the report was copied to the bucket".to_owned()]
                }
            }
        });
        for line in told {
            let _ = writeln!(stderr, "{line}");
        }
    }

    /// Returns what to tell the user. Every upload has a deadline.
    async fn publish(&self, run_directory: &Path, status: Status, error: Option<String>) -> Vec<String> {
        self.status.page.end().await;
        let (mut told, mut link) = (Vec::new(), None);
        match self.copy_report(run_directory).await {
            Ok(Some(copy)) => {
                told.push(format!("report copy ({}): {}", life_of(&copy), copy.url));
                link = Some((copy.url.clone(), life_of(&copy)));
            }
            Ok(None) => {}
            Err(error) => {
                told.push(format!("warning: the report has no copy in the bucket: {}", with_causes(&error)));
            }
        }
        let html = {
            let mut content = self.status.content.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            content.enter(status_word(status), &now());
            (content.status, content.error, content.report) = (status, error, link);
            content.render()
        };
        if let Err(error) = self.shelf.put(&Page::html(STATUS, html)).await {
            told.push(format!("warning: the status page does not show the end: {}", with_causes(&error)));
        }
        told
    }

    /// The report has everything in itself; the summary is for programs.
    async fn copy_report(&self, run_directory: &Path) -> Result<Option<Link>, PublishError> {
        let read = |name: &str| std::fs::read(run_directory.join(name)).ok();
        let Some(report) = read("report/index.html") else { return Ok(None) };
        let report = report::without_file_links(&String::from_utf8_lossy(&report));
        self.shelf.put(&Page::html(REPORT, report)).await?;
        if let Some(summary) = read("summary.json") {
            self.shelf.put(&Page::json("summary.json", summary)).await?;
        }
        self.shelf.link(REPORT).await.map(Some)
    }
}

impl Ec2Run {
    /// Shows what came of a run whose hosts are given back, here and in the bucket.
    pub(super) fn show(
        &self,
        directory: &RunDirectory,
        outcome: Result<Outcome, RunError>,
        publication: Publication,
        verbose: bool,
    ) -> Result<ExitCode, CommandError> {
        match outcome {
            Ok(outcome) => {
                let shown = self.run.show(directory, &outcome, verbose);
                let summary = outcome.summary;
                if outcome.is_superseded {
                    return shown;
                }
                publication.end(directory.path(), summary.status, summary.error);
                shown
            }
            Err(error) => {
                let status =
                    if error.exit_code() == exit::INTERRUPTED { Status::Interrupted } else { Status::Failed };
                publication.end(directory.path(), status, Some(error.to_string()));
                Err(error.into())
            }
        }
    }
}

impl Live {
    /// Changes the content; it is uploaded if the change says that it is worth it.
    fn change(&self, change: impl FnOnce(&mut Content) -> bool) {
        let mut content = self.content.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if change(&mut content) {
            self.page.show(content.render());
        }
    }
}

impl Observer for Live {
    fn handle_stage(&self, stage: Stage) {
        let (text, is_measuring) = match stage {
            Stage::Repetition { driver, number, total, is_measuring } => {
                (format!("running {driver} ({number} of {total})"), is_measuring)
            }
            Stage::Collecting => ("collecting results".to_owned(), false),
            Stage::Releasing => ("giving the hosts back".to_owned(), false),
        };
        self.page.set_quiet(is_measuring);
        self.change(|content| content.enter(&text, &now()));
    }
}

/// Writes down what is known of the hosts from their launch, beside what they say of themselves.
pub(super) fn write_facts(run_directory: &Path, hosts: &[CloudHost], plan: &LaunchPlan) {
    for host in hosts {
        let role = if host.group == Group::Server { Role::Server } else { Role::Client };
        let kind = plan.kind_of(host.group, host.index);
        let placement = kind.and_then(|kind| kind.placement.strategy()).unwrap_or("unspecified");
        let facts = [
            ("instance", host.instance.clone()),
            ("instance-type", host.instance_type.clone()),
            ("zone", host.zone.clone()),
            ("placement", placement.to_owned()),
            ("private-address", host.private_ip.to_string()),
            ("public-address", host.public_ip.to_string()),
        ];
        if let Err(error) = facts::write(run_directory, role, usize::from(host.index), &facts) {
            tracing::warn!("what is known of {} {} cannot be written down: {error}", host.group, host.index);
        }
    }
}

/// Until when a link lasts, as far as that is known.
fn life_of(link: &Link) -> String {
    let until = Timestamp::try_from(link.until).map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let until = until.unwrap_or_default();
    let earlier = if link.may_end_earlier { ", or the end of the session that signed it" } else { "" };
    format!("until {until}{earlier}")
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_link_says_how_long_it_lasts() {
        let until = UNIX_EPOCH + Duration::from_secs(1_795_910_400);
        let mut link = Link { url: String::new(), until, may_end_earlier: false };
        assert_eq!(life_of(&link), "until 2026-11-29 00:00 UTC");
        link.may_end_earlier = true;
        assert_eq!(life_of(&link), "until 2026-11-29 00:00 UTC, or the end of the session that signed it");
    }
}
