//! The status page of a run that goes on somewhere else: small, in one file, and fresh by itself.

use super::{
    html::{Escaped, escaped},
    page::{CONTENT_SECURITY_POLICY, STYLE},
};
use crate::{hosts::status_word, summary::Status};
use std::collections::VecDeque;

/// Between two looks of the browser, in seconds.
const REFRESH_S: u32 = 10;

/// Most stages that the page keeps; the first ones go first.
const STAGES_MAX: usize = 100;

/// Most hosts that the page lists.
const HOSTS_MAX: usize = 200;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct StatusPage {
    /// Name of the run.
    pub(crate) run: String,
    /// Name of the scenario.
    pub(crate) scenario: String,
    /// The drivers in words, such as `tcp, embedded (3 times each)`.
    pub(crate) drivers: String,
    /// How the run ended; `Running` before.
    pub(crate) status: Status,
    /// Why it ended early, if it did.
    pub(crate) error: Option<String>,
    /// When it was updated, as text.
    pub(crate) updated: String,
    /// The hosts, each as the cells of a row.
    pub(crate) hosts: Vec<[String; 5]>,
    /// Address of the report and when that ends.
    pub(crate) report: Option<(String, String)>,
    stages: VecDeque<(String, String)>,
}

impl StatusPage {
    /// The titles of the cells of a host.
    const HOST_COLUMNS: [&str; 5] = ["Host", "Instance", "Type", "Zone", "Address"];

    /// A page without hosts and stages.
    pub(crate) fn new(run: &str, scenario: &str, drivers: String) -> Self {
        Self {
            run: run.to_owned(),
            scenario: scenario.to_owned(),
            drivers,
            status: Status::Running,
            error: None,
            updated: String::new(),
            hosts: vec![],
            report: None,
            stages: VecDeque::new(),
        }
    }

    /// Adds a stage unless it is the last one already; says whether it was new.
    pub(crate) fn enter(&mut self, stage: &str, time: &str) -> bool {
        if self.stages.back().is_some_and(|(_, last)| last == stage) {
            return false;
        }
        if self.stages.len() == STAGES_MAX {
            self.stages.pop_front();
        }
        self.stages.push_back((time.to_owned(), stage.to_owned()));
        time.clone_into(&mut self.updated);
        true
    }

    /// The page as one HTML document; it looks for a newer one until the run is over.
    pub(crate) fn render(&self) -> String {
        let is_over = self.status != Status::Running;
        let refresh = if is_over {
            String::new()
        } else {
            format!("<meta http-equiv=\"refresh\" content=\"{REFRESH_S}\">\n")
        };
        let (class, word) = match self.status {
            Status::Running => ("unfinished", "under way"),
            Status::Ok | Status::Failed | Status::Interrupted => {
                (status_word(self.status), status_word(self.status))
            }
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{CONTENT_SECURITY_POLICY}\">\n{refresh}\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{scenario} – {run}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<p class=\"kicker\">netbench run {run}</p>\n\
             <h1>{scenario} <span class=\"badge {class}\">{word}</span></h1>\n\
             <p>{drivers}</p>\n</header>\n<main>\n{error}{report}{stages}{hosts}</main>\n\
             <footer>As of {updated}.{note}</footer>\n</body>\n</html>\n",
            scenario = Escaped(&self.scenario),
            run = Escaped(&self.run),
            drivers = Escaped(&self.drivers),
            error = self
                .error
                .as_ref()
                .map(|text| format!("<p class=\"error\">{}</p>\n", Escaped(text)))
                .unwrap_or_default(),
            report = self.report(),
            stages = self.stages(),
            hosts = self.hosts(),
            updated = Escaped(&self.updated),
            note = if is_over {
                ""
            } else {
                " While clients run, the page stays as it is: nothing may disturb them."
            },
        )
    }

    fn report(&self) -> String {
        match &self.report {
            Some((url, until)) => format!(
                "<p><a href=\"{}\">Report</a> <span class=\"muted\">until {}</span></p>\n",
                Escaped(url),
                Escaped(until)
            ),
            None if self.status == Status::Running => String::new(),
            None => "<p class=\"muted\">There is no copy of a report.</p>\n".to_owned(),
        }
    }

    fn stages(&self) -> String {
        let row = |(time, stage): &(String, String)| {
            format!("<tr><td>{}</td><td>{}</td></tr>\n", Escaped(time), Escaped(stage))
        };
        // What is new comes first: it is what the reader came for.
        let rows: String = self.stages.iter().rev().map(row).collect();
        format!(
            "<section>\n<h2>Stages</h2>\n<div class=\"scroll card\"><table><tbody>\n{rows}</tbody></table></div>\n</section>\n"
        )
    }

    fn hosts(&self) -> String {
        if self.hosts.is_empty() {
            return String::new();
        }
        let head: String =
            Self::HOST_COLUMNS.iter().map(|title| format!("<th scope=\"col\">{title}</th>")).collect();
        let row = |cells: &[String; 5]| {
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.hosts.iter().take(HOSTS_MAX).map(row).collect();
        let more = match self.hosts.len().saturating_sub(HOSTS_MAX) {
            0 => String::new(),
            more => format!("<p class=\"muted\">And {more} more.</p>\n"),
        };
        format!(
            "<section>\n<h2>Hosts</h2>\n<div class=\"scroll card\"><table><thead><tr>{head}</tr></thead>\n\
             <tbody>\n{rows}</tbody></table></div>\n{more}</section>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> StatusPage {
        let mut page = StatusPage::new("r1", "<in&cast>", "tcp".to_owned());
        assert!(page.enter("launched", "12:00:00"));
        assert!(!page.enter("launched", "12:00:01"));
        page.hosts.push(["server 0", "i-<b>", "c6i.large", "us-east-1a", "10.0.0.1"].map(str::to_owned));
        page
    }

    #[test]
    fn a_page_looks_again_until_the_run_is_over() {
        let mut page = page();
        let html = page.render();
        assert!(html.contains("<meta http-equiv=\"refresh\" content=\"10\">"), "{html}");
        assert!(html.contains("under way") && html.contains("As of 12:00:00."), "{html}");
        (page.status, page.error) = (Status::Failed, Some("<script>alert(1)</script>".to_owned()));
        page.report = Some(("http://h/?a=1&b=\"2\"".to_owned(), "tomorrow".to_owned()));
        let html = page.render();
        assert!(!html.contains("\"refresh\"") && html.contains("badge failed"), "{html}");
        assert!(html.contains("<a href=\"http://h/?a=1&amp;b=&quot;2&quot;\">Report</a>"), "{html}");
    }

    #[test]
    fn nothing_from_outside_becomes_markup_and_nothing_is_loaded() {
        let mut page = page();
        page.error = Some("<script>alert(1)</script>".to_owned());
        let html = page.render();
        for markup in ["<in", "<b>", "<script"] {
            assert!(!html.contains(markup), "{markup}: {html}");
        }
        assert!(html.contains("default-src 'none'") && !html.contains("src="), "{html}");
    }

    #[test]
    fn a_long_run_has_a_page_of_bounded_size() {
        let mut page = page();
        page.hosts = vec![page.hosts[0].clone(); 5000];
        for stage in 0..20_000 {
            page.enter(&format!("stage {stage}"), "now");
        }
        let html = page.render();
        assert!(html.len() < 60_000, "{}", html.len());
        assert!(html.contains("stage 19999") && !html.contains("stage 19899<"), "the newest ones");
        assert!(html.contains("And 4800 more."));
    }
}
