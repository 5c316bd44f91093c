//! What went wrong, before anything else; and what is missing in the data, at the end.

use super::{badge, plural};
use crate::{
    hosts::{self, NamedHost},
    report::{
        data::{Note, RunData},
        html::escaped,
    },
    summary::{RepetitionSummary, Status, Summary},
};

/// Hosts that are named in full for one repetition. All of them are in the table of hosts.
const MAX_HOSTS: usize = 10;

/// Notes about the data that are shown without asking.
const MAX_OPEN_NOTES: usize = 5;

/// Errors of the run, its repetitions and their hosts; nothing if there are none.
pub(super) fn render(summary: &Summary) -> String {
    let run_error = summary.error.as_ref().map(|error| error_text(error)).unwrap_or_default();
    let suspect: String = summary.suspect.iter().map(|reason| suspect_text(reason)).collect();
    let repetitions: String = summary
        .drivers
        .iter()
        .flat_map(|driver| driver.repetitions.iter().enumerate().map(move |(index, r)| (driver, index, r)))
        .map(|(driver, index, repetition)| repetition_problems(&driver.driver, index, repetition))
        .collect();
    if run_error.is_empty() && suspect.is_empty() && repetitions.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"problems\" class=\"problems\">\n<h2>What went wrong</h2>\n{run_error}{suspect}{repetitions}</section>\n"
    )
}

fn repetition_problems(driver: &str, index: usize, repetition: &RepetitionSummary) -> String {
    let hosts = hosts::named_hosts(repetition);
    let mut hosts: Vec<_> = hosts.iter().filter(|host| hosts::explains_failure(repetition, host)).collect();
    let is_fine = repetition.status == Status::Ok && repetition.error.is_none();
    if is_fine && hosts.is_empty() && repetition.suspect.is_empty() {
        return String::new();
    }
    // Whoever names an error comes before whoever only wrote to stderr.
    hosts.sort_by_key(|host| host.summary.error.is_none());
    let error = repetition.error.as_ref().map(|error| error_text(error)).unwrap_or_default();
    let suspect: String = repetition.suspect.iter().map(|reason| suspect_text(reason)).collect();
    let shown: String = hosts.iter().take(MAX_HOSTS).map(|host| host_problem(host)).collect();
    let more = match hosts.len().saturating_sub(MAX_HOSTS) {
        0 => String::new(),
        more => format!(
            "<p class=\"muted\">And {}, see <a href=\"#hosts\">Hosts</a>.</p>\n",
            plural(more, "host")
        ),
    };
    format!(
        "<article class=\"card\">\n<h3>{driver} · repetition {number} {badge}</h3>\n{error}{suspect}{shown}{more}</article>\n",
        driver = escaped(driver),
        number = index + 1,
        badge = badge(repetition.status),
    )
}

fn host_problem(host: &NamedHost<'_>) -> String {
    let ending = hosts::ending(host.summary).map(|ending| format!(" <span class=\"muted\">{ending}</span>"));
    let error = host.summary.error.as_ref().map(|error| format!(": {}", escaped(error))).unwrap_or_default();
    format!(
        "<div class=\"problem\"><p><b>{name}</b>{ending}{error}</p>\n{stderr}</div>\n",
        name = escaped(&host.name),
        ending = ending.unwrap_or_default(),
        stderr = stderr(&host.summary.stderr_tail, host.summary.error.is_some()),
    )
}

/// The tail of stderr, folded away unless `open`; nothing if there is none.
pub(super) fn stderr(tail: &str, open: bool) -> String {
    let tail = tail.trim_end();
    if tail.is_empty() {
        return String::new();
    }
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>stderr</summary><pre>{}</pre></details>\n", escaped(tail))
}

/// What is missing in the data of the page; nothing if it is complete.
pub(super) fn render_notes(data: &RunData) -> String {
    if data.notes.is_empty() {
        return String::new();
    }
    let items: String = data
        .notes
        .iter()
        .map(|Note { about, text }| format!("<li><b>{}</b>: {}</li>\n", escaped(about), escaped(text)))
        .collect();
    let open = if data.notes.len() <= MAX_OPEN_NOTES { " open" } else { "" };
    format!(
        "<section id=\"notes\">\n<h2>Notes on the data</h2>\n<details class=\"card\"{open}><summary>{}</summary>\n\
         <ul>\n{items}</ul></details>\n</section>\n",
        plural(data.notes.len(), "note"),
    )
}

fn suspect_text(reason: &str) -> String {
    format!("<p class=\"error\">Suspect: {}</p>\n", escaped(reason))
}

fn error_text(error: &str) -> String {
    format!("<p class=\"error\">{}</p>\n", escaped(error))
}
